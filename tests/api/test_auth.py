from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from traceback import format_exception

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.api.auth import (
    CREDENTIAL,
    TOKEN_VARIABLE,
    Found,
    TokenFacts,
    TokenFile,
    check_token,
    expiry_warning,
    facts,
    find_token,
    soon_warning,
)
from batch.api.base_url import SAAS
from batch.errors import ConfigError, GuardError, told
from batch.formatting import timestamp
from tests.support.builders import calm
from tests.support.job_harness import some_ids

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 24, 12, 20, tzinfo=UTC)
NOTHING = TokenFacts(None, None)
EU = "https://api.eu.cryptlex.com/v3"
PREMISES = "https://licenses.example.com/v3"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text("from-file\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    directory = tmp_path / "credentials"
    directory.mkdir()
    (directory / CREDENTIAL).write_text("from-systemd\n")
    (directory / CREDENTIAL).chmod(0o600)
    return directory


def test_the_file_goes_before_the_environment_and_that_before_systemd(
    token_file: Path, credentials: Path
) -> None:
    environ = {TOKEN_VARIABLE: "from-environment", "CREDENTIALS_DIRECTORY": str(credentials)}

    assert find_token(str(token_file), environ, None) == Found("from-file", "", token_file)
    assert find_token(None, environ, None) == Found("from-environment")
    assert find_token(None, environ | {TOKEN_VARIABLE: " \n"}, None) == Found(
        "from-systemd", "", credentials / CREDENTIAL
    )


@pytest.mark.parametrize("padding", ["{}", "{}\n", "\n {}\t\r\n", "{}\r\n\r\n"])
def test_white_space_around_a_token_does_not_matter(token_file: Path, padding: str) -> None:
    token_file.write_text(padding.format("abc.DEF-123_~"))

    assert find_token(str(token_file), {}, None).token == "abc.DEF-123_~"
    assert find_token(None, {TOKEN_VARIABLE: padding.format("abc.DEF8")}, None).token == "abc.DEF8"


@pytest.mark.parametrize(
    "content", ["", "\n", "first\nsecond", "left right", "tökén", "a\x00b", "a\x7f", "x" * 16_385]
)
def test_what_is_no_token_is_refused_without_showing_it(token_file: Path, content: str) -> None:
    token_file.write_text(content, encoding="utf-8")

    with pytest.raises(ConfigError, match="holds no access token") as refused:
        find_token(str(token_file), {}, None)

    assert str(token_file) in str(refused.value)
    assert refused.value.hint
    for part in content.split():
        assert part not in str(refused.value) + refused.value.hint


@pytest.mark.parametrize("content", ["e", "abc.DEF"])
def test_what_is_too_short_for_a_token_is_refused_as_hiding_it_would_hide_everything(
    token_file: Path, content: str
) -> None:
    token_file.write_text(f" {content}\n")
    ways = (
        partial(find_token, str(token_file), {}, None),
        partial(find_token, None, {TOKEN_VARIABLE: content}, None),
        partial(find_token, None, {}, lambda: content),
    )

    for way in ways:
        with pytest.raises(ConfigError, match="holds no access token") as refused:
            way()
        assert "8 at the least" in refused.value.hint


@pytest.mark.parametrize("content", ["first\nsecond", "tökén"])
def test_an_environment_without_a_token_in_it_is_refused_by_its_name(content: str) -> None:
    with pytest.raises(ConfigError, match=TOKEN_VARIABLE) as refused:
        find_token(None, {TOKEN_VARIABLE: content}, None)

    assert content not in str(refused.value)


def test_a_file_that_is_not_text_is_refused(token_file: Path) -> None:
    token_file.write_bytes(b"\xff\xfet\x00")

    with pytest.raises(ConfigError, match="is not text") as refused:
        find_token(str(token_file), {}, None)

    assert refused.value.hint


@pytest.mark.parametrize("kind", ["missing", "directory"])
def test_a_file_that_cannot_be_read_is_refused(token_file: Path, kind: str) -> None:
    token_file.unlink()
    if kind == "directory":
        token_file.mkdir()

    with pytest.raises(ConfigError, match="cannot be read") as refused:
        find_token(str(token_file), {TOKEN_VARIABLE: "another"}, None)

    assert str(token_file) in str(refused.value)


@pytest.mark.parametrize("length", [10, 4000])
def test_a_token_in_the_place_of_its_file_is_not_repeated(length: int) -> None:
    token = jwt(sub="x" * length)

    with pytest.raises(ConfigError, match="names no file: it is a token itself") as refused:
        find_token(token, {}, None)

    error = refused.value
    assert token not in f"{told(error)} {error.hint} {''.join(format_exception(error))}"


@pytest.mark.skipif(os.name != "posix", reason="file modes")
@pytest.mark.parametrize(
    ("mode", "warned"), [(0o600, False), (0o640, False), (0o604, True), (0o644, True)]
)
def test_a_token_that_others_can_read_is_warned_of(
    token_file: Path, mode: int, warned: bool
) -> None:
    token_file.chmod(mode)

    token, warning, _ = find_token(str(token_file), {}, None)

    assert token == "from-file"
    assert bool(warning) is warned
    assert not warned or (str(token_file) in warning and "chmod 600" in warning)
    assert token not in warning


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_credentials_directory_without_our_file_is_no_token(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(ConfigError, match="no access token"):
        find_token(None, {"CREDENTIALS_DIRECTORY": str(tmp_path / name)}, None)


def test_a_token_is_never_taken_from_the_working_directory(
    credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(credentials)

    with pytest.raises(ConfigError, match="no access token"):
        find_token(None, {"CREDENTIALS_DIRECTORY": ""}, None)


def test_without_a_token_every_way_to_give_one_is_named() -> None:
    with pytest.raises(ConfigError, match="no access token") as refused:
        find_token(None, {}, None)

    for way in (TOKEN_VARIABLE, "--token-file", "--sandbox"):
        assert way in refused.value.hint


def unasked() -> str:
    pytest.fail("asked for a token that was given")


def test_nobody_is_asked_for_a_token_that_is_there(token_file: Path, credentials: Path) -> None:
    find_token(str(token_file), {}, unasked)
    find_token(None, {TOKEN_VARIABLE: "from-environment"}, unasked)
    find_token(None, {"CREDENTIALS_DIRECTORY": str(credentials)}, unasked)


def test_a_token_that_cannot_be_used_is_refused_and_not_asked_for(token_file: Path) -> None:
    token_file.unlink()

    with pytest.raises(ConfigError, match="cannot be read"):
        find_token(str(token_file), {}, unasked)
    with pytest.raises(ConfigError, match="holds no access token"):
        find_token(None, {TOKEN_VARIABLE: "left right"}, unasked)


@pytest.mark.parametrize("typed", ["abc.DEF-123_~", "  abc.DEF-123_~\t"])
def test_a_token_that_is_nowhere_is_asked_for(typed: str) -> None:
    assert find_token(None, {}, lambda: typed) == Found("abc.DEF-123_~")


@pytest.mark.parametrize("typed", ["", " \t"])
def test_no_answer_is_no_token(typed: str) -> None:
    with pytest.raises(ConfigError, match="no access token: nothing was sent"):
        find_token(None, {}, lambda: typed)


def test_where_nobody_can_be_asked_there_is_no_token() -> None:
    def nobody() -> str:
        raise GuardError("there is no terminal to ask on")

    with pytest.raises(ConfigError, match="no access token: nothing was sent") as refused:
        find_token(None, {}, nobody)

    assert TOKEN_VARIABLE in refused.value.hint


@pytest.mark.parametrize("typed", ["left right", "tökén", "abc\x1b[D"])
def test_an_answer_that_is_no_token_is_refused_without_showing_it(typed: str) -> None:
    with pytest.raises(ConfigError, match="what was typed holds no access token") as refused:
        find_token(None, {}, lambda: typed)

    for part in typed.split():
        assert part not in str(refused.value) + refused.value.hint


# Runs the command on the terminal whose number is the first argument, as a shell does, and tells
# how it leaves that terminal.
SHELL = """
import fcntl, signal, subprocess, sys, termios

signal.signal(signal.SIGINT, lambda *_: None)
terminal = int(sys.argv[1])
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
code = subprocess.call([sys.executable, "-m", "batch", *sys.argv[2:]])
print("the echo is", "on" if termios.tcgetattr(terminal)[3] & termios.ECHO else "off")
sys.exit(code)
"""


def run_without_token(home: Path, *python: str, terminal: int | None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *python, "run", "list.csv", "--base-url", "http://127.0.0.1:9/v3"],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        pass_fds=[] if terminal is None else [terminal],
    )


@pytest.mark.skipif(os.name != "posix", reason="there are no controlling terminals")
@pytest.mark.parametrize(
    ("keys", "code", "said"),
    [
        (b"abc.DEF\x03", 130, "interrupted by SIGINT: nothing was sent"),
        (b"\x04", 2, "error: no access token: nothing was sent"),
        (b"a" * 5000 + b"\n", 2, "error: what was typed is longer than a terminal takes"),
    ],
)
def test_who_gives_up_at_the_token_sends_nothing_and_has_the_terminal_back(
    tmp_path: Path, keys: bytes, code: int, said: str
) -> None:
    (tmp_path / "list.csv").write_text("license_id\n" + "\n".join(some_ids(3)))
    end, terminal = os.openpty()
    shell = ("-c", SHELL, str(terminal))

    with run_without_token(tmp_path, *shell, terminal=terminal) as process:
        try:
            assert select.select([end], [], [], 60)[0]
            question = os.read(end, 1000)
            os.write(end, keys)
            for _ in range(20):
                with suppress(subprocess.TimeoutExpired):
                    out, _ = process.communicate(timeout=3)
                    break
                # One that comes just before the process begins to read is not seen before the next.
                os.write(end, keys[-1:])
        finally:
            process.kill()
            os.close(end)
            os.close(terminal)

    assert question.startswith(b"Access token")
    assert process.returncode == code
    assert said in out
    assert "the echo is on" in out
    assert [path.name for path in tmp_path.iterdir()] == ["list.csv"]


def test_a_command_without_token_and_terminal_is_refused_with_every_way_to_give_one(
    tmp_path: Path,
) -> None:
    (tmp_path / "list.csv").write_text("license_id\n" + "\n".join(some_ids(3)))

    with run_without_token(tmp_path, "-m", "batch", terminal=None) as process:
        out, _ = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "error: no access token: nothing was sent" in out
    assert f"hint: set {TOKEN_VARIABLE}" in out


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


HEADER = encoded(b'{"alg": "none of them"}')


def signed(payload: bytes) -> str:
    return f"{HEADER}.{encoded(payload)}.sandbox"


def jwt(**claims: object) -> str:
    return signed(json.dumps(claims).encode())


SECONDS = st.integers(-62_135_596_800, 253_402_300_799)
SCOPES = st.lists(st.sampled_from(["license:read", "license:write", "account:read", "x"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@calm
@given(SECONDS, SCOPES)
def test_a_jwt_tells_when_it_expires_and_what_it_may_do(seconds: int, scopes: list[str]) -> None:
    known = TokenFacts(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(0, seconds), frozenset(scopes))

    assert facts(jwt(exp=seconds, scope=scopes, sub="somebody")) == known
    assert facts(jwt(exp=seconds, scope=" ".join(scopes))) == known
    assert facts(jwt(exp=seconds)) == TokenFacts(known.expires, None)
    assert facts(jwt(scope=scopes)) == TokenFacts(None, known.scopes)


def test_a_payload_may_use_the_whole_alphabet_of_a_jwt() -> None:
    token = jwt(sub="~~~???", scope=">>>")

    assert {"-", "_"} <= set(token)
    assert facts(token).scopes == frozenset({">>>"})


def test_a_moment_may_have_a_fraction() -> None:
    assert facts(jwt(exp=1_795_523_400.25)).expires == datetime(
        2026, 11, 24, 12, 30, 0, 250_000, tzinfo=UTC
    )


@calm
@given(st.integers() | st.floats())
def test_a_number_is_a_moment_where_the_calendar_has_one(number: float) -> None:
    expires = facts(jwt(exp=number)).expires

    if -62_135_596_800 <= number <= 253_402_300_799:
        assert expires is not None
        assert expires.timestamp() == pytest.approx(number, abs=1e-5)
    elif not 0 < number < 253_402_300_800:
        assert expires is None


@calm
@given(JSON.filter(lambda value: type(value) not in {int, float}))
def test_what_is_no_number_is_no_moment(claim: object) -> None:
    assert facts(jwt(exp=claim)).expires is None


@calm
@given(JSON.filter(lambda value: not isinstance(value, str | list)) | st.lists(JSON.filter(bool)))
def test_scopes_are_texts_and_nothing_else(claim: object) -> None:
    texts = isinstance(claim, list) and all(isinstance(text, str) for text in claim)

    assert (facts(jwt(scope=claim)).scopes is not None) is texts


@calm
@given(JSON.filter(lambda value: not isinstance(value, dict)))
def test_a_payload_that_is_no_object_tells_nothing(payload: object) -> None:
    assert facts(signed(json.dumps(payload).encode())) == NOTHING


@calm
@given(
    st.text(st.characters())
    | st.lists(st.text("abYZ09-_=+/.\n\u0664é"), min_size=2, max_size=4).map(".".join)
)
def test_a_text_that_is_no_jwt_tells_nothing(text: str) -> None:
    assert facts(text) == NOTHING


@calm
@given(st.binary())
def test_a_payload_of_any_bytes_is_no_accident(payload: bytes) -> None:
    assert isinstance(facts(signed(payload)), TokenFacts)


VALID = jwt(exp=0, scope=["license:write"])


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "...", "sandbox", VALID + ".", "." + VALID, VALID + "\n", " " + VALID,
        VALID.removesuffix(".sandbox"), VALID.removesuffix("sandbox"), VALID + "é",
        VALID.replace(".sandbox", "=.sandbox"), f"{HEADER}.e.sandbox",
        signed(b""), signed(b"{"), signed(b"\xff"), signed('{"exp": 1}'.encode("utf-16")),
        signed(b"[" * 200_000), signed(b'{"exp": ' + b"9" * 5000 + b"}"),
        signed(b'{"exp": 1, "scope": [' + b"[" * 200_000),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_jwt_tells_nothing(token: str) -> None:
    assert facts(VALID) != NOTHING

    assert facts(token) == NOTHING


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e400", "1e20", "253402300800", "9" * 400]
)
def test_a_number_that_is_no_moment_is_not_known(number: str) -> None:
    assert facts(signed(b'{"exp": %s, "scope": "x"}' % number.encode())) == TokenFacts(
        None, frozenset({"x"})
    )


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def test_an_expired_token_is_refused_with_since_when() -> None:
    token = jwt(exp=seconds(datetime(2026, 11, 24, 9, 15, tzinfo=UTC)), scope="license:write")

    with pytest.raises(ConfigError) as refused:
        check_token(token, needs="license:write", base_url=SAAS, now=NOW)

    assert str(refused.value) == (
        "the access token expired 3 h 05 min ago, at 2026-11-24T09:15:00.000Z"
    )
    assert "make a new one" in refused.value.hint

    with pytest.raises(ConfigError, match="expired 1,105 days ago, at 2023-11-14T22:13:20"):
        check_token(jwt(exp=1_700_000_000), needs="license:write", base_url=SAAS, now=NOW)


@pytest.mark.parametrize(("left", "expired"), [(-1, True), (0, True), (1, False)])
def test_a_token_may_be_used_until_the_moment_it_expires(left: int, expired: bool) -> None:
    token = jwt(exp=seconds(NOW) + left)

    try:
        check_token(token, needs="license:write", base_url=SAAS, now=NOW)
    except ConfigError as refused:
        said = str(refused)
    else:
        said = ""

    assert ("expired" in said) is expired


@pytest.mark.parametrize(
    ("scopes", "needs", "enough"),
    [
        (["license:write"], "license:write", True),
        (["account:read", "license:write"], "license:write", True),
        (["license:read"], "license:write", False),
        (["license:writer", "license"], "license:write", False),
        ([], "license:write", False),
        (["license:read"], "license:read", True),
        (["license:write"], "license:read", True),
        (["account:read"], "license:read", False),
        ("license:read license:write", "license:write", True),
        ("license:read", "license:write", False),
        (["license:read", 1], "license:write", True),
        (None, "license:write", True),
    ],
)
def test_a_token_that_is_known_to_lack_the_scope_is_refused(
    scopes: object, needs: str, enough: bool
) -> None:
    token = jwt(scope=scopes)

    try:
        check_token(token, needs=needs, base_url=SAAS, now=NOW)
    except ConfigError as refused:
        said = [str(refused), refused.hint]
    else:
        said = []

    assert len(said) == (0 if enough else 2)
    assert all(needs in text for text in said)


@pytest.mark.parametrize("token", ["sandbox", "a.b.c", jwt(), jwt(exp="soon", scope={})])
def test_a_token_that_tells_nothing_passes_without_a_word(token: str) -> None:
    check_token(token, needs="license:write", base_url=SAAS, now=NOW)

    assert expiry_warning(token, end=NOW) == ""


def test_a_token_that_expires_during_the_run_is_warned_of() -> None:
    token = jwt(exp=seconds(NOW), scope="license:write")

    warning = expiry_warning(token, end=NOW + timedelta(hours=2, minutes=47))

    assert warning == (
        "the access token expires at 2026-11-24T12:20:00.000Z, 2 h 47 min before the expected end "
        "of the run, which would stop then"
    )


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (14 * 86_400, "14 days"),
        (2 * 86_400, "2 days"),
        (2 * 86_400 - 60, "47 h 59 min"),
        (9, "9 s"),
    ],
)
def test_a_token_that_expires_within_two_weeks_is_spoken_of(left: int, said: str) -> None:
    warning = soon_warning(jwt(exp=seconds(NOW) + left), now=NOW)

    at = timestamp(NOW + timedelta(seconds=left))
    assert warning == f"the access token expires in {said}, at {at}: make a new one in time"


@pytest.mark.parametrize("token", [jwt(exp=seconds(NOW) + 14 * 86_400 + 1), jwt(), "sandbox"])
def test_of_a_token_that_lasts_longer_or_does_not_tell_nothing_is_said(token: str) -> None:
    assert soon_warning(token, now=NOW) == ""


@pytest.mark.parametrize("later", [0, 1, 86_400])
def test_a_token_that_outlives_the_run_is_not_warned_of(later: int) -> None:
    assert expiry_warning(jwt(exp=seconds(NOW) + later), end=NOW) == ""


@pytest.mark.parametrize("claims", [{"exp": 1}, {"scope": ["secret:scope"]}])
def test_nothing_of_a_token_stands_in_a_message(claims: dict[str, object]) -> None:
    token = jwt(**claims, sub="somebody")

    with pytest.raises(ConfigError) as refused:
        check_token(token, needs="license:write", base_url=SAAS, now=NOW)
    said = str(refused.value) + refused.value.hint + expiry_warning(token, end=NOW)

    for part in (*token.split("."), "somebody", "secret:scope"):
        assert part not in said


@pytest.mark.parametrize(
    ("audience", "base_url"),
    [
        ("https://api.eu.cryptlex.com", SAAS),
        ("api.eu.cryptlex.com", SAAS),
        ("https://API.EU.Cryptlex.com:443/v3/", SAAS),
        (["api.eu.cryptlex.com."], SAAS),
        (["https://licenses.example.com", "https://api.eu.cryptlex.com/v3"], SAAS),
        ("https://api.cryptlex.com", EU),
        ("https://api.cryptlex.com", "https://API.eu.cryptlex.com./v3"),
    ],
)
def test_a_token_for_another_host_of_the_vendor_is_refused(audience: object, base_url: str) -> None:
    meant, given = ("eu.cryptlex", "api.cryptlex") if base_url == SAAS else ("api.cryptlex", ".eu.")

    with pytest.raises(ConfigError, match="the access token is for") as refused:
        check_token(jwt(aud=audience), needs="license:write", base_url=base_url, now=NOW)

    is_for, _, is_given = str(refused.value).partition(", and not for ")
    assert meant in is_for
    assert given in is_given
    assert f"--base-url {EU if base_url == SAAS else SAAS}," in refused.value.hint


@pytest.mark.parametrize(
    ("audience", "base_url"),
    [
        ("https://api.cryptlex.com", SAAS),
        ("api.cryptlex.com", f"{SAAS}/"),
        ("HTTPS://API.CRYPTLEX.COM./v3", SAAS),
        (["https://api.eu.cryptlex.com", "https://api.cryptlex.com"], SAAS),
        (["https://api.eu.cryptlex.com"], EU),
        ("https://api.eu.cryptlex.com", "https://api.eu.cryptlex.com./v3"),
        ("https://cryptlex.com", SAAS),
        ("https://licenses.example.com", SAAS),
        ("https://api.eu.cryptlex.com.example.com", SAAS),
        ("https://api.eu.cryptlex.com", PREMISES),
        ("https://api.cryptlex.com", "http://127.0.0.1:8080/v3"),
        ("licensing", SAAS),
        ("", SAAS),
        ("http://[", SAAS),
        (None, SAAS),
        (7, SAAS),
        ([7, None, ["https://api.eu.cryptlex.com"]], SAAS),
        ({"https://api.eu.cryptlex.com": 1}, SAAS),
    ],
)
def test_a_token_that_names_no_other_host_of_the_vendor_passes(
    audience: object, base_url: str
) -> None:
    check_token(jwt(aud=audience), needs="license:write", base_url=base_url, now=NOW)


def rotated(token_file: Path) -> tuple[TokenFile, list[str]]:
    """The file of a token, read once, and what it has hidden."""

    def check(token: str) -> None:
        check_token(token, needs="license:write", base_url=SAAS, now=NOW)

    hidden: list[str] = []
    found = find_token(str(token_file), {}, None)
    assert found.file is not None
    return TokenFile(found.token, found.file, check=check, hide=hidden.append), hidden


def test_a_token_file_brings_each_other_token_once(token_file: Path) -> None:
    tokens, hidden = rotated(token_file)

    assert tokens.another() is None
    for content, brought in (
        ("second-one", "second-one"), ("second-one\n", None), ("third-one", "third-one"),
        ("from-file", None), ("second-one", None),
    ):  # fmt: skip
        token_file.write_text(content)
        assert tokens.another() == brought

    assert hidden == ["second-one", "third-one"]


@pytest.mark.parametrize(
    "content",
    ["", "two words", "short", jwt(exp=seconds(NOW)), jwt(scope=["license:read"]),
     jwt(aud="https://api.eu.cryptlex.com")],
)  # fmt: skip
def test_a_token_that_is_of_no_use_is_no_other_token(token_file: Path, content: str) -> None:
    tokens, hidden = rotated(token_file)
    token_file.write_text(content)

    assert tokens.another() is None

    assert hidden == []
    token_file.write_text("second-one")
    assert tokens.another() == "second-one"


@pytest.mark.skipif(os.name != "posix", reason="there are no named pipes")
@pytest.mark.parametrize("kind", ["gone", "pipe", "directory", "in a file", "not text"])
def test_a_token_file_that_cannot_be_read_again_brings_nothing(token_file: Path, kind: str) -> None:
    tokens, _ = rotated(token_file)
    token_file.unlink()
    if kind == "pipe":
        os.mkfifo(token_file)  # nobody will ever write into it
    elif kind == "directory":
        token_file.mkdir()
    elif kind == "in a file":
        token_file.parent.rename(token_file.parent.with_name("moved"))
        token_file.parent.write_text("no directory")
    elif kind == "not text":
        token_file.write_bytes(b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe")

    assert tokens.another() is None
