"""From a path to a `Listing`: the order of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from batch.errors import InputError
from batch.model import UNFINISHED, Listing
from batch.source.collector import Collector
from batch.source.earlier import EarlierResults
from batch.source.kinds import KINDS, simplified
from batch.source.layout import find_layout
from batch.source.other_sheets import refuse_other_sheets
from batch.source.refusals import SHOWN_ROWS, shown, shown_rows
from batch.text import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from batch.source.kinds import Kind
    from batch.source.layout import Layout
    from batch.tables import Block, Table


def read(
    path: str,
    *,
    by: str = "id",
    column: str | None = None,
    sheet: str | None = None,
    carry: Sequence[str] = (),
    skip_invalid: bool = False,
    include_hidden: bool = False,
    outcomes: Collection[str] = UNFINISHED,
    stdin: BinaryIO | None = None,
) -> Listing:
    """Read the whole input and check it.

    Args:
        path: A text file or a workbook, or ``-`` for CSV on standard input.
        by: What the licenses are listed by: ``id`` or ``key``.
        column: Header of the column of IDs or keys as written, else its number, counted from 1;
            None for the one that is named like such a column, or the only one.
        sheet: Name of a worksheet, else its number, counted from 1; None for the first
            visible one.
        carry: Headers of columns to copy into the results; in a file without a header their
            numbers, counted from 1.
        skip_invalid: Keep cells that hold no ID or key as `Listing.invalid` instead of refusing.
        include_hidden: Take hidden and filtered rows like any other instead of refusing.
        outcomes: Which rows to take if the input is the results file of an earlier run.
        stdin: Where standard input is read from, if not from the process's own.

    Raises:
        InputError: The input cannot be read as a whole, or does not say which licenses are
            meant. Nothing of it can be used.
    """
    from batch.tables import open_tables  # noqa: PLC0415 - importing this must stay cheap

    kind = KINDS[by]
    with open_tables(path, stdin=stdin) as tables:
        chosen = tables.choose(sheet)
        table = tables.read(chosen)
        if not include_hidden:
            _refuse_hidden(table)
        if not table.head:
            raise InputError(f"{table.title} is empty.", hint="is this the right file?")
        layout = find_layout(table.title, table.head, kind, column, carry)
        earlier = None
        if layout.results is not None:
            earlier = EarlierResults(table.title, kind, layout.results, outcomes)
        collector = Collector(table.title, layout, kind.names(), earlier)
        for block in _as_wide_as(layout, table):
            collector.add(block)
        if sheet is None:
            refuse_other_sheets(tables, chosen, kind, layout)
    left_out = earlier.left_out if earlier else {}
    if not skip_invalid:
        _refuse_invalid(table.title, collector, kind, layout)
    _refuse_nothing(table.title, collector, kind, left_out)
    return Listing(
        title=f"{table.title}, {_described(layout)}",
        rows=collector.rows,
        ids=collector.names.ids(),
        keys=collector.names.keys(),
        first=collector.names.first(collector.invalid.keys()),
        invalid=collector.invalid,
        carry=tuple(carry),
        carried=collector.carried,
        header=layout.header[layout.column] if layout.header else "",
        blank=collector.blank,
        left_out=left_out,
        warnings=table.warnings,
        sha256=table.sha256,
    )


def _described(layout: Layout) -> str:
    if layout.header is None:
        return f"column {layout.column + 1} (no header)"
    name = shown(layout.header[layout.column].strip())
    column = f'column "{name}"' if name else f"column {layout.column + 1}"
    return f"{column} (header in row {layout.first_row})"


def _as_wide_as(layout: Layout, table: Table) -> Iterator[Block]:
    """The blocks of a table, as long as no row has content beyond the header's cells."""
    for block in table.blocks:
        for column in block.columns[layout.width :]:
            if not any(column):
                continue
            index = next((i for i, cell in enumerate(column) if cell.strip()), None)
            if index is not None:
                _refuse_width(layout, table.title, block, index)
        yield block


def _refuse_width(layout: Layout, title: str, block: Block, index: int) -> None:
    cells = [column[index] for column in block.columns]
    while not cells[-1].strip():
        cells.pop()
    above = "header" if layout.header else "first row"
    raise InputError(
        f"{title}, row {block.row + index}: {counted(len(cells), 'cell')}, but the {above}"
        f" (row {layout.first_row}) has {layout.width}.\n"
        f"  The first one too many: {shown(cells[layout.width])}",
        hint="put a cell that holds the delimiter in quotes; delete a title above the header.",
    )


def _refuse_hidden(table: Table) -> None:
    if table.hidden:
        raise InputError(
            f"{table.title}: {counted(len(table.hidden), 'row')} with content"
            f" {'is' if len(table.hidden) == 1 else 'are'} hidden or filtered:"
            f" {shown_rows(table.hidden)}.",
            hint="show or delete them, or take them too with --include-hidden.",
        )


def _refuse_nothing(title: str, collector: Collector, kind: Kind, left_out: dict[str, int]) -> None:
    if len(collector.rows) > len(collector.invalid):
        return
    if left_out and not collector.rows:
        counts = " · ".join(f"{outcome} {number:,}" for outcome, number in left_out.items())
        raise InputError(
            f"{title}: no row of this results file is to be taken: {counts}.",
            hint="there is nothing left to do for these licenses.",
        )
    raise InputError(f"{title}: not a single {kind.noun}.", hint="is this the right file?")


def _refuse_invalid(title: str, collector: Collector, kind: Kind, layout: Layout) -> None:
    if not collector.invalid:
        return
    lines = [
        f"  row {collector.rows[entry]}  {shown(cell) or '(empty)'}"
        for entry, cell in list(collector.invalid.items())[:SHOWN_ROWS]
    ]
    more = len(collector.invalid) - len(lines)
    if more:
        lines.append(f"  and {more:,} more")
    rows = counted(len(collector.invalid), "row")
    remedy = f"correct them ({kind.reads_like})"
    if _holds_the_other(kind, layout, collector):
        remedy = kind.other.advice
    raise InputError(
        f"{title}: {rows} without a {kind.noun} (of {len(collector.rows):,}):\n" + "\n".join(lines),
        hint=f"{remedy}, or leave them out with --skip-invalid.",
    )


def _holds_the_other(kind: Kind, layout: Layout, collector: Collector) -> bool:
    """Whether the invalid cells come from licenses that are listed by the other kind."""
    if layout.header is None:
        return False
    if layout.results is not None:
        return "" in collector.invalid.values()
    return simplified(layout.header[layout.column]) in kind.other.headers
