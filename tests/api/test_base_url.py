"""What may be a base URL, whose installation it is, and through which proxy it is reached."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.api.base_url import SAAS, check_base_url, is_loopback, is_saas, label, proxy_for
from batch.errors import ConfigError

API = "https://api.example.test/v3"
PROXY = "http://proxy.example.test:3128"


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def refusal(url: str) -> str:
    """All that a user is told of a base URL that is refused."""
    with pytest.raises(ConfigError) as caught:
        check_base_url(url)
    return f"{caught.value!s}\n{caught.value.hint}"


# Base URLs


@pytest.mark.parametrize(
    "url",
    [SAAS, "https://licenses.example.com/v3", "https://licenses.example.com",
     "https://licenses.example.com:8443/api/v3", "https://192.0.2.7/v3", "https://[2001:db8::7]/v3",
     "https://[2001:db8::7]:8443/v3", "http://127.0.0.1:8080/v3", "http://127.8.9.10/v3",
     "http://[::1]:8080/v3", "http://localhost/v3", "http://localhost.:8080/v3",
     f"https://{'a' * 63}.com/v3", "HTTPS://API.Example.COM/v3", "https://licenses.example.com/a%20b/v3"],
)  # fmt: skip
def test_an_installation_may_have_any_host_port_and_path(url: str) -> None:
    assert check_base_url(url) == url


@pytest.mark.parametrize("written", [f"{API}/", f"{API}///", f"  {API}/ \n", f"\t{API}"])
def test_blanks_around_a_base_url_and_slashes_at_its_end_do_not_count(written: str) -> None:
    assert check_base_url(written) == API


@pytest.mark.parametrize(
    "url",
    ["", "/", "api.cryptlex.com", "api.cryptlex.com/v3", "//api.cryptlex.com/v3", "https://",
     "https:///v3", "https:api.cryptlex.com", "ftp://api.cryptlex.com/v3", "file:///etc/passwd",
     "socks5://127.0.0.1", "javascript:alert(1)", "https://[::1/v3", "https://::1/v3",
     "https://h:99999/v3", "https://h:-1/v3", "https://h:x/v3", "https://a..b/v3",
     "https://.cryptlex.com/v3", "https://api.cryptlex.com../v3", f"https://{'a' * 64}.com/v3"],
)  # fmt: skip
def test_what_is_no_http_url_with_a_host_is_refused(url: str) -> None:
    assert refusal(url).startswith("--base-url")


@pytest.mark.parametrize(
    "url",
    ["https://h/v3?", "https://h/v3?a=b", "https://h/v3#", "https://h/v3#a", "https://@h/v3",
     "https://:@h/v3", "https://user@h/v3", "https://h/a b", "https://h /v3", "https://h/\nX: y",
     "https://h/v3\r\nX: y", "https://h\x00/v3", "https://h\t/v3", "https://h/v\x7f3",
     "https://licenses.exämple.com/v3", "https://api.cryptlex\uff0ecom/v3",
     "https://h\\@evil.example.com/v3", "https://evil.example.com\\.h/v3"],
)  # fmt: skip
def test_a_base_url_is_nothing_but_scheme_host_port_and_path(url: str) -> None:
    assert "scheme, host, port and path alone" in refusal(url)


@pytest.mark.parametrize(
    "url",
    ["https://user:secret@h/v3", "https://:secret@h/v3", "https://secret@h/v3",
     "https://user:secret@h:bad/v3", "https://user:secret@[::1/v3", "https://user:secret@",
     "ftp://user:secret@h/v3", "user:secret@h/v3", "http://user:secret@h/v3",
     "https://user:secret/more@h/v3", "https://user:more?secret@h", "https://user:a#secret@h",
     "https://user:secret ä@h", "https://h/v3?token=secret", "ftp://h/?token=secret",
     "https://h:bad/?token=secret", "https://h/#secret", "https://user:se\ncret@h"],
)  # fmt: skip
def test_a_refusal_never_repeats_a_password(url: str) -> None:
    told = refusal(url)

    assert "secret" not in told
    assert "cret@" not in told


def test_a_password_is_not_in_the_traceback_of_a_refusal_either() -> None:
    with pytest.raises(ConfigError) as caught:
        check_base_url("https://user:4711secret/more@h/v3")

    assert "secret" not in repr(caught.value.__cause__)
    assert "secret" not in repr(caught.value.__context__)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1.example.com", "0.0.0.0", "192.168.1.1", "10.0.0.1", "128.0.0.1", "126.255.255.255",  # noqa: S104
     "localhost.example.com", "example.localhost", "notlocalhost", "127.1", "2130706433",
     "0x7f.0.0.1", "0177.0.0.1", "[::]", "[::2]", "[fe80::1]", "[::ffff:10.0.0.1]",
     "api.cryptlex.com"],
)  # fmt: skip
def test_plain_http_is_refused_for_every_host_but_this_machine(host: str) -> None:
    assert "in the clear" in refusal(f"http://{host}/v3")


@given(st.text(max_size=40))
def test_any_text_is_a_base_url_or_a_refusal(text: str) -> None:
    try:
        url = check_base_url(text)
    except ConfigError:
        return

    assert url.isascii()
    assert not url.endswith("/")
    assert check_base_url(url) == url


# Whose it is


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.2", "127.255.255.254", "::1", "localhost", "LocalHost",
             "localhost."],
)  # fmt: skip
def test_this_machine_is_known_by_its_loopback_addresses_and_its_name(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "127.0.0.1.example.com", "localhost.example.com", "127.0.0.256",  # noqa: S104
             "128.0.0.1", "127.0.0.1 ", "l\u03bfcalhost"],
)  # fmt: skip
def test_nothing_else_is_taken_for_this_machine(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "url",
    [SAAS, "https://API.CRYPTLEX.COM/v3", "https://api.cryptlex.com./v3",
     "https://Api.Cryptlex.Com.:443/v3", "https://cryptlex.com", "https://eu.api.cryptlex.com/v3",
     "HTTPS://api.cryptlex.com"],
)  # fmt: skip
def test_the_vendors_own_installation_is_known_however_it_is_written(url: str) -> None:
    assert is_saas(check_base_url(url))


@pytest.mark.parametrize(
    "url",
    ["https://evilcryptlex.com/v3", "https://cryptlex.com.example.com", "https://cryptlex.company",
     "https://example.com/api.cryptlex.com", "https://127.0.0.1/v3", "https://[::1]/v3"],
)  # fmt: skip
def test_no_other_installation_is_taken_for_the_vendors(url: str) -> None:
    assert not is_saas(check_base_url(url))


@pytest.mark.parametrize(
    ("url", "expected"),
    [(SAAS, "api.cryptlex.com"), ("https://h:8443/v3", "h:8443"), ("http://[::1]:80", "[::1]:80")],
)
def test_an_installation_is_called_by_host_and_port(url: str, expected: str) -> None:
    assert label(url) == expected


# Proxies


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_the_environment_names_the_proxy(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, PROXY)

    assert proxy_for(API) == PROXY


def test_the_proxy_of_the_scheme_goes_before_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://other.example.test:1")
    monkeypatch.setenv("HTTP_PROXY", "http://other.example.test:2")
    monkeypatch.setenv("HTTPS_PROXY", PROXY)

    assert proxy_for(API) == PROXY


def test_without_a_proxy_in_the_environment_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proxy_for(API) is None

    monkeypatch.setenv("HTTPS_PROXY", "")
    assert proxy_for(API) is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v3", "http://[::1]:1/v3", "https://127.3.2.1",
                                 "https://localhost/v3", "https://LOCALHOST./v3"])  # fmt: skip
def test_this_machine_is_never_reached_through_a_proxy(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, PROXY)

    assert proxy_for(url) is None


@pytest.mark.parametrize(
    "exceptions",
    ["api.example.test", "example.test", ".example.test", "*", "other.test, api.example.test",
     "API.EXAMPLE.TEST", "api.example.test:443"],
)  # fmt: skip
def test_no_proxy_is_honoured(exceptions: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", exceptions)

    assert proxy_for("https://api.example.test:443/v3") is None


@pytest.mark.parametrize("exceptions", ["pi.example.test", "test.example", "api.example.test:1"])
def test_no_proxy_means_only_whom_it_names(
    exceptions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", exceptions)

    assert proxy_for("https://api.example.test:443/v3") == PROXY


def test_no_proxy_may_name_an_ipv6_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", "2001:db8::7")

    assert proxy_for("https://[2001:db8::7]:8443/v3") is None


@pytest.mark.parametrize("written", ["proxy.example.test:3128", "user:pass@proxy.example.test:80"])
def test_a_proxy_without_a_scheme_is_an_http_proxy(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", written)

    assert proxy_for(API) == f"http://{written}"


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "SOCKS", "ftp"])
def test_a_proxy_that_speaks_no_http_is_refused(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://user:secret@127.0.0.1:1080")

    with pytest.raises(ConfigError) as caught:
        proxy_for(API)

    assert f"{scheme.lower()}://" in str(caught.value)
    assert "secret" not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize(
    "proxy",
    ["http://", "http://:3128", "http://[::1", "http://user:secret@", "http://user:secret@h:bad",
     "http://user:secret@h:99999", "http://user:secret@[::1", "http://user:secret/a@h:1",
     "http://user:secret@a b:1", "user:secret@h:bad", "user:secret://a@h",
     "http://user:secret@h<>:1"],
)  # fmt: skip
def test_a_proxy_that_cannot_be_read_is_refused_without_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)

    with pytest.raises(ConfigError) as caught:
        proxy_for(API)

    assert "secret" not in str(caught.value) + caught.value.hint
    assert "secret" not in repr(caught.value.__context__)
