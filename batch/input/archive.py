"""Zip archives: opened only once it is known how much they hold."""

from __future__ import annotations

import io
import zipfile
import zlib
from contextlib import contextmanager
from copy import copy
from typing import IO, TYPE_CHECKING, BinaryIO, Literal
from xml.etree import ElementTree as ET
from xml.parsers import expat

from batch.errors import InputError
from batch.input.table import SIZE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


_CHUNK = 256 * 1024
_PROLOG = 1024
"""Bytes in which an XML part mostly comes to its first element."""

_AGAIN = "copy or download it again, or save it as xlsx or CSV."


class Archive:
    """The parts of a workbook that is a zip archive.

    Args:
        handle: The archive.
        title: The file, for messages.

    Raises:
        InputError: It is damaged, has a password, or says that it holds more than `SIZE_LIMIT`
            bytes.
    """

    def __init__(self, handle: BinaryIO, title: str) -> None:
        self.title = title
        with self._damaged():
            self._zip = zipfile.ZipFile(handle)
        infos = self._zip.infolist()
        # Some programs write the backslash of Windows.
        self._parts = {info.filename.replace("\\", "/").lower(): info for info in infos}
        self._unproven = {id(info): info for info in infos}
        if any(info.flag_bits & 1 for info in infos):
            raise password_needed(title)
        if sum(info.file_size for info in infos) > SIZE_LIMIT:
            raise InputError(
                f"{title} holds more than {SIZE_LIMIT // 1024**2} MB once inflated.",
                hint="delete what is not needed, or save the list as CSV.",
            )

    def prove(self) -> None:
        """Inflate what was not inflated to its end, before others do: the directory may lie.

        Raises:
            InputError: A part is larger than it says, or damaged.
        """
        with self._damaged():
            for info in list(self._unproven.values()):
                for _ in self._inflated(info):
                    pass

    def renamed(self, names: Mapping[str, str]) -> BinaryIO:
        """A copy of the archive in which some parts have other names.

        Args:
            names: Name of a part, in any case, to its name in the copy.

        Raises:
            InputError: A part is larger than it says, or damaged.
        """
        self.prove()
        new = {name.lower(): other for name, other in names.items()}
        copy_ = io.BytesIO()
        with self._damaged(), zipfile.ZipFile(copy_, "w", zipfile.ZIP_DEFLATED) as made:
            for name, info in self._parts.items():
                made.writestr(new.get(name, name), self._zip.read(info))
        return copy_

    def parse(
        self,
        name: str,
        start: Callable[[str, dict[str, str]], None],
        text: Callable[[str], None] | None = None,
    ) -> None:
        """Parse a large XML part without making objects of its elements; its name in any case.

        Args:
            name: The part.
            start: Called with name and attributes of each element as it begins.
            text: Called with the text between two tags, or with a piece of it.

        Raises:
            InputError: The part is larger than it says, or damaged.
        """
        parser = self._parser()
        parser.buffer_text = True
        parser.StartElementHandler = start
        parser.CharacterDataHandler = text
        with self._damaged():
            for data in self._inflated(self._parts[name.lower()]):
                parser.Parse(data)
            parser.Parse(b"", True)

    def _parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        return parser

    def _refuse_doctype(self, *_: object) -> None:
        # It could define entities that expand to gigabytes; no workbook has one.
        raise damaged(self.title, "a part of it has a document type")

    def _inflated(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """The bytes of a part to its end, which proves it."""
        beyond = copy(info)
        beyond.file_size += 2 * _CHUNK
        size = 0
        with self._zip.open(beyond) as part:
            while data := part.read(_CHUNK):
                size += len(data)
                if size > info.file_size:
                    raise damaged(self.title, f"{info.filename} is larger than it says")
                yield data
        self._unproven.pop(id(info), None)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._parts

    def read(self, name: str) -> bytes:
        """A whole part; its name in any case."""
        with self.part(name) as stream:
            return stream.read()

    @contextmanager
    def part(self, name: str) -> Iterator[IO[bytes]]:
        """Open a part; its name in any case."""
        with self._damaged(), self._zip.open(self._parts[name.lower()]) as stream:
            yield stream

    def elements(self, name: str) -> Iterator[ET.Element]:
        """The elements of an XML part as they end; the caller clears what it is done with."""
        for _, element in self.events(name, ("end",)):
            yield element

    def events(
        self, name: str, kinds: Sequence[Literal["start", "end"]]
    ) -> Iterator[tuple[str, ET.Element]]:
        """``start`` and ``end`` of the elements of an XML part."""
        with self.part(name) as stream:
            self._check_prolog(stream)
            stream.seek(0)
            yield from ET.iterparse(stream, kinds)  # noqa: S314 - it defines no entities

    def _check_prolog(self, stream: IO[bytes]) -> None:
        """Refuse a document type; `ET.iterparse` tells nobody of it."""
        begun: list[str] = []
        parser = self._parser()
        parser.StartElementHandler = lambda name, _: begun.append(name)
        while not begun and (data := stream.read(_PROLOG)):
            parser.Parse(data)

    @contextmanager
    def _damaged(self) -> Iterator[None]:
        try:
            yield
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            ET.ParseError,
            expat.ExpatError,
            # A part that is missing, or an encoding that is unknown or not supported.
            LookupError,
            ValueError,
        ) as error:
            raise damaged(self.title, str(error)) from None


def damaged(title: str, reason: str) -> InputError:
    """The refusal of a workbook that does not keep to its own format."""
    return InputError(f"{title} is damaged: {reason}.", hint=_AGAIN)


def local_name(name: str) -> str:
    """The name of an element or attribute without its namespace."""
    return name.rpartition("}")[2]


def password_needed(title: str) -> InputError:
    """The refusal of a workbook that is encrypted."""
    return InputError(
        f"{title} is protected by a password.", hint="save it without one, or as CSV."
    )
