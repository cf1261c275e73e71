"""Restore approves again exactly what a run turned, and nothing else."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.sandbox import PRODUCTS, Account
from tests.support.commands import Served, manifest, served, write
from tests.support.job_harness import some_ids
from tests.support.results_files import long_ago

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(10)
RUN = ("run", "list.csv")
RESULTS = "list.results.csv"
RESTORE = ("restore", RESULTS)
RESTORED = "list.results.restored.csv"


@pytest.fixture(autouse=True)
def home(at_home: None) -> None:  # noqa: ARG001 - it comes first
    write("list.csv", [*IDS, IDS[9]])


@pytest.fixture
def api() -> Iterator[Served]:
    """An account whose first three licenses are revoked."""
    with served(Account.holding(IDS, revoked=IDS[:3])) as api:
        yield api


def patched(api: Served, command: tuple[str, ...], *more: str) -> set[str]:
    """The licenses for which a command sends a PATCH."""
    before = len(api.patches())
    api.run(*command, *more)
    return set(api.patches()[before:])


def test_what_was_revoked_before_the_run_stays_revoked(api: Served) -> None:
    api.run(*RUN)

    ended = api.run(*RESTORE)

    assert ended.code == 0
    assert api.revoked() == set(IDS[:3])
    assert ended.summary["results"] == RESTORED
    assert ended.column("license_id") == IDS[3:]
    assert ended.column("row") == [str(row) for row in range(5, 12)]
    assert set(ended.column("outcome")) == {"restored"}
    assert set(ended.column("revoked")) == {"false"}
    assert set(ended.column("was_revoked")) == {"true"}
    assert "Users of these licenses must activate again" in ended.err


def test_what_the_run_did_not_turn_is_not_touched(api: Served) -> None:
    api.fail(IDS[4], 409)
    write("no.csv", [IDS[5]])
    api.run(*RUN, "--exclude", "no.csv", "--limit", "4")
    # Others have revoked these since.
    api.turn(*IDS, revoked=True)

    assert patched(api, RESTORE) == {IDS[3], IDS[6], IDS[7]}


def test_what_the_run_has_revoked_is_sent_even_if_it_is_said_to_be_back(api: Served) -> None:
    api.run(*RUN)
    api.turn(IDS[5], revoked=False)

    ended = api.run(*RESTORE)

    assert ended.code == 0
    assert ended.counts == {"restored": 7}
    assert api.patches().count(IDS[5]) == 2


def test_what_somebody_has_approved_already_is_not_sent_where_the_run_may_not_have_revoked_it(
    api: Served,
) -> None:
    unknown(api, IDS[5])
    api.turn(IDS[5], revoked=False)

    ended = api.run(*RESTORE, "--include-unknown")

    assert ended.code == 0
    assert ended.counts == {"restored": 6, "already_restored": 1}
    assert api.patches().count(IDS[5]) == 1


def test_a_run_that_did_not_look_is_restored_only_if_that_is_asked_for(api: Served) -> None:
    api.run(*RUN, "--no-look")

    refused = api.run(*RESTORE)
    ended = api.run(*RESTORE, "--include-unknown")

    assert refused.code == 2
    assert "hint: --include-unknown" in refused.err
    assert ended.counts == {"restored": 10}
    assert api.revoked() == set()


def test_what_is_unknown_is_left_out_and_that_is_said(api: Served) -> None:
    unknown(api, IDS[3])

    ended = api.run(*RESTORE)

    assert ended.code == 0
    assert IDS[3] not in ended.column("license_id")
    assert "--include-unknown" in ended.err
    assert api.revoked() == set(IDS[:4])


@pytest.mark.parametrize("revoked", [True, False])
def test_what_is_unknown_is_read_before_it_is_restored(api: Served, revoked: bool) -> None:
    unknown(api, IDS[3])
    api.turn(IDS[3], revoked=revoked)
    before = len(api.patches())

    ended = api.run(*RESTORE, "--include-unknown")

    assert ended.code == 0
    assert ended.counts == {"restored": 7} if revoked else {"restored": 6, "already_restored": 1}
    assert (IDS[3] in api.patches()[before:]) is revoked
    assert api.revoked() == set(IDS[:3])


def test_what_is_unknown_and_cannot_be_read_is_not_touched(api: Served) -> None:
    unknown(api, IDS[3])
    api.fail_all(400, on="LIST")
    api.fail(IDS[3], 400, on="GET", times=None)
    before = len(api.patches())

    ended = api.run(*RESTORE, "--include-unknown")

    assert ended.code == 1
    assert ended.counts == {"restored": 6, "unknown": 1}
    assert IDS[3] not in api.patches()[before:]


def unknown(api: Served, license_id: str) -> None:
    """Let a run revoke everything, without learning whether it has revoked this one."""
    api.fail(license_id, "reset_after")
    api.fail(license_id, 400, on="GET")
    assert api.run(*RUN, "--max-attempts", "1").counts["unknown"] == 1
    long_ago(Path(RESULTS))


def test_a_run_that_was_killed_is_restored_as_far_as_it_came(api: Served) -> None:
    api.run(*RUN, "--limit", "4")
    tear()
    api.turn(IDS[8], revoked=True)  # sent, but not recorded any more

    refused = api.run(*RESTORE)
    ended = api.run(*RESTORE, "--include-unknown")

    assert refused.code == 2
    assert ended.counts == {"restored": 5, "already_restored": 2}
    assert api.revoked() == set(IDS[:3])


def tear() -> None:
    """Make results look like those of a run that was killed."""
    path = Path(f"{RESULTS}.run.json")
    kept = json.loads(path.read_text())
    del kept["results"]["sha256"]
    path.write_text(json.dumps(kept))
    text = Path(RESULTS).read_text()
    Path(RESULTS).write_text(text.replace("not_attempted", "planned"))
    long_ago(Path(RESULTS))


def test_a_restore_goes_on_where_its_limit_has_stopped_it(api: Served) -> None:
    api.run(*RUN)

    first = api.run(*RESTORE, "--limit", "3")
    between = api.revoked()
    second = api.execute(shlex.split(first.summary["hint"])[1:])

    assert (first.code, second.code) == (0, 0)
    assert first.counts == {"restored": 3, "not_attempted": 4}
    assert "4 left for later" in first.err
    assert between == set(IDS[:3] + IDS[6:])
    assert second.counts == {"restored": 7}
    assert second.summary["patches"] == 4
    assert second.summary["results"] == RESTORED
    assert api.revoked() == set(IDS[:3])


def test_a_restore_that_was_stopped_is_finished_by_the_command_that_it_names(api: Served) -> None:
    api.run(*RUN)
    api.fail(IDS[5], 401)

    stopped = api.run(*RESTORE, "--concurrency", "1")
    finished = api.execute(shlex.split(stopped.summary["hint"])[1:])

    assert stopped.code == 3
    assert finished.code == 0
    assert finished.counts == {"restored": 7}
    assert api.revoked() == set(IDS[:3])


def test_what_is_excluded_stays_revoked(api: Served) -> None:
    api.run(*RUN)
    write("no.csv", IDS[4:6])

    ended = api.run(*RESTORE, "--exclude", "no.csv")

    assert ended.code == 0
    assert ended.counts == {"restored": 5, "excluded": 2}
    assert api.revoked() == set(IDS[:3] + IDS[4:6])


def test_a_restore_may_not_send_more_than_its_maximum(api: Served) -> None:
    api.run(*RUN)

    assert api.run(*RESTORE, "--max-licenses", "6").code == 2
    assert api.run(*RESTORE, "--max-licenses", "7").code == 0


def test_a_restore_expects_a_product_as_a_run_does(api: Served) -> None:
    for license_ in api.sandbox.account:
        license_.product = PRODUCTS[0]
    api.run(*RUN)

    assert api.run(*RESTORE, "--expect-product", PRODUCTS[1].id).code == 2
    assert api.run(*RESTORE, "--expect-product", PRODUCTS[0].id).code == 0


def test_a_license_that_is_gone_is_not_found(api: Served) -> None:
    api.run(*RUN)
    api.fail(IDS[4], 404, on="PATCH")

    ended = api.run(*RESTORE)

    assert ended.code == 1
    assert ended.counts == {"restored": 6, "not_found": 1}


def test_the_results_that_starting_again_has_put_aside_can_be_restored(api: Served) -> None:
    api.run(*RUN)
    api.run(*RUN, "--overwrite")
    (old,) = Path().glob(f"{RESULTS}.bak-*Z")

    nothing = api.run(*RESTORE)
    ended = api.run("restore", str(old), "-o", "restored.csv")

    assert nothing.code == 2
    assert ended.counts == {"restored": 7}
    assert api.revoked() == set(IDS[:3])


def test_everything_that_several_sessions_turned_is_restored(api: Served) -> None:
    first = api.run(*RUN, "--limit", "2")
    api.execute(shlex.split(first.summary["hint"])[1:])
    assert len(manifest(RESULTS)["sessions"]) == 2

    ended = api.run(*RESTORE)

    assert ended.counts == {"restored": 7}
    assert api.revoked() == set(IDS[:3])


def test_a_rehearsal_of_a_restore_touches_nothing(api: Served) -> None:
    api.run(*RUN)
    before = len(api.patches()), len(api.reads())

    ended = api.run(*RESTORE, "--sandbox")

    assert ended.code == 0
    assert ended.counts == {"restored": 7}
    assert (len(api.patches()), len(api.reads())) == before


def test_a_rehearsal_is_restored_in_a_rehearsal(api: Served) -> None:
    rehearsed = api.run(*RUN, "--sandbox").summary["results"]

    pilot = api.run("restore", rehearsed, "--sandbox", "--limit", "4")
    ended = api.execute(shlex.split(pilot.summary["hint"])[1:])

    assert pilot.counts == {"restored": 4, "not_attempted": 6}
    assert ended.counts == {"restored": 10}
    assert (api.patches(), api.reads()) == ([], [])


def test_results_that_were_edited_are_taken_as_they_are_and_that_is_said(api: Served) -> None:
    api.run(*RUN)
    lines = Path(RESULTS).read_text().splitlines(keepends=True)
    Path(RESULTS).write_text("".join(line for line in lines if IDS[6] not in line))

    ended = api.run(*RESTORE)

    assert "was changed since its run ended" in ended.err
    assert ended.counts == {"restored": 6}
    assert api.revoked() == {*IDS[:3], IDS[6]}


def test_what_was_restored_can_be_revoked_again_by_the_same_list(api: Served) -> None:
    api.run(*RUN)
    api.run(*RESTORE)

    ended = api.run(*RUN, "--overwrite")

    assert ended.counts == {"revoked": 8, "already_revoked": 3}


def test_a_look_that_is_cut_short_restores_nothing(api: Served) -> None:
    api.run(*RUN)
    api.fail_all(401, on="LIST")

    ended = api.run(*RESTORE)

    assert ended.code == 3
    assert not ended.has_results
    assert not Path(RESTORED).exists()
    assert api.revoked() == set(IDS)
