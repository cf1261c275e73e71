"""The licenses of one account: those that a seed invents, and those that an input names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from batch.sandbox.invented import LICENSES_PER_CUSTOMER, MOMENTS, RESELLERS, Invented, Inventor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from batch.sandbox.license import Reseller, SandboxLicense

MOST_LISTS = 8
"""Lists of an account that are kept, those that were asked for last."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A test that a license has to pass, to be in a list.

    Attributes:
        name: Tells it from others of the same account.
        attribute: Of the license.
        law: Takes the value of the attribute; numbers, with 0 for None, as an array as well.
    """

    name: str
    attribute: str
    law: Callable[[Any], Any] = field(compare=False)

    def holds(self, license_: SandboxLicense) -> bool:
        """Tell whether a license passes it."""
        value = getattr(license_, self.attribute)
        return bool(self.law(0 if value is None and self.attribute in MOMENTS else value))


class Account:
    """Licenses in the order of their creation: invented ones, and then those that were given.

    An invented license is made whenever it is asked for, and kept only once it is changed. Whoever
    holds one holds the same object as the next one who asks.

    Args:
        licenses: Those that are given; listed in this order, unless a list is asked for by dates.
        invented: Those that are invented; none by default.
    """

    def __init__(
        self, licenses: Iterable[SandboxLicense] = (), *, invented: Invented | None = None
    ) -> None:
        self._invented = Invented(0) if invented is None else invented
        self._alive: WeakValueDictionary[int, SandboxLicense] = WeakValueDictionary()
        self._changed: dict[int, SandboxLicense] = {}
        self._removed: set[int] = set()
        self._given: list[SandboxLicense] = []
        self._given_by_id: dict[str, SandboxLicense] = {}
        self._by_key: dict[str, list[tuple[int, SandboxLicense]]] | None = None
        self._lists: dict[tuple[Condition, ...], Matches] = {}
        for license_ in licenses:
            self.add(license_)

    @classmethod
    def generate(
        cls,
        count: int,
        *,
        seed: int = 0,
        revoked: float = 0.05,
        now: float | None = None,
        resellers: Mapping[str, int] | None = None,
        batch: int = 0,
    ) -> Account:
        """An account with ``count`` invented licenses, the same for the same seed and day.

        On another day they are as old as on this one; the IDs of version 7 say when they were
        made, and are therefore others.

        Args:
            count: Number of licenses.
            seed: Of all that is invented.
            revoked: How many are revoked from the start: a share from 0.0 to 1.0, or an ``int``.
            now: A moment of the day, in seconds since 1970, that all dates are counted from. The
                present one by default.
            resellers: Name of a reseller to how many licenses it has sold, exactly. By default
                a few resellers of very different sizes have sold about a sixth of them.
            batch: How many were made within one hour, a good year ago: `batch`.

        Raises:
            ValueError: A part of the account would be larger than the whole.
        """
        invented = Invented(
            count,
            seed=seed,
            now=now,
            revoked=revoked if isinstance(revoked, int) else round(revoked * count),
            resellers=_sold(count) if resellers is None else resellers,
            batch=batch,
        )
        return cls(invented=invented)

    @classmethod
    def holding(
        cls,
        ids: Iterable[str],
        *,
        seed: int = 0,
        revoked: Iterable[str] = (),
        now: float | None = None,
    ) -> Account:
        """An account that knows these license IDs, in this order; a repeated ID counts once.

        Args:
            ids: License IDs, in any case.
            seed: Of all that is invented.
            revoked: Those of them that are revoked from the start; none by default.
            now: As for `generate`.
        """
        unique = list(dict.fromkeys(license_id.lower() for license_id in ids))
        invent = Inventor(seed, customers=len(unique) // LICENSES_PER_CUSTOMER, now=now)
        account = cls(invent.license(license_id) for license_id in unique)
        for license_id in revoked:
            account.licenses[license_id.lower()].revoked = True
        return account

    @classmethod
    def holding_keys(cls, keys: Iterable[str], *, seed: int = 0) -> Account:
        """An account that knows these license keys, as written; a repeated key counts once."""
        unique = list(dict.fromkeys(keys))
        invent = Inventor(seed, customers=len(unique) // LICENSES_PER_CUSTOMER)
        return cls(invent.license(key=key) for key in unique)

    @property
    def licenses(self) -> Mapping[str, SandboxLicense]:
        """License ID in lower case to license: a view."""
        return _ById(self)

    @property
    def resellers(self) -> Mapping[str, Reseller]:
        """The resellers of invented licenses, by name."""
        return self._invented.resellers

    @property
    def batch(self) -> tuple[int, int]:
        """When the first and the last license of the batch was made, in ticks since 1970.

        Raises:
            IndexError: The account was made without a batch.
        """
        positions = self._invented.batch
        return self._one(positions[0]).created, self._one(positions[-1]).created

    def __len__(self) -> int:
        return self._invented.count - len(self._removed) + len(self._given)

    def __iter__(self) -> Iterator[SandboxLicense]:
        everything = self.matching(())
        for start in range(0, len(everything), 1000):
            yield from self.page_of(everything, start, start + 1000)

    def ids(self, matches: Matches) -> Iterator[str]:
        """The IDs of licenses, in the order of creation; none is made for it."""
        yield from self._invented.ids(matches.positions)
        yield from [license_.id for license_ in matches.given or ()]

    def add(self, license_: SandboxLicense, *, first: bool = False) -> None:
        """Give a license to the account, as its newest one; its key may be that of another.

        Args:
            license_: The license.
            first: Put it before all others that were given.

        Raises:
            ValueError: The account has a license with this ID.
        """
        if self.find(license_.id) is not None:
            raise ValueError(f"license {license_.id} is already in the account")
        license_.on_change = self._note
        self._given_by_id[license_.id] = license_
        self._given.insert(0 if first else len(self._given), license_)
        self._forget()

    def remove(self, license_id: str) -> SandboxLicense:
        """Delete a license, and return it.

        Raises:
            KeyError: There is none with this ID.
        """
        license_ = self.licenses[license_id]
        license_.on_change = None
        if self._given_by_id.pop(license_.id, None) is not None:
            at = next(at for at, each in enumerate(self._given) if each is license_)
            del self._given[at]
        elif (position := self._invented.position(license_.id)) is not None:
            self._removed.add(position)
            self._changed.pop(position, None)
        self._forget()
        return license_

    def find(self, license_id: str) -> SandboxLicense | None:
        """The license with this ID, in any case, or None."""
        license_id = license_id.lower()
        if license_id in self._given_by_id:
            return self._given_by_id[license_id]
        position = self._invented.position(license_id)
        return None if position is None or position in self._removed else self._one(position)

    def page(self, start: int, stop: int) -> list[SandboxLicense]:
        """Licenses by position, counted from 0, without ``stop``."""
        return self.page_of(self.matching(()), start, stop)

    def page_of(
        self,
        matches: Matches,
        start: int,
        stop: int,
        *,
        by_creation: bool = False,
        newest_first: bool = False,
    ) -> list[SandboxLicense]:
        """Some of the licenses that match, counted from 0, without ``stop``.

        Args:
            matches: What is counted.
            start: The first one.
            stop: The one behind the last one; it may lie behind the end.
            by_creation: Take those that were given by their dates, and not as they were given.
            newest_first: Count from the newest one back.
        """
        whole, older = len(matches), len(matches.positions)
        if newest_first:
            start, stop = max(0, whole - stop), max(0, whole - start)
        found = self._at(matches.positions[start:stop])
        given = matches.by_creation if by_creation else matches.given or []
        found += given[max(0, start - older) : max(0, stop - older)]
        return found[::-1] if newest_first else found

    def with_keys(self, keys: Iterable[str]) -> list[SandboxLicense]:
        """The licenses that have one of these keys, exactly as written; in order of creation."""
        found = []
        for key in dict.fromkeys(keys):
            position = self._invented.position_of_key(key)
            if position is not None and position not in self._removed:
                license_ = self._one(position)
                if license_.key == key:
                    found.append((position, license_))
            found += self._other_keys().get(key, ())
        return [license_ for _, license_ in sorted(found, key=lambda each: each[0])]

    def matching(self, conditions: tuple[Condition, ...]) -> Matches:
        """The licenses that meet all conditions.

        Which of the invented ones do is computed once, and corrected as licenses change.
        """
        matches = self._lists.pop(conditions, None)
        if matches is None:
            matches = Matches(self._invented, conditions, self._changed, self._removed)
        self._lists[conditions] = matches
        if len(self._lists) > MOST_LISTS:
            del self._lists[next(iter(self._lists))]
        matches.refresh(self._given)
        return matches

    def _one(self, position: int) -> SandboxLicense:
        found = self._changed.get(position) or self._alive.get(position)
        return found or self._keep(position, self._invented.license(position))

    def _at(self, positions: Iterable[int]) -> list[SandboxLicense]:
        found = {int(at): self._changed.get(at) or self._alive.get(at) for at in positions}
        missing = [at for at, license_ in found.items() if license_ is None]
        made = zip(missing, self._invented.licenses(missing), strict=True)
        found.update({at: self._keep(at, license_) for at, license_ in made})
        return [license_ for license_ in found.values() if license_ is not None]

    def _keep(self, position: int, license_: SandboxLicense) -> SandboxLicense:
        """Keep a license as long as anybody else does, or for good once it is changed."""
        license_.on_change = self._note
        self._alive[position] = license_
        return license_

    def _forget(self) -> None:
        """Forget all lists: there are other licenses than they were made of."""
        self._lists.clear()
        self._by_key = None

    def _note(self, license_: SandboxLicense, attribute: str) -> None:
        """Keep a license that has changed, and correct what is known of the lists."""
        if license_.id in self._given_by_id:
            for matches in self._lists.values():
                if attribute in {"created", *matches.attributes}:
                    matches.given = None
        elif (position := self._invented.position(license_.id)) is not None:
            self._changed[position] = license_
            for matches in self._lists.values():
                if attribute in matches.attributes:
                    matches.stale.add(position)
        if attribute == "key":
            self._by_key = None

    def _other_keys(self) -> dict[str, list[tuple[int, SandboxLicense]]]:
        """Keys whose license cannot be computed from them: given ones, and changed ones."""
        if self._by_key is None:
            self._by_key = {}
            others = [
                each for each in self._changed.items() if self._invented.key(each[0]) != each[1].key
            ]
            for at, license_ in (*others, *enumerate(self._given, self._invented.count)):
                self._by_key.setdefault(license_.key, []).append((at, license_))
        return self._by_key


class Matches:
    """The licenses of an account that meet all conditions, in the order of creation.

    Args:
        invented: The invented licenses, as they were at first.
        conditions: Those conditions.
        changed: Those of them that have changed since, by position.
        removed: Positions of those that are there no more.

    Attributes:
        attributes: Those that the conditions are about.
        positions: Of invented licenses.
        given: Those that were given, or None where they must be looked at again.
        stale: Positions of licenses that have changed since they were looked at.
    """

    def __init__(
        self,
        invented: Invented,
        conditions: tuple[Condition, ...],
        changed: Mapping[int, SandboxLicense],
        removed: set[int],
    ) -> None:
        self._conditions = conditions
        self._changed = changed
        self.attributes = {each.attribute for each in conditions}
        self.given: list[SandboxLicense] | None = None
        self._by_creation: list[SandboxLicense] = []
        self.stale = set(changed)
        self.positions: range | NDArray[np.int32] = range(invented.count)
        if conditions or removed:
            holds = np.ones(invented.count, np.bool_)
            for each in conditions:
                holds &= invented.where(each.attribute, each.law)
            holds[list(removed)] = False
            self.positions = np.flatnonzero(holds).astype(np.int32)

    def __len__(self) -> int:
        return len(self.positions) + len(self.given or ())

    @property
    def by_creation(self) -> list[SandboxLicense]:
        """The given licenses, by their dates."""
        given = self.given or []
        if len(self._by_creation) != len(given):
            self._by_creation = sorted(given, key=lambda license_: license_.created)
        return self._by_creation

    def hold(self, license_: SandboxLicense) -> bool:
        """Tell whether a license passes the tests of this list."""
        return all(each.holds(license_) for each in self._conditions)

    def refresh(self, given: Sequence[SandboxLicense]) -> None:
        """Test licenses that have changed, and the given ones if they were not tested yet."""
        if self.given is None:
            self.given = [license_ for license_ in given if self.hold(license_)]
            self._by_creation = []
        if self.stale and not isinstance(self.positions, range):
            stale = np.array(sorted(self.stale), np.int32)
            kept = self.positions[~np.isin(self.positions, stale)]
            back = [at for at in stale.tolist() if self.hold(self._changed[at])]
            self.positions = np.insert(kept, np.searchsorted(kept, back), back).astype(np.int32)
        self.stale.clear()


class _ById(Mapping[str, "SandboxLicense"]):
    """An account's licenses by ID, in lower case."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def __getitem__(self, license_id: str) -> SandboxLicense:
        found = self._account.find(license_id)
        if found is None or found.id != license_id:
            raise KeyError(license_id)
        return found

    def __iter__(self) -> Iterator[str]:
        return self._account.ids(self._account.matching(()))

    def __len__(self) -> int:
        return len(self._account)


def _sold(count: int) -> dict[str, int]:
    """Reseller to the licenses that they have sold, of so many in all."""
    return {name: round(share * count) for name, share in RESELLERS.items()}
