"""Which characters the bytes of a text file stand for."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, BinaryIO

from batch.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

LINE_LIMIT = 4 * 1024 * 1024
"""Most characters without a line break: 128 of the longest cells."""

_CHUNK = 256 * 1024
_FALLBACK = "cp1252"
_SAVE_AS = "save it as CSV in UTF-8."


def find_encoding(open_bytes: Callable[[], AbstractContextManager[BinaryIO]], title: str) -> str:
    """Read a text file once and return the codec that decodes all of it.

    A byte order mark decides; without one it is UTF-8, or cp1252 where it cannot be UTF-8.

    Raises:
        InputError: Bytes that are not text in that encoding, a NUL character, or a line
            longer than `LINE_LIMIT`.
    """
    with open_bytes() as stream:
        start = stream.read(4)
    candidates = _candidates(start)
    for codec in candidates:
        try:
            _check(open_bytes, codec, title)
        except _NotThisCodecError as failure:
            if codec == candidates[-1]:
                raise InputError(
                    f"{title}: line {failure.line:,} is not text in {' or '.join(candidates)}"
                    f" ({failure.reason}).",
                    hint=_SAVE_AS,
                ) from None
        else:
            return codec
    raise AssertionError(candidates)


def _candidates(start: bytes) -> tuple[str, ...]:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return ("utf-16",)
    if start.startswith(codecs.BOM_UTF8):
        return ("utf-8-sig",)
    return ("utf-8", _FALLBACK)


def warning_for(codec: str, title: str) -> str:
    """What to tell the user about an encoding that was guessed; empty if it was not."""
    if codec != _FALLBACK:
        return ""
    return f"{title} is not UTF-8; it was read as Windows text (cp1252)."


class _NotThisCodecError(Exception):
    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def _check(
    open_bytes: Callable[[], AbstractContextManager[BinaryIO]], codec: str, title: str
) -> None:
    decoder = codecs.getincrementaldecoder(codec)()
    lines = 1
    length = 0
    with open_bytes() as stream:
        while True:
            chunk = stream.read(_CHUNK)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                lines += error.object.count(b"\n", 0, error.start)
                raise _NotThisCodecError(lines, error.reason) from None
            if "\0" in text:
                lines += text.count("\n", 0, text.index("\0"))
                raise InputError(f"{title}: NUL character in line {lines:,}.", hint=_SAVE_AS)
            lines += text.count("\n")
            last_break = max(text.rfind("\n"), text.rfind("\r"))
            length = len(text) - last_break - 1 + (length if last_break < 0 else 0)
            if length > LINE_LIMIT:
                raise InputError(
                    f"{title}: line {lines:,} is longer than {LINE_LIMIT:,} characters.",
                    hint="is this a table with one license in each line?",
                )
            if not chunk:
                return
