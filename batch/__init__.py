"""bulk-revoke: revoke every license that a spreadsheet lists."""

__version__ = "0.1.0"
