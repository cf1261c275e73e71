"""The machine: its clock, files, locks, process, signals, streams and terminal."""
