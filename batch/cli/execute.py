"""The steps of every command that talks to the server, by its options: check, run, tell."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from batch.api.auth import Found, TokenFile, check_token, facts, find_token, soon_warning
from batch.api.base_url import check_base_url
from batch.cli.command import Command
from batch.cli.report import planned, write_after
from batch.cli.resume_command import resume_command
from batch.errors import ConfigError, meaning_of
from batch.formatting import timestamp
from batch.host import terminal
from batch.host.lock import Owner
from batch.host.process import make_room_for, restrain_libraries
from batch.reporting import logs
from batch.reporting.observers import Observers, same_file
from batch.results.manifest import Manifest, manifest_path, new_run_id, run_id_of, user_name
from batch.settings import (
    Rate,
    Settings,
    output_path,
    parse_age,
    parse_duration,
    parse_failures,
    parse_product,
    parse_where,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import click

    from batch.job.lister import Lister
    from batch.job.runner import Runner
    from batch.model import Action, Listing
    from batch.reporting.progress import Screen
    from batch.reporting.summary import Summary


EXCLUSIVE = (("quiet", "verbose"), ("resume", "overwrite"), ("resume", "dry_run"))
"""Switches of which only one can be on."""


def perform(context: click.Context, action: Action) -> int:
    """Run a command from its options to its exit code.

    Args:
        context: The command's.
        action: What it wants of each license; of which property, earlier results may say.

    Raises:
        BulkRevokeError: As `Runner.run` says.
    """
    restrain_libraries()
    from batch.job.runner import Runner  # noqa: PLC0415 - only now may libraries be imported
    from batch.job.targets import told_by  # noqa: PLC0415

    options = dict(context.params)
    source = options.pop("source")
    observers = context.ensure_object(Observers)
    observers.quiet = options["quiet"]
    run_id = new_run_id()
    assert isinstance(context.command, Command)
    settings = settings_of(source, context.command.suffix, options, run_id)
    observers.check(settings.output)
    make_room_for(settings.concurrency)
    if settings.resume:
        run_id = run_id_of(settings.output) or run_id
    observers.known |= {"run_id": run_id, "api": settings.api}
    page = planned(options, source, run_id, taken=_files(settings, options))
    if action.only_reads or not action.wanted:
        action = told_by(action, source)
    if settings.dry_run:
        action = action.dry_run()
    needs = "license:write" if action.sends else "license:read"
    token, screen, another_token = prepare(observers, settings, options, run_id, needs=needs)
    options["reason"] = screen.redact(settings.reason)  # it stands on a page for many hands
    settings = replace(settings, reason=options["reason"])
    command = resume_command(context, action, source, settings.output)
    pilot = f" --limit {settings.limit}" if settings.limit is not None else ""
    observers.resume_command = command + pilot if action.sends else ""
    write_page = reported(settings.output, page, run_id, observers, screen)
    with logged(action.command, source), write_page:
        runner = Runner(
            action=action,
            settings=settings,
            token=token,
            screen=screen,
            owner=owner_of(run_id, action.command, observers.started_at),
            manifest=partial(_new_manifest, settings, action, options, run_id),
            resume_command=command,
            another_token=another_token,
        )
        summary = ended(runner, observers)
        logs.ended(summary.exit_code, summary.counts)
    return summary.exit_code


def ended(job: Runner | Lister, observers: Observers) -> Summary:
    """Go through all steps of a job, and let the observers know what became of it.

    Raises:
        BulkRevokeError: It was refused, or stopped.
    """
    try:
        observers.report = job.run()
    finally:
        observers.known |= job.known
    return observers.report.summary


class Prepared(NamedTuple):
    """The means of a command that talks to the server.

    Attributes:
        token: Access token; empty in the sandbox.
        screen: Where a person is told, without secrets.
        another_token: Brings one that the server has not refused yet, or None.
    """

    token: str
    screen: Screen
    another_token: Callable[[], str | None]


def prepare(
    observers: Observers,
    settings: Settings,
    options: Mapping[str, Any],
    run_id: str,
    *,
    needs: str,
) -> Prepared:
    """Find and check the token, keep it out of all that is told, and begin the log.

    Args:
        observers: Who is told how it ends.
        settings: Of the command.
        options: Its parameters.
        run_id: Its name in the log.
        needs: The scope that the token has to have.

    Raises:
        ConfigError: The token, or the log, cannot be used.
    """
    from batch.reporting.progress import Screen  # noqa: PLC0415 - as in `perform`

    found = _token(settings, options["token_file"])
    redact = observers.redact = logs.Redactor(found.token, *observers.secrets)
    screen = Screen(quiet=options["quiet"], redact=redact, mark=observers.mark)
    for each in filter(None, (found.warning, observers.warning)):
        screen.say(f"warning: {each}")

    def taken(token: str) -> None:
        redact.hide(token)
        observers.token_expires = facts(token).expires

    taken(found.token)
    another_token = _checked(found, settings, needs, taken)
    logs.start(
        screen,
        run_id=run_id,
        log_file=options["log_file"],
        verbose=options["verbose"],
    )
    if not screen.is_terminal:  # whoever is there has made it for the day, and is warned of its end
        logs.warn_of_token(soon_warning(found.token, now=datetime.now(UTC)))
    return Prepared(found.token, screen, another_token)


def _token(settings: Settings, token_file: str | None) -> Found:
    """Find the token; there is none in the sandbox."""
    if settings.sandbox:
        return Found("")
    return find_token(token_file, os.environ, terminal.ask_token)


def _checked(
    found: Found, settings: Settings, needs: str, taken: Callable[[str], None]
) -> Callable[[], str | None]:
    """Check the token, and return what brings another one once the server refuses it.

    Raises:
        ConfigError: It is known that the server will.
    """

    def check(token: str) -> None:
        check_token(token, needs=needs, base_url=settings.base_url, now=datetime.now(UTC))

    if found.token:
        check(found.token)
    if found.file is None:
        return lambda: None
    return TokenFile(found.token, found.file, check=check, hide=taken).another


@contextmanager
def reported(
    results: Path, page: Path | None, run_id: str, observers: Observers, screen: Screen
) -> Iterator[None]:
    """Write the page of a run once the block has ended, also where the run has not come so far."""
    try:
        yield
    finally:
        if page is not None and write_after(results, page, run_id, screen.insist):
            observers.page = str(page.absolute())
            screen.say(f"report: {page}")


@contextmanager
def logged(command: str, source: str) -> Iterator[None]:
    """Log how a command begins, and what it is ended by; its own end the block logs itself."""
    try:
        logs.started(command, source)
        yield
    except (Exception, KeyboardInterrupt) as cause:
        logs.ended(meaning_of(cause).exit_code, cause=cause)
        raise
    finally:
        logs.stop()


def settings_of(source: str, suffix: str, options: Mapping[str, Any], run_id: str) -> Settings:
    """Check what can be checked before anything is read.

    Raises:
        ConfigError: An option, or two together, make no sense.
    """
    _refuse_contradictions(options)
    rate = Rate.parse(options["rate"])
    base_url = check_base_url(options["base_url"])
    sandbox = options.get("sandbox", False)
    if not sandbox:
        rate.check(base_url)
    if options.get("dry_run"):
        suffix = ".dry-run.csv"
    elif sandbox:
        suffix = ".rehearsal.csv"
    wait, older = options.get("wait"), options.get("older_than")
    known = {each.name for each in fields(Settings)}
    as_given = {name: value for name, value in options.items() if name in known}
    checked = {
        "input": source,
        "output": output_path(
            options["output"], source, suffix, now=datetime.now(UTC), run_id=run_id
        ),
        "base_url": base_url,
        "rate": rate,
        "where": tuple(map(parse_where, options.get("where", ()))),
        "failures": parse_failures(options.get("max_failures", "20%")),
        "products": frozenset(map(parse_product, options.get("expect_product", ()))),
        "older_than": None if older is None else parse_age(older),
        "wait": None if wait is None else parse_duration(wait),
    }
    made = Settings(**as_given | checked)
    _refuse_two_uses(made, options)
    return made


def _refuse_contradictions(options: Mapping[str, Any]) -> None:
    if options.get("yes") and options["max_licenses"] is None and not options["sandbox"]:
        raise ConfigError(
            "without --max-licenses: nobody would notice the wrong file",
            option="--yes",
            hint="say with --max-licenses how many licenses it may be at most.",
        )
    for one, other in EXCLUSIVE:
        if options.get(one) and options.get(other):
            names = " and ".join(f"--{name.replace('_', '-')}" for name in (one, other))
            raise ConfigError(f"{names} exclude each other")
    fleeting = re.search(r"\{(?:time|run_id)\}", options["output"] or "")
    if options.get("resume") and fleeting:
        raise ConfigError(
            f"and {fleeting[0]} in --output exclude each other: it names no run twice",
            option="--resume",
            hint="name the results file that the run has written.",
        )
    if not options.get("look", True):
        for name in ("expect_product", "by", "approved"):
            if options.get(name) not in {None, (), "id"}:
                raise ConfigError(
                    f"--{name.replace('_', '-')} needs to look at the licenses: leave out --no-look"
                )


def _refuse_two_uses(settings: Settings, options: Mapping[str, Any]) -> None:
    """Refuse to write into a file that is read, or that something else is written into.

    Raises:
        ConfigError: It would be put aside, or mixed up.
    """
    given, results = _given(settings, options), _results(settings)
    try:
        for path in given + results:
            os.path.realpath(path)
    except OSError as cause:
        raise ConfigError(
            f"the working directory cannot be used: {cause.strerror}",
            hint="change to another one; or name all files, also --output, by their whole path.",
        ) from cause
    if any(same_file(each, given) for each in results):
        raise ConfigError(
            f"{settings.output} is a file that is read",
            option="--output",
            hint="name another file with --output.",
        )
    log_file = options["log_file"]
    if log_file is not None and same_file(log_file, given + results):
        raise ConfigError(
            f"{log_file} is a file that is read, or where the results go",
            option="--log-file",
            hint="name another file with --log-file.",
        )


def _given(settings: Settings, options: Mapping[str, Any]) -> list[str]:
    """The files that are read."""
    paths = (
        settings.input,
        *settings.exclude,
        settings.approved,
        settings.ca_file,
        *(options[name] for name in ("token_file", "notify_file", "config")),
    )
    return [os.fspath(path) for path in paths if path]


def _results(settings: Settings) -> list[str]:
    """The results and their manifest."""
    return [os.fspath(settings.output), os.fspath(manifest_path(settings.output))]


def _files(settings: Settings, options: Mapping[str, Any]) -> list[str]:
    """The files that are read, or that something else than a page is written into."""
    written = (*_results(settings), options["log_file"], options["metrics_file"])
    return [*_given(settings, options), *filter(None, written)]


def owner_of(run_id: str, command: str, started_at: datetime) -> Owner:
    """Say who this is, for runs that find the lock taken."""
    return Owner(
        run_id=run_id,
        command=command,
        user=user_name(),
        pid=os.getpid(),
        started_at=timestamp(started_at),
    )


def _new_manifest(
    settings: Settings, action: Action, options: Mapping[str, Any], run_id: str, listing: Listing
) -> Manifest:
    """Make the manifest of a run; no option holds a secret, the token is never one."""
    return Manifest(
        run_id=run_id,
        command=action.command,
        api=settings.api,
        reason=settings.reason,
        rehearsal=settings.sandbox,
        options=dict(options),
        input={
            "path": settings.input,
            "sha256": listing.sha256,
            "taken": listing.title,
            "rows": len(listing),
            "licenses": len(listing.distinct()),
        },
        results={"path": str(settings.output)},
    )
