"""How Excel's binary formats number the errors that a cell can hold."""

from __future__ import annotations

# Source: [MS-XLS] 2.5.10, BErr.
ERRORS = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
}
"""Error code to what a spreadsheet shows."""
