"""Runs a command and says what it has cost: ``python -IS launch.py FD COMMAND ...``.

A process of its own, and a small one: the kernel counts the peak memory of whoever starts a
process as that of the process as well, until it has become another program.
"""

import os
import sys
import time


def main() -> None:
    """Run it, and write seconds, processor seconds, KiB at the peak and exit code to FD."""
    report, *command = sys.argv[1:]
    started = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    cpu = usage.ru_utime + usage.ru_stime
    told = f"{seconds} {cpu} {usage.ru_maxrss} {os.waitstatus_to_exitcode(status)}"
    os.write(int(report), told.encode())


if __name__ == "__main__":
    main()
