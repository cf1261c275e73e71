"""What an input means: rows of text in, a `Listing` of licenses out.

============ ====================================================================
reading      the order of work: `read`
kinds        what licenses may be listed by: IDs or keys
layout       which row is the header, which columns are meant
other_sheets sheets that the list may go on in
ids, keys    what a cell says, and the cells as they come, held compactly
collector    the entries as they come
repeats      which entries have the same ID or key
earlier      the results file of an earlier run as an input
exclusion    what the files of ``--exclude`` protect
refusals     the messages
============ ====================================================================
"""

from __future__ import annotations

from batch.source.exclusion import Exclusion
from batch.source.reading import read

__all__ = ["Exclusion", "read"]
