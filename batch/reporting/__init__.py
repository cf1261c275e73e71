"""The telling of a run: summary, progress, log, metrics, alerts."""
