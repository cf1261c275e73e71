"""The address of the API: what a base URL may be, whose it is, and through which proxy it goes."""

from __future__ import annotations

from urllib.parse import urlsplit

from batch.errors import ConfigError

SAAS = "https://api.cryptlex.com/v3"
"""The vendor's own installation, which limits the rate of every IP address."""


def check_base_url(text: str) -> str:
    """Return a base URL without a slash at its end.

    Raises:
        ConfigError: It is no URL, or the token would travel in the clear.
    """
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as cause:
        raise ConfigError(f"--base-url {text}: {cause}") from cause
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigError(
            f"--base-url {text}: is no http(s) URL", hint=f"it looks like {SAAS}, version included."
        )
    if parts.username or parts.password or parts.query or parts.fragment or not url.isascii():
        raise ConfigError(
            f"--base-url {parts.scheme}://{host}…: only scheme, host, port and path are allowed"
        )
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"--base-url {url}: plain http would send the token in the clear",
            hint="use https; only this very machine (127.0.0.1) may be reached by http.",
        )
    return url


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine, without asking a name server."""
    import ipaddress  # noqa: PLC0415 - --help needs none of it

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def is_saas(base_url: str) -> bool:
    """Whether this is the vendor's own installation, with its rate limit."""
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
    if is_loopback(host) or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and urlsplit(proxy).scheme not in {"http", "https"}:
        raise ConfigError(
            f"the environment names a proxy of kind {urlsplit(proxy).scheme or 'unknown'}://",
            hint="only http:// and https:// proxies can be used; see HTTPS_PROXY, NO_PROXY.",
        )
    return proxy or None
