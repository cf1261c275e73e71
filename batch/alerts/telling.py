"""Who is told how a command ended, by a process that cannot outlast its time."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired
from typing import TYPE_CHECKING

import batch
from batch.alerts.addresses import SHORTEST_SECRET, Text, content_of, private_parts, services_in
from batch.errors import ConfigError
from batch.token import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch.ending import Ending

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
            raise ConfigError(
                f"alerts need Apprise, which cannot be imported: {cause}",
                hint="pip install 'bulk-revoke[notify]'",
            ) from cause
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
        """What the child is told, as `child` reads it."""
        message = {
            "title": ending.title,
            "body": f"{ending.text}\nhost: {socket.gethostname()}",
            "notify_type": {0: "success", 1: "warning"}.get(ending.exit_code, "failure"),
        }
        order = {"texts": self._texts, "message": message, "seconds": seconds}
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
    command = [sys.executable or "", "-P", "-m", "batch.alerts.child"]
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
