"""Runs, suspensions and what takes them back, in any order, by several people: each to its own.

The model knows two properties of each license and what each run has turned, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batch.model import RESTORE, REVOKE, SUSPEND, VERIFY, Action, Property
from tests.job.test_runner import IDS, End, World, ends, faults, world
from tests.support.builders import THOROUGH
from tests.support.faulty_sandbox import states_of
from tests.support.results_files import table

Faults = dict[str, list[str | int]]

SETS = {"run": REVOKE, "suspend": SUSPEND}


@dataclass(frozen=True)
class Step:
    """One thing that is done to the account.

    Attributes:
        kind: ``run``, ``suspend``, ``restore`` of an earlier one of them, ``go on`` from an earlier
            suspension, or ``others``.
        ids: The licenses that are listed, or that others change.
        which: Which earlier one is taken back, or the value that others give.
        changes: What others change.
        trouble: How sessions before the last one end, and what goes wrong in them.
    """

    kind: str
    ids: list[str]
    which: int
    changes: Property
    trouble: list[tuple[End, Faults]]


steps = st.builds(
    Step,
    kind=st.sampled_from(("run", "suspend", "suspend", "go on", "restore", "restore", "others")),
    ids=st.lists(st.sampled_from(IDS), min_size=1, max_size=8),
    which=st.integers(0, 5),
    changes=st.sampled_from(Property),
    trouble=st.lists(st.tuples(ends, faults), max_size=2),
)


@dataclass
class Model:
    """What the account is to be, and what each run has turned."""

    state: dict[Property, dict[str, bool]]
    turned: list[tuple[Property, set[str]]] = field(default_factory=list)

    def set(self, changes: Property, ids: list[str]) -> None:
        """A run or a suspension: a revoked license is not suspended."""
        turned = {
            each
            for each in ids
            if not self.state[changes][each] and not self.state[Property.REVOKED][each]
        }
        self.turned.append((changes, turned))
        self.state[changes] |= dict.fromkeys(turned, True)

    def verified(self, changes: Property, license_id: str) -> str:
        """What a verify says of a license."""
        if self.state[changes][license_id]:
            return "verified"
        is_revoked = self.state[Property.REVOKED][license_id]
        return "already_revoked" if is_revoked else f"not_{changes}"

    def restore(self, which: int) -> None:
        changes, turned = self.turned[which]
        self.state[changes] |= dict.fromkeys(turned, False)


@given(
    revoked=st.frozensets(st.sampled_from(IDS)),
    suspended=st.frozensets(st.sampled_from(IDS)),
    sequence=st.lists(steps, min_size=2, max_size=7),
)
@settings(max_examples=12 * THOROUGH, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_each_restore_brings_back_what_its_run_did_and_nothing_else(
    revoked: frozenset[str], suspended: frozenset[str], sequence: list[Step]
) -> None:
    with world(revoked) as it:
        for each in it.account:
            each.suspended = each.id in suspended
        model = Model(states_of(it.account))

        for number, step in enumerate(sequence):
            if step.kind == "others":
                model.state[step.changes] |= dict.fromkeys(step.ids, step.which % 2 == 0)
                for license_id in step.ids:
                    setattr(it.account.licenses[license_id], step.changes, step.which % 2 == 0)
            elif step.kind == "restore":
                restore(it, model, step, number)
            elif step.kind == "go on":
                go_on(it, model, step)
            else:
                done = f"{len(model.turned)}.results.csv"
                (it.home / f"{number}.csv").write_text("\n".join(["license_id", *step.ids]) + "\n")
                to_its_end(it, SETS[step.kind], f"{number}.csv", done, step)
                model.set(SETS[step.kind].changes, step.ids)
            assert states_of(it.account) == model.state


def go_on(it: World, model: Model, step: Step) -> None:
    """Revoke what one of the suspensions has suspended, as far as it still is."""
    candidates = [
        at
        for at, (changes, turned) in enumerate(model.turned)
        if changes is Property.SUSPENDED and turned
    ]
    if not candidates:
        return
    which = candidates[step.which % len(candidates)]
    done = f"{len(model.turned)}.results.csv"
    to_its_end(it, REVOKE, f"{which}.results.csv", done, step)
    suspended = model.turned[which][1]
    lifted = {each for each in suspended if not model.state[Property.SUSPENDED][each]}
    left_alone = {each for each in lifted if not model.state[Property.REVOKED][each]}
    model.set(Property.REVOKED, sorted(suspended - lifted))

    excluded = {r["license_id"] for r in table(it.home / done) if r["outcome"] == "excluded"}
    assert excluded == left_alone


def restore(it: World, model: Model, step: Step, number: int) -> None:
    """Take back one of the runs that have turned something, if there is one."""
    candidates = [at for at, (_, turned) in enumerate(model.turned) if turned]
    if not candidates:
        return
    which = candidates[step.which % len(candidates)]
    changes, turned = model.turned[which]
    others = next(each for each in Property if each is not changes)
    results = f"{which}.results.csv"
    to_its_end(it, RESTORE.about(changes), results, f"{number}.restored.csv", step)
    model.restore(which)

    rows = table(it.home / f"{number}.restored.csv")
    assert {row["license_id"] for row in rows} == turned
    assert {row["outcome"] for row in rows} == {"restored"}
    assert f"was_{others}" not in rows[0]
    it.session(VERIFY.about(changes), it.home / results, it.home / f"{number}.verify.csv")
    for row in table(it.home / f"{number}.verify.csv"):
        assert row["outcome"] == model.verified(changes, row["license_id"])


def to_its_end(it: World, action: Action, source: str, results: str, step: Step) -> None:
    for end, kinds in step.trouble:
        it.session(action, it.home / source, it.home / results, end=end, faults=kinds)
    assert it.session(action, it.home / source, it.home / results) == 0
