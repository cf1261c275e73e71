"""The address of the API: what a base URL may be, whose it is, and through which proxy it goes."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from batch.errors import ConfigError

SAAS = "https://api.cryptlex.com/v3"
"""The vendor's own installation, which limits the rate of every IP address."""

_SUPERFLUOUS = re.compile(r"[^!-~]|[?#@\\]")
"""Characters that no base URL may hold: of login, query, fragment; blanks, controls, non-ASCII."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

_LABEL = r"[0-9a-z_-]{1,63}"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?|[0-9a-f:]*:[0-9a-f:.]*(?:%[0-9a-z._-]+)?")
"""A host name or an IPv4 address, or an IPv6 address with or without a zone.

No name server can be asked for a label that is empty or longer (RFC 1035, section 2.3.4)."""


def check_base_url(text: str) -> str:
    """Return a base URL without a slash at its end.

    Raises:
        ConfigError: It is no URL, or the token would travel in the clear.
    """
    url = text.strip().rstrip("/")
    if _SUPERFLUOUS.search(url):
        # It is not repeated here: a password may stand in it.
        raise ConfigError(
            "may hold scheme, host, port and path alone",
            option="--base-url",
            hint=f"it looks like {SAAS}: no login, no query, no blanks.",
        )
    parts = _http_url(url)
    if parts is None:
        raise ConfigError(
            f"{url} is no http(s) URL",
            option="--base-url",
            hint=f"it looks like {SAAS}, version included.",
        )
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ConfigError(
            f"{url}: plain http would send the token in the clear",
            option="--base-url",
            hint="use https; only this very machine (127.0.0.1) may be reached by http.",
        )
    return url


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine, without asking a name server."""
    import ipaddress  # noqa: PLC0415 - --help needs none of it

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def is_saas(base_url: str) -> bool:
    """Tell whether this is the vendor's own installation, with its rate limit."""
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    return host == "cryptlex.com" or host.endswith(".cryptlex.com")


def label(base_url: str) -> str:
    """Host and port, as messages call an installation."""
    return urlsplit(base_url).netloc


def proxy_for(base_url: str) -> str | None:
    """Return the proxy that the environment names for a URL; never one for loopback.

    Raises:
        ConfigError: It is of a kind that cannot be used.
    """
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 - as above

    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(host) or proxy_bypass(parts.netloc):
        return None
    proxies = getproxies()
    proxy = (proxies.get(parts.scheme) or proxies.get("all") or "").strip()
    if not proxy:
        return None
    scheme = _SCHEME.match(proxy)
    if scheme is None:
        proxy = f"http://{proxy}"
    elif scheme[0].lower() not in {"http://", "https://"}:
        raise ConfigError(
            f"the environment names a proxy of kind {scheme[0].lower()}",
            hint="only http:// and https:// proxies can be used; see HTTPS_PROXY, NO_PROXY.",
        )
    if _http_url(proxy) is None:
        # It is not repeated here: a password may stand in it.
        raise ConfigError(
            "the environment names a proxy with a URL that cannot be read",
            hint="it looks like http://proxy.example.com:3128; see HTTPS_PROXY, NO_PROXY.",
        )
    return proxy


def _http_url(url: str) -> SplitResult | None:
    """The parts of an http(s) URL, or None if it is none."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} and _HOST.fullmatch(host) else None
