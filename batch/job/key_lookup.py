"""Looking licenses up by their keys: how many at a time, and which answer belongs to which key.

Keys are compared exactly. The API reads a comma as the end of a key, ignores an empty filter and
may compare without regard to case (Cryptlex Web API, "Filters"); so what comes back is never taken
for what was asked for before its own key says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from batch.errors import StoppedError
from batch.formatting import folded
from batch.model import License, Outcome, RowResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


LONGEST_QUERY = 6000
"""Bytes that the keys of one request may take in its URL; the rest is for path and paging.

Measured with default buffers: nginx 1.22.1 takes a request line of 8,190 bytes (then 414), HAProxy
2.6.12 a head of 15 KiB (then 400); Kestrel's documentation says 8,192 for the line."""


def cannot_ask(key: str) -> str:
    """Return why no request can ask for a key, or an empty text if one can."""
    if not key.replace(",", " ").strip():
        return "a key of nothing but commas cannot be looked up: it would match every license"
    if len(quote(key, safe="")) > LONGEST_QUERY:
        return f"a key that takes more than {LONGEST_QUERY:,} bytes of a URL cannot be looked up"
    return ""


def batches(keys: Sequence[str], entries: Iterable[int], most: int) -> Iterator[list[int]]:
    """Put entries together whose keys fit into one request, ``most`` at a time.

    A key with a comma goes alone: in a list it would be read as two.
    """
    batch: list[int] = []
    size = 0
    for entry in entries:
        if "," in keys[entry]:
            yield [entry]
            continue
        length = len(quote(keys[entry], safe="")) + 1
        if batch and (len(batch) == most or size + length > LONGEST_QUERY):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += length
    if batch:
        yield batch


@dataclass(slots=True)
class KeyLookup:
    """The licenses that came back for some keys.

    Attributes:
        keys: What was asked for, each key once.
    """

    keys: Sequence[str]
    _exact: dict[str, dict[str, License]] = field(init=False)
    _alike: dict[str, bool] = field(init=False)
    _ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._exact = {key: {} for key in self.keys}
        self._alike = {folded(key): False for key in self.keys}

    def filters(self) -> dict[str, Sequence[str]]:
        """The filter that asks for these keys."""
        alone = len(self.keys) == 1
        return {"key[eq]" if alone else "key[in]": self.keys}

    def add(self, licenses: Iterable[License]) -> bool:
        """Take down what came back, and say whether any of it is new.

        Raises:
            StoppedError: A license came back that nobody asked for: the filter was not understood,
                and nothing that it returns can be trusted.
        """
        before = len(self._ids)
        for license_ in licenses:
            if folded(license_.key) not in self._alike:
                raise StoppedError(
                    f"the server returned license {license_.id}, which was not asked for",
                    hint="its filter for keys does not work as documented; "
                    "list the licenses by their IDs instead.",
                )
            self._ids.add(license_.id)
            self._alike[folded(license_.key)] = True
            if license_.key in self._exact:
                self._exact[license_.key][license_.id] = license_
        return len(self._ids) > before

    @property
    def count(self) -> int:
        """Licenses that came back, each counted once."""
        return len(self._ids)

    def holds(self, key: str) -> bool:
        """Tell whether a license with this very key came back."""
        return bool(self._exact[key])

    def found(self, key: str) -> License | RowResult:
        """The one license that has a key, or why there is no such one."""
        found = list(self._exact[key].values())
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(sorted(each.id for each in found))
            return RowResult(
                Outcome.FAILED,
                error_code="key_ambiguous",
                error=f"{len(found)} licenses have this key: {ids}",
            )
        if self._alike[folded(key)]:
            return RowResult(
                Outcome.FAILED,
                error_code="key_ambiguous",
                error="a license has this key but for upper and lower case",
            )
        return RowResult(
            Outcome.NOT_FOUND,
            error_code="key_not_found",
            error="no license in this account has this key",
        )
