"""What an input means: rows of text in, a `Listing` of licenses out.

========== ====================================================================
reading    the order of work: `read`
layout     which row is the header, which columns are meant
ids        what a cell says: an ID or not
collector  the entries as they come, held compactly
repeats    which entries have the same ID
earlier    the results file of an earlier run as an input
refusals   the messages
========== ====================================================================
"""

from __future__ import annotations

from batch.source.reading import read

__all__ = ["read"]
