"""``python -m batch`` is ``bulk-revoke``."""

from batch.cli import main

main()
