"""Where the parts of an Open Packaging workbook (xlsx, xlsm, xlsb) are.

Source: ECMA-376 part 2, 9 (relationships).
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from batch.tables.archive import damaged, local_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch.tables.archive import Archive


class Parts:
    """The parts that a workbook refers to.

    Attributes:
        worksheets: Relationship identifier to part name; chart sheets are not among them.
        strings: Part of the shared strings, or empty.
        styles: Part of the styles, or empty.
    """

    def __init__(self, archive: Archive, workbook: str) -> None:
        self.worksheets: dict[str, str] = {}
        self.strings = ""
        self.styles = ""
        for identifier, kind, part in _relationships(archive, workbook):
            if part not in archive:
                continue
            if kind == "worksheet":
                self.worksheets[identifier] = part
            elif kind == "sharedStrings":
                self.strings = part
            elif kind == "styles":
                self.styles = part


def _relationships(archive: Archive, part: str) -> Iterator[tuple[str, str, str]]:
    folder, name = posixpath.split(part)
    relationships = f"{folder}/_rels/{name}.rels"
    if relationships not in archive:
        raise damaged(archive.title, f"it has no part {relationships}")
    for element in archive.elements(relationships):
        if local_name(element.tag) == "Relationship":
            kind = element.get("Type", "").rpartition("/")[2]
            target = posixpath.join("/", folder, element.get("Target", ""))
            yield element.get("Id", ""), kind, posixpath.normpath(target).lstrip("/")
