"""Looking licenses up by their keys: how many at a time, and which answer belongs to which key.

`KeyLookup` asks for all keys of a listing; `KeyAnswers` holds what came back for those of one
request. Keys are compared exactly. The API reads a comma as the end of a key, ignores an empty
filter and may compare without regard to case (Cryptlex Web API, "Filters"); so a license that comes
back is taken for the one that was asked for only if it has the very same key.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING
from urllib.parse import quote

from batch.errors import OWN, StoppedError
from batch.formatting import folded
from batch.job.snapshot import FEWEST, SAMPLE, State
from batch.model import License, Outcome, RowResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from batch.job.look import Look
    from batch.model import Page


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
class KeyAnswers:
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


@dataclass(slots=True)
class KeyLookup:
    """The keys of a listing, asked for as many at a time as a URL and a page hold.

    A page that is shorter than was asked for proves nothing, since a server may put fewer licenses
    on a page than it is asked for. So a key that did not come back is asked for once more, alone
    (after all the others, where an answer held no license). Where an answer was cut short, all of
    its keys are asked for again, fewer at a time: of a key that came back there may be a second
    license.

    Attributes:
        look: What everything is read and taken down through.
        entries: Those whose keys are asked for.
        page_size: Licenses on a full page, as far as the server has shown.
    """

    look: Look
    entries: Sequence[int]
    page_size: int
    _todo: deque[list[int]] = field(default_factory=deque)
    _absent: list[int] = field(default_factory=list)
    _left: int = 0
    _largest: int = 0

    async def read(self) -> None:
        """Ask until every key is settled, the run is stopped, or the token may not read."""
        # One less than a page holds: only keys that licenses share fill it.
        self._todo.extend(batches(self.look.listing.keys, self._askable(), self.page_size - 1))
        self._expect(len(self._todo))
        while self._todo and self._goes_on:
            await self.look.each(self._taken(), self._ask)
        if not (self._largest or self.look.needs_each):
            await self._alone(self._absent[:: len(self._absent) // SAMPLE + 1])
            if not self._largest and self.look.snapshot.states.count(State.MISSING) >= FEWEST:
                return
        await self._alone(self._absent)

    def _askable(self) -> Iterator[int]:
        """The entries whose keys a request can ask for; the others are settled."""
        for entry in self.entries:
            if why := cannot_ask(self.look.listing.keys[entry]):
                self.look.settle(entry, RowResult(Outcome.FAILED, error=why))
            else:
                yield entry

    def _taken(self) -> Iterator[list[int]]:
        while self._todo:
            yield self._todo.popleft()

    @property
    def _goes_on(self) -> bool:
        return not (self.look.client.stopped or self.look.snapshot.off)

    async def _alone(self, entries: Sequence[int]) -> None:
        """Ask for each of some keys with a request of its own, unless it was seen meanwhile."""
        unseen = self.look.snapshot.unseen(entries)
        if unseen and self._goes_on:
            self._expect(len(unseen))
            await self.look.each(unseen, self._ask_alone)

    def _expect(self, more: int) -> None:
        """Correct the number of requests to come: so many more than were expected."""
        self._left += more
        self.look.expect(self._left)

    async def _ask(self, entries: Sequence[int]) -> None:
        """Ask for some keys with one request, and then singly for those that did not come back."""
        if len(entries) == 1:
            await self._ask_alone(entries[0])
            return
        answers = self._answers(entries)
        try:
            page = await self._page(answers, 1)
            is_cut = await self._is_cut(page, answers)
        except OWN as error:
            self.look.not_looked_up(entries, error)
            return
        if is_cut:
            self._ask_for_fewer(entries, len(page.licenses))
            return
        keys = self.look.listing.keys
        if not page.licenses:
            self._absent.extend(entries)
            return
        back = [entry for entry in entries if answers.holds(keys[entry])]
        absent = [entry for entry in entries if not answers.holds(keys[entry])]
        if absent:
            self._expect(len(absent))
        for asked, entry in enumerate(absent, 1):
            # A page that had fewer licenses than another one was not cut at its end.
            if await self._ask_alone(entry, answers) and len(page.licenses) == self._largest:
                self._expect(asked - len(absent))
                self._ask_for_fewer([*back, *absent[asked:]], len(page.licenses))
                return
        for entry in back:
            self.look.settle(entry, answers.found(keys[entry]))

    async def _is_cut(self, page: Page, answers: KeyAnswers) -> bool:
        """Tell whether the first page for some keys is not all that the server has for them."""
        if len(page.licenses) >= self.page_size:
            return True
        if page.total is None or page.total <= len(page.licenses):
            return False
        # A count that is not true would cost a request for each key.
        self._expect(1)
        return bool((await self._page(answers, 2)).licenses)

    def _ask_for_fewer(self, entries: Sequence[int], came: int) -> None:
        """Have keys asked for again, fewer at a time, since their page was full with ``came``."""
        before = len(self._todo)
        most = (len(entries) + 1) // 2
        if came < self.page_size and came == self._largest:
            self.page_size = came
            most = came
            entries = [*entries, *chain.from_iterable(self._todo)]
            self._todo.clear()
        most = max(1, min(most, self.page_size - 1))
        self._todo.extend(batches(self.look.listing.keys, entries, most))
        self._expect(len(self._todo) - before)

    async def _ask_alone(self, entry: int, before: KeyAnswers | None = None) -> bool:
        """Read all that the server has for one key, settle it, and tell whether it came back.

        Args:
            entry: The key's entry.
            before: What came back when it was asked for with others.
        """
        key = self.look.listing.keys[entry]
        answers = self._answers([entry])
        number = 1
        try:
            page = await self._page(answers, number)
            while page.licenses and (
                len(page.licenses) >= self.page_size or (page.total or 0) > answers.count
            ):
                number += 1
                self._expect(1)
                page = await self._page(answers, number)
        except OWN as error:
            self.look.not_looked_up([entry], error)
            return False
        if page.total and not answers.count:
            why = "the server counts licenses with this key, and shows none"
            self.look.settle(entry, RowResult(Outcome.FAILED, error_code="bad_body", error=why))
        else:
            lacking = before if before and not answers.count else answers
            self.look.settle(entry, lacking.found(key))
        return answers.holds(key)

    def _answers(self, entries: Iterable[int]) -> KeyAnswers:
        return KeyAnswers([self.look.listing.keys[entry] for entry in entries])

    async def _page(self, answers: KeyAnswers, number: int) -> Page:
        """Read a page of what the server has for some keys."""
        request = partial(self.look.client.api.list, answers.filters(), page=number)
        try:
            page = await self.look.read(request)
        finally:
            self._left -= 1
        self._largest = max(self._largest, len(page.licenses))
        if not answers.add(page.licenses) and page.licenses:
            raise StoppedError(
                f"page {number} of the licenses for some keys repeats the pages before it",
                hint="list the licenses by their IDs instead.",
            )
        return page
