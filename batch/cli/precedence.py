"""The precedence where several places set options that do not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from click.core import ParameterSource

if TYPE_CHECKING:
    import click


NEAREST = (
    ParameterSource.COMMANDLINE,
    ParameterSource.ENVIRONMENT,
    ParameterSource.DEFAULT_MAP,  # a profile
    ParameterSource.DEFAULT,
)
"""Whoever is nearer to the person who runs a command wins."""

NOTIFY = "notify"
"""A profile's key for addresses that are told. No option: others could read it in the process
list."""

EXCLUSIVE = (("quiet", "verbose"), ("resume", "overwrite"), ("resume", "dry_run"))
"""Switches of which only one can be on."""

TRIALS = ("dry_run", "sandbox")
"""Switches that make a run one that changes nothing."""

NOT_FOR_TRIALS = ("output", "resume", "overwrite", "log_file", "notify_file")
"""Settings of a profile for the real run: a trial must not take its place, or tell anybody."""


def settled(context: click.Context) -> dict[str, Any]:
    """The parameters of a command, without those that something nearer to the user rules out.

    So ``--verbose`` on the command line makes an end to a profile's ``quiet``, and ``--dry-run``
    leaves alone where that profile puts results, and whom it tells. What is said in one place
    stays as it is, but for metrics: those of a trial would be taken for those of the real run.
    And nothing that is excluded anywhere is let in by another place.
    """
    found: dict[str, Any] = dict(context.params)
    if "exclude" in found:
        found["exclude"] = _excluded(context)
    trial = _nearest_trial(context)
    if trial < len(NEAREST):
        found["metrics_file"] = None
    for name in NOT_FOR_TRIALS:
        if found.get(name) and trial < _place(context, name):
            found[name] = _nothing(found[name])
    for pair in EXCLUSIVE:
        if all(found.get(name) for name in pair):
            near, far = sorted(pair, key=lambda name: _place(context, name))
            # A dry run that somebody has set is never taken back by something else.
            if _place(context, near) < _place(context, far) and far not in TRIALS:
                found[far] = False
    return found


def _excluded(context: click.Context) -> tuple[str, ...]:
    """Files with licenses that are never touched, as all places together name them."""
    [option] = [each for each in context.command.params if each.name == "exclude"]
    in_profile = context.lookup_default("exclude")
    places = (
        context.params["exclude"],
        option.value_from_envvar(context),
        in_profile if isinstance(in_profile, list) else (),  # what else stands there is refused
    )
    return tuple(dict.fromkeys(path for paths in places for path in paths or ()))


def addresses(context: click.Context) -> tuple[str, ...]:
    """Addresses that a profile wants told; none where its run is only tried out."""
    found = context.lookup_default(NOTIFY)
    if not (isinstance(found, list) and all(isinstance(each, str) for each in found)):
        return ()
    is_trial = _nearest_trial(context) < NEAREST.index(ParameterSource.DEFAULT_MAP)
    return () if is_trial else tuple(found)


def _nearest_trial(context: click.Context) -> int:
    on = [name for name in TRIALS if context.params.get(name)]
    return min((_place(context, name) for name in on), default=len(NEAREST))


def _place(context: click.Context, name: str) -> int:
    """Return how far from the user an option was set: 0 for the nearest place."""
    source = context.get_parameter_source(name)
    return NEAREST.index(source) if source in NEAREST else len(NEAREST)


def _nothing(value: object) -> bool | None:
    return False if isinstance(value, bool) else None
