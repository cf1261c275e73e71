"""Alerts: who was not there is told how a command ended, through Apprise.

A child process delivers them, since a server that drips a byte a second outlasts every time-out of
a library: the child is killed when the time is over, and nothing of it is left behind. What it has
to know, addresses and all, goes to it through a pipe, never as an argument or in the environment.

What goes by HTTP goes through the proxies that the environment names, never for loopback, and
without ``~/.netrc`` (requests heeds both by itself: "Proxies" and "netrc Authentication" in its
documentation). A redirect is not followed unless the address says ``?redirect=yes``: a GET takes
the place of the POST, and its answer looks like a delivery. Certificates are checked against those
that requests brings, or ``REQUESTS_CA_BUNDLE`` names. Nothing is kept on the disk.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import re
import socket
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import TYPE_CHECKING, Any, NamedTuple

import batch
from batch.api.auth import TOKEN_VARIABLE
from batch.errors import ConfigError, needs_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batch.reporting.summary import Ending


SHORTEST_SECRET = 4
"""Characters of a secret that can be hidden: what takes its place would spell out a shorter one."""


class Text(NamedTuple):
    """Addresses as Apprise spells them, where they stand, and how many there are at least."""

    place: str
    text: str
    is_yaml: bool = False
    least: int = 0


def content_of(file: str) -> tuple[list[Text], str]:
    """Return the texts of a file with addresses, and a warning if others can read it."""
    if "://" in file:
        raise ConfigError(
            "is an address, not a file",
            option="--notify-file",
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
    """Return the addresses that YAML lists: texts, or tables with an address as their key."""
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
    """The services behind the addresses in a text; no part of it is ignored in silence.

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


_URL = re.compile(r"[a-z0-9]{1,32}://\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Alerts:
    """Addresses that Apprise can use, and how to tell them.

    Attributes:
        warning: What is dangerous about the file that they stand in, or empty.
        secrets: Texts that must appear nowhere, the longest first: the addresses, and what in them
            Apprise knows to be private.
    """

    warning: str = ""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    _kinds: tuple[str, ...] = ()
    _texts: tuple[Text, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, urls: Sequence[str], file: str | None) -> Alerts:
        """Read addresses, and check that Apprise can use them; nothing is sent.

        Args:
            urls: Addresses as Apprise spells them.
            file: Path of a file with more, or None: YAML where its name ends in ``.yml`` or
                ``.yaml``, else an address a line, and ``#`` begins a comment. Tags make no
                difference: all are told.

        Raises:
            ConfigError: Apprise is not installed, the file cannot be read or holds no address, or
                an address cannot be used. No message shows any of an address.
        """
        try:
            import apprise  # noqa: F401, PLC0415 - an extra, and a third of a second
        except (ImportError, OSError) as cause:
            raise needs_extra("alerts need", "Apprise", "notify", cause) from cause
        listed = [(f"notify, address {at} of {len(urls)}", url) for at, url in enumerate(urls, 1)]
        texts = [Text(place, url, least=1) for place, url in listed]
        more, warning = ([], "") if file is None else content_of(file)
        services = [service for text in (*texts, *more) for service in services_in(text)]
        if file is not None and len(services) == len(urls):
            raise ConfigError(f"{file}: holds no address", hint="write one a line.")
        texts += more
        secrets = {found[0].rstrip("'\":,") for each in texts for found in _URL.finditer(each.text)}
        secrets.update(*map(private_parts, services))
        hidden = sorted((each for each in secrets if len(each) >= SHORTEST_SECRET), key=len)
        kinds = tuple(min(service.schemas()) for service in services)
        return cls(warning, tuple(reversed(hidden)), kinds, tuple(texts))

    def send(self, ending: Ending, *, seconds: float = 30) -> str:
        """Tell all of them at once how a command ended, within so many seconds.

        Whatever goes wrong is returned, not raised, since it must not change the exit code. That
        goes for an interrupt as well: who sends one wants this to end, and it does.

        Returns:
            A sentence about what was not delivered as far as is known; empty if all was.
        """
        if not self._kinds:
            return ""
        try:
            heard, trouble = _hand_over(self._order(ending, seconds), seconds)
        except (Exception, KeyboardInterrupt) as cause:  # noqa: BLE001 - as above
            heard, trouble = b"", getattr(cause, "strerror", None) or type(cause).__name__
        missing = [kind for at, kind in enumerate(self._kinds) if b"told:%d\n" % at not in heard]
        if not missing:
            return ""
        verb = "was" if len(missing) == 1 else "were"
        which = ", ".join(dict.fromkeys(missing)) + (f" ({trouble})" if trouble else "")
        return f"{len(missing)} of {len(self._kinds)} alerts {verb} not delivered: {which}"

    def _order(self, ending: Ending, seconds: float) -> bytes:
        """Return the order to the child, as `_deliver` reads it."""
        message = {
            "title": ending.title,
            "body": f"{ending.text}\nhost: {socket.gethostname()}",
            "notify_type": {0: "success", 1: "warning"}.get(ending.exit_code, "failure"),
        }
        order = {
            "texts": self._texts, "message": message, "seconds": seconds, "page": ending.page,
        }  # fmt: skip
        # Half a character, as in the name of a file that is no text, can be sent nowhere.
        return json.dumps(order, ensure_ascii=False).encode(errors="replace")


def _environment() -> dict[str, str]:
    """The child's environment: this very package, no token of ours, and no login for a host.

    And no log of TLS keys: where it cannot be written, no connection would be made.
    """
    left_out = {TOKEN_VARIABLE, "SSLKEYLOGFILE"}
    found = {name: value for name, value in os.environ.items() if name not in left_out}
    paths = (str(Path(batch.__file__).parents[1]), found.get("PYTHONPATH"))
    direct = found.get("no_proxy") or found.get("NO_PROXY") or ""
    if direct.strip() != "*":
        direct = ",".join(filter(None, (direct, "localhost,127.0.0.1,127.0.0.0/8,::1")))
    found["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return found | {"NETRC": os.devnull, "no_proxy": direct}


def _hand_over(order: bytes, seconds: float) -> tuple[bytes, str]:
    """Let a child deliver: the number of each address that was told, and what went wrong."""
    command = [sys.executable or "", "-P", "-m", "batch.reporting.alerts"]
    child = Popen(command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=_environment(), cwd=os.sep)  # noqa: S603
    try:
        heard, _ = child.communicate(order, timeout=seconds)
    except TimeoutExpired:
        trouble = f"{seconds:g} s were not enough"
    except KeyboardInterrupt:
        trouble = "interrupted"
    else:
        return heard, f"the process ended with {child.returncode}" if child.returncode else ""
    finally:
        child.kill()
    try:
        heard, _ = child.communicate(timeout=1)
    except TimeoutExpired as late:  # whoever has inherited the pipe still holds it
        heard = late.output or b""
        assert child.stdout is not None
        child.stdout.close()
        child.poll()
    return heard, trouble


MOST_PARTS = 5  # Apprise waits 5.5 s between two, and some services take money for each
"""Messages that a text becomes at most where a service does not take it in one; else it is cut."""


def _deliver() -> None:
    """Tell every address, and write the number of each that was told."""
    answer = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a service may print what it likes
    order = json.load(sys.stdin.buffer)
    faulthandler.dump_traceback_later(order["seconds"], exit=True)  # for a parent that was killed
    services = [each for text in order["texts"] for each in parsed(Text(*text))[0]]
    with ThreadPoolExecutor(len(services)) as tellers:
        for at, service in enumerate(services):
            tellers.submit(_tell, service, order["message"], order["page"], answer, at)
    os._exit(0)  # whatever else goes on


def _tell(service: Any, message: dict[str, Any], page: str, answer: int, at: int) -> None:  # noqa: ANN401
    """Tell an address, and write its number if it was told; a page goes with it where it can."""
    from apprise import Apprise, NotifyBase, NotifyFormat, OverflowMode  # noqa: PLC0415

    # Where Apprise knows of a limit, and the address does not say what to do about it.
    if service.body_maxlen != NotifyBase.body_maxlen and "overflow_mode" not in vars(service):
        fits = len(message["body"]) <= MOST_PARTS * service.body_maxlen
        service.overflow_mode = OverflowMode.SPLIT if fits else OverflowMode.TRUNCATE
    told = Apprise([service], asset=service.asset)
    tell = partial(told.notify, **message, body_format=NotifyFormat.TEXT, interpret_escapes=False)
    # Rather twice than not at all: who refuses the file may have taken the text.
    if (page and service.attachment_support and tell(attach=_attachment(page))) or tell():
        os.write(answer, b"told:%d\n" % at)


def _attachment(page: str) -> Any:  # noqa: ANN401 - Apprise's own
    """A file as Apprise takes it; a path alone would be read as an address."""
    from apprise import AppriseAttachment  # noqa: PLC0415
    from apprise.attachment.file import AttachFile  # noqa: PLC0415

    found = AppriseAttachment()
    found.add(AttachFile(page))  # type: ignore[no-untyped-call]
    return found


if __name__ == "__main__":
    _deliver()
