"""Large XML parts: what is plain in them is counted as text, and only the rest is parsed.

A parser makes an object of every element, which takes longer than all else that a workbook of a
million rows needs. Here the text is cut where elements of interest end; a `Counter` skips those
that are plain, and everything else goes, in its place, to one parser for the whole part. What
that parser sees is as well-formed as the part itself, as long as whatever is skipped is a whole
element, stands where an element may stand, and means there what it would mean anywhere. So the
parser gets all that follows as well, as soon as

- the encoding is not UTF-8, or a character is none that XML has;
- a comment, a CDATA section, a processing instruction or a document type begins: what looks
  like an element from there on may be none;
- a namespace is declared below the root: the same names may mean something else.

Source: Extensible Markup Language 1.0, 2.2 (characters), 2.4 (markup), 4.3.3 (encodings);
Namespaces in XML 1.0, 6.1 (scope).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, cast
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator


_PATIENCE = 16 * 1024 * 1024
"""Bytes that may go by without the end of an element of interest."""

_DECLARATION = re.compile(r"<\?xml\s[^<>]*\?>")
_OTHER_ENCODING = re.compile(r"encoding\s*=\s*[\"'](?!utf-8[\"'])", re.IGNORECASE)
_ROOT = re.compile(r"\s*<[^<>]*>")
_NOT_PLAIN = re.compile(r"<[!?]|xmlns")
_NO_CHARACTER = re.compile("[\ufffe\uffff]")


class Counter(Protocol):
    """Counts the elements of one name.

    Attributes:
        name: That name, without its namespace.
    """

    name: str

    def begin(self, prefix: str, gap: str) -> None:
        """Learn how the part is written, before its first element of that name.

        Args:
            prefix: What stands before names: nothing, or a namespace prefix and its colon.
            gap: A regular expression for what stands between tags: nothing, or white space.
        """

    def skip(self, text: str, at: int) -> int:
        """Count the plain elements that stand at a place; return where they end."""

    def take(self, element: ET.Element) -> None:
        """Judge an element, of whatever name, that the parser has read to its end."""


class Skimmer:
    """Counts the elements of a part as its bytes come.

    Args:
        counter: What counts them.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        # Entities that expand to gigabytes are refused by expat itself, since 2.4.1.
        self._parser: ET.XMLPullParser[ET.Element] = ET.XMLPullParser(("end",))
        self._opening = re.compile(
            rb"<((?:[A-Za-z_][\w.-]*:)?)" + counter.name.encode() + rb"(?=[\s/>])"
        )
        self._closing = ""
        self._is_plain = True
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Count the elements that end in the next bytes of the part.

        Raises:
            ParseError: It is not well-formed.
        """
        if not self._is_plain:
            self._parse(data)
            return
        data = self._rest + data
        if not self._closing:
            data = self._begin(data)
        cut = self._end_of_elements(data)
        if self._is_plain and cut:
            self._skim(data[:cut])
            data = data[cut:]
        if len(data) > _PATIENCE:
            self._is_plain = False
        if not self._is_plain:
            self._parse(data)
            data = b""
        self._rest = data

    def close(self) -> None:
        """Count what is left, since the part ends here.

        Raises:
            ParseError: It is not well-formed.
        """
        self._parse(self._rest)
        self._parser.close()

    def _begin(self, data: bytes) -> bytes:
        """Look for the first element; return the data from there on."""
        found = self._opening.search(data)
        if not found:
            return data
        head = data[: found.start()]
        self._is_plain = _is_plain_head(head)
        self._parse(head)
        prefix = found[1].decode()
        self._closing = f"</{prefix}{self._counter.name}>"
        self._counter.begin(prefix, r"[ \t\r\n]*" if head[-1:].isspace() else "")
        return data[found.start() :]

    def _end_of_elements(self, data: bytes) -> int:
        closing = self._closing.encode()
        return data.rfind(closing) + len(closing) if closing and closing in data else 0

    def _skim(self, data: bytes) -> None:
        """Count the elements of a piece that ends where an element ends."""
        text = _decoded(data)
        if text is None:
            self._is_plain = False
            self._parse(data)
            return
        at = 0
        while (at := self._counter.skip(text, at)) < len(text):
            end = text.index(self._closing, at) + len(self._closing)
            if _NOT_PLAIN.search(text, at, end):
                self._is_plain = False
                end = len(text)
            self._parse(text[at:end].encode())
            at = end

    def _parse(self, data: bytes) -> None:
        self._parser.feed(data)
        events = cast("Iterator[tuple[str, ET.Element]]", self._parser.read_events())
        for _, element in events:
            self._counter.take(element)


def _decoded(data: bytes) -> str | None:
    """The characters of a piece, or None where XML has not all of them."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return text if text.isascii() or not _NO_CHARACTER.search(text) else None


def _is_plain_head(head: bytes) -> bool:
    """Tell whether elements may be skipped behind a head."""
    text = (_decoded(head) or "").removeprefix("\ufeff")
    declaration = _DECLARATION.match(text)
    if declaration and _OTHER_ENCODING.search(declaration[0]):
        return False
    root = _ROOT.match(text, declaration.end() if declaration else 0)
    return root is not None and not _NOT_PLAIN.search(text, root.end())
