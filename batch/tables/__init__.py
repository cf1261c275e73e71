"""File formats: bytes in, rows of text out.

========== ====================================================================
opening    which reader a file needs: `open_tables`
table      what every reader hands on: `Table`, `Block`, `Row`
stored     the bytes: opened, counted, recognised, inflated
encoding   text: which characters they are
delimiter  text: what separates the cells
delimited  text: the rows, by pandas
workbook   workbooks: which sheet, and its rows in blocks
sheets     what every kind of workbook is reduced to
calamine   xlsx and xls: the rows, by calamine, and the proof that none is missing
xlsx, xls  what the sheets of those hold, as far as the proof needs it
skim       xlsx: what is plain in large parts is counted as text, the rest is parsed
plain      xlsx: what plain rows and shared strings look like
xlsb, ods  the rows of those, where calamine cannot be relied on
archive    zip archives and their limits
parts      where the parts of xlsx and xlsb are
numbers    numbers that a workbook shows as dates
========== ====================================================================

This is the only place that knows pandas and python-calamine, and it imports them when the
first file needs them: pandas alone costs half a second.
"""

from __future__ import annotations

from batch.tables.opening import Tab, Tables, open_tables
from batch.tables.table import Block, Row, Table, is_blank

__all__ = ["Block", "Row", "Tab", "Table", "Tables", "is_blank", "open_tables"]
