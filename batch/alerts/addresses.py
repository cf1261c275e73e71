"""Addresses as Apprise spells them: where they stand, and the services behind them."""

from __future__ import annotations

import logging
import os
import re
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from batch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

SHORTEST_SECRET = 4
"""Characters of a secret that can be hidden: what takes its place would spell out a shorter one."""


class Text(NamedTuple):
    """Addresses as Apprise spells them, where they stand, and how many there are at least."""

    place: str
    text: str
    is_yaml: bool = False
    least: int = 0


def content_of(file: str) -> tuple[list[Text], str]:
    """What a file with addresses holds, and a warning."""
    if "://" in file:
        raise ConfigError(
            "--notify-file: is an address, not a file",
            hint="write the address into a file that only you can read, and name that.",
        )
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
        readable = os.name == "posix" and Path(file).stat().st_mode & 0o004
    except (OSError, ValueError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else "is not text"
        raise ConfigError(
            f"{file}: the addresses cannot be read: {reason}",
            hint="name a file with an address a line with --notify-file.",
        ) from None  # the cause holds what was read
    warning = f"{file}: others can read the addresses (chmod 600 {file})" if readable else ""
    if file.lower().endswith((".yml", ".yaml")):
        return [Text(file, text, is_yaml=True)], warning
    lines = enumerate(text.split("\n"), 1)
    return [Text(f"{file}, line {at}", line) for at, line in lines], warning


def parsed(source: Text) -> tuple[list[Any], list[str]]:
    """The services behind the addresses in a text, and what it includes, as Apprise reads it."""
    from apprise import AppriseAsset, ConfigBase  # noqa: PLC0415

    asset = AppriseAsset(
        app_id="bulk-revoke", http_redirects=False, service_timeout=0, storage_mode="memory"
    )
    parse = ConfigBase.config_parse_yaml if source.is_yaml else ConfigBase.config_parse_text
    with warnings.catch_warnings(action="ignore"):  # what it says of libraries that it loads
        return parse(source.text, asset=asset)


def _entries(text: str) -> list[Any]:
    """What YAML lists as addresses: texts, or tables with an address as their key."""
    import yaml  # noqa: PLC0415 - what Apprise itself reads it with

    return list(yaml.safe_load(text)["urls"])


def _check_apart(source: Text) -> None:
    """Refuse a second address beside one: Apprise would tell the first host all of it.

    Raises:
        ConfigError: There is one.
    """
    found: list[Any] = []
    if source.is_yaml:
        with suppress(Exception):  # what is wrong with it is said by whoever reads all of it
            found = _entries(source.text)
    else:
        lines = source.text.split("\n")
        found = [line for line in lines if not line.lstrip().startswith(("#", ";"))]
    for at, each in enumerate(found, 1):
        addresses = each if isinstance(each, dict) else [each]
        if any(str(address).count("://") > 1 for address in addresses):
            entry = f", entry {at}" if source.is_yaml else ""
            raise ConfigError(
                f"{source.place}{entry}: holds a second ://",
                hint="give each address a line of its own, or in a list a text of its own; within"
                " one, a :// is written %3A%2F%2F.",
            )


def _promised(text: str) -> int:
    """Addresses that YAML lists; some that are spelled oddly Apprise leaves out in silence."""
    urls = [each if isinstance(each, dict) else {"://": each} for each in _entries(text)]
    listed = [value for url in urls for key, value in url.items() if "://" in str(key)]
    return sum(len(value) or 1 if isinstance(value, list) else 1 for value in listed)


def services_in(source: Text) -> list[Any]:
    """The services behind the addresses in a text, of which nothing may be left out in silence.

    Raises:
        ConfigError: Apprise cannot use all of it.
    """
    from apprise import NotifyBase  # noqa: PLC0415

    _check_apart(source)
    records: list[logging.LogRecord] = []

    def keep(record: logging.LogRecord) -> bool:
        records.append(record)
        return False  # nobody else sees it: addresses may stand in it

    logger = logging.getLogger("apprise")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addFilter(keep)
    try:
        services, includes = parsed(source)
        least = _promised(source.text) if source.is_yaml else source.least
    except Exception:  # noqa: BLE001 - some stumble over what they do not know
        services, includes, least = [None], [], 0
    finally:
        logger.removeFilter(keep)
        logger.setLevel(level)
    known = all(isinstance(each, NotifyBase) and each.enabled for each in services)
    warned = any(each.levelno >= logging.WARNING for each in records)
    if known and not warned and not includes and len(services) >= least:
        return services
    # Only a number of what it has said, and that behind the address.
    said = [at for each in records for at in re.findall(r"entry #(\d+)", each.getMessage())[-1:]]
    entry = f", entry {said[0]}" if source.is_yaml and said else ""
    raise ConfigError(
        f"{source.place}{entry}: Apprise cannot use this",
        hint="its documentation tells how to spell it; includes and templates are not followed.",
    )


def private_parts(service: Any) -> Iterator[str]:  # noqa: ANN401 - Apprise's own, hardly typed
    """A service's address, what in it Apprise calls private, and its own headers and parameters."""
    with suppress(Exception):  # one service's mistake; its address as it was written is hidden
        yield (url := service.url())
        parts = service.parse_url(url.replace("/#", "/%23")) or {}
        for name, each in (service.template_args | service.template_tokens).items():
            value = parts.get(each.get("map_to", name)) if each.get("private") else []
            value = value if isinstance(value, list | set | tuple) else [value or ""]
            yield from (spell(str(each)) for each in value for spell in (str, service.unquote))
        yield from (each for sign in "+-" for each in (parts.get(f"qsd{sign}") or {}).values())
