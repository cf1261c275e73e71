from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from base64 import b64decode
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from batch.errors import ConfigError
from batch.reporting.alerts import MOST_PARTS, SHORTEST_SECRET, Alerts
from batch.reporting.summary import Ending
from tests.support.builders import calm
from tests.support.receivers import black_hole, free_port, mailbox, webhook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]

SECRET = "hunter2hunter2"
TOKENS = ("T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ")
SLACK = f"slack://{'/'.join(TOKENS)}"

TEXT = """\
  revoked 18 · unknown 1
  row 4711  23d9646c-34f5-4d37-adeb-f7f77b927bdb  unknown    <no_answer> & *5* attempts \\n
\tresults: /srv/runs/a_b_c.csv  "木" {0} %s $HOME :smile:
again:   bulk-revoke run l.csv --resume"""

LENIENT = 30
"""Seconds after which something hangs; a child takes one to start, and more where others work."""

PATIENT = "?rto=60"
"""How an address says that Apprise itself is to wait for an answer, which it does for 4 s."""

posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX")


def ending(
    exit_code: int = 1, *, title: str = "2 are NOT revoked", text: str = TEXT, page: str = ""
) -> Ending:
    return Ending("run", exit_code, title, text, seconds=1, finished_at=1, page=page)


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the developer's own."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in {"NETRC", "REQUESTS_CA_BUNDLE"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started meanwhile."""
    started: list[subprocess.Popen[bytes]] = []

    class Kept(subprocess.Popen[bytes]):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr("batch.reporting.alerts.Popen", Kept)
    return started


def assert_gone(child: subprocess.Popen[bytes]) -> None:
    """It has ended and nobody has to wait for it any more."""
    assert child.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def file_of(tmp_path: Path, content: str | bytes, name: str = "addresses") -> str:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o600)
    return str(path)


# What arrives


def test_an_alert_arrives_as_it_was_written_and_names_the_host() -> None:
    with webhook() as hook:
        failed = Alerts.read([hook.url], None).send(ending())

    assert failed == ""
    (message,) = hook.received
    assert message["title"] == "2 are NOT revoked"
    assert message["message"] == f"{TEXT}\nhost: {socket.gethostname()}"
    assert hook.requests[0].headers["User-Agent"] == "bulk-revoke"


@pytest.mark.parametrize(
    ("exit_code", "kind"),
    [(0, "success"), (1, "warning"), (2, "failure"), (130, "failure")],
)
def test_an_alert_is_as_loud_as_its_exit_code(exit_code: int, kind: str) -> None:
    with webhook() as hook:
        assert Alerts.read([hook.url], None).send(ending(exit_code)) == ""

    assert [message["type"] for message in hook.received] == [kind]


def test_a_mail_is_plain_text() -> None:
    with mailbox() as box:
        assert Alerts.read([box.url], None).send(ending()) == ""

    (mail,) = box.received
    assert mail.get_content_type() == "text/plain"
    assert mail["Subject"] == "2 are NOT revoked"
    assert mail["To"] == "operators@example.com"
    assert mail.get_content().replace("\r\n", "\n").startswith(f"{TEXT}\nhost: ")


def test_a_title_without_a_text_is_told() -> None:
    with webhook() as hook:
        assert Alerts.read([hook.url], None).send(ending(text="")) == ""

    assert hook.received[0]["message"].startswith("\nhost: ")


def test_a_file_name_that_is_no_text_keeps_no_alert_from_being_sent() -> None:
    with webhook() as hook, mailbox() as box:
        odd = ending(title="a\udce9.csv", text="b\udce9.csv")
        assert Alerts.read([hook.url, box.url], None).send(odd) == ""

    assert (hook.received[0]["title"], box.received[0]["Subject"]) == ("a?.csv", "a?.csv")
    assert box.received[0].get_content().startswith("b?.csv")


def test_a_very_long_text_arrives_whole_where_no_limit_is_known() -> None:
    text = "\n".join(f"column {number}" for number in range(50_000))
    with webhook() as hook, mailbox() as box:
        assert Alerts.read([hook.url, box.url], None).send(ending(text=text)) == ""

    assert [message["message"].rpartition("\nhost: ")[0] for message in hook.received] == [text]
    assert box.received[0].get_content().replace("\r\n", "\n").startswith(text)


def mattermost(port: int, more: str = "") -> str:
    """A service that takes 4,000 characters."""
    return f"mmost://127.0.0.1:{port}/{SECRET}{more}"


def test_a_text_that_is_too_long_for_a_service_arrives_in_parts() -> None:
    lines = [f"column {number}" for number in range(1000)]
    with webhook() as hook:
        assert Alerts.read([mattermost(hook.port)], None).send(ending(text="\n".join(lines))) == ""

    parts = [message["text"] for message in hook.received]
    assert 1 < len(parts) <= MOST_PARTS
    assert all(len(part) <= 4000 for part in parts)
    assert re.findall(r"column \d+", "\n".join(parts)) == lines


def test_a_text_is_cut_where_it_would_take_too_many_messages() -> None:
    with webhook() as hook:
        text = "x " * (2000 * MOST_PARTS)
        assert Alerts.read([mattermost(hook.port)], None).send(ending(text=text)) == ""

    (message,) = hook.received
    assert 3000 < len(message["text"]) <= 4000
    assert "2 are NOT revoked" in message["text"]


def test_an_address_may_say_what_becomes_of_a_long_text() -> None:
    with webhook() as hook:
        address = mattermost(hook.port, "?overflow=upstream")
        assert Alerts.read([address], None).send(ending(text="x" * 5000)) == ""

    (message,) = hook.received
    assert "x" * 5000 in message["text"]


def test_a_page_goes_with_it_where_the_service_takes_files(tmp_path: Path) -> None:
    page = tmp_path / "run #1 ~?a=b%20.html"
    page.write_text("<p>the page</p>")
    with webhook() as hook, webhook() as other, mailbox() as box:
        alerts = Alerts.read([hook.url, mattermost(other.port), box.url], None)
        assert alerts.send(ending(page=str(page))) == ""

    (message,), (text,), (mail,) = hook.received, other.received, box.received
    (attached,) = message["attachments"]
    assert attached["filename"] == page.name
    assert b64decode(attached["base64"]) == b"<p>the page</p>"
    assert TEXT in text["text"]
    assert [part.get_content_type() for part in mail.iter_attachments()] == ["text/html"]
    assert "run #1" in str(mail)


def test_a_page_that_is_gone_keeps_no_alert_from_being_sent(tmp_path: Path) -> None:
    with webhook() as hook:
        failed = Alerts.read([hook.url], None).send(ending(page=str(tmp_path / "gone.html")))

    assert failed == ""
    assert TEXT in hook.received[-1]["message"]
    assert not hook.received[-1].get("attachments")


# Who is told


def test_the_addresses_of_the_profile_and_of_the_file_are_all_told(tmp_path: Path) -> None:
    with ExitStack() as stack:
        hooks = [stack.enter_context(webhook()) for _ in range(5)]
        lines = [
            "# the team",
            "",
            hooks[1].url,
            f"  team, night = {hooks[2].url}  ",
            f"2:night={hooks[3].url}",
            "; the others",
            "everybody=team,night",
        ]
        file = file_of(tmp_path, "\ufeff" + "\r\n".join(lines))
        alerts = Alerts.read([f" {hooks[0].url}", hooks[4].url], file)

        assert alerts.send(ending()) == ""

    assert [len(hook.received) for hook in hooks] == [1] * 5
    assert alerts.warning == ""


@pytest.mark.parametrize("name", ["addresses.yml", "addresses.YAML"])
def test_the_addresses_of_a_yaml_file_are_told(tmp_path: Path, name: str) -> None:
    with webhook() as one, webhook() as two, webhook() as three:
        content = f"""
            version: 1
            tag: night
            asset:
              interpret_escapes: yes
            urls:
              - {one.url}
              - {two.url}:
                  tag: team
              - json://127.0.0.1:
                  - port: {three.port}
                    fullpath: /hook
        """
        alerts = Alerts.read([], file_of(tmp_path, textwrap.dedent(content), name))

        assert alerts.send(ending()) == ""

    for hook in (one, two, three):
        assert [message["message"][: len(TEXT)] for message in hook.received] == [TEXT]


def test_without_an_address_nothing_is_started(children: list[subprocess.Popen[bytes]]) -> None:
    assert Alerts.read([], None).send(ending()) == ""
    assert children == []


# What is not delivered


@pytest.fixture
def untrusted() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(params=["refused", "500", "TLS", "redirect", "silent", "dripping", "black hole"])
def broken(request: pytest.FixtureRequest, untrusted: ssl.SSLContext) -> Iterator[str]:
    """The address of a server that takes no alert."""
    with ExitStack() as stack:
        match request.param:
            case "refused":
                yield f"json://127.0.0.1:{free_port()}/"
            case "500":
                yield stack.enter_context(webhook(status=500)).url
            case "TLS":
                yield stack.enter_context(webhook(tls=untrusted)).url
            case "redirect":
                yield stack.enter_context(webhook(status=302, location="/elsewhere")).url
            case "silent":
                yield f"{stack.enter_context(webhook(manner='silent')).url}?rto=1"
            case "dripping":
                yield stack.enter_context(webhook(manner="drips")).url
            case _:
                yield f"json://127.0.0.1:{stack.enter_context(black_hole())}/?cto=1"


def test_a_broken_server_costs_neither_the_others_nor_more_than_the_time(
    broken: str, children: list[subprocess.Popen[bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    with webhook() as hook, mailbox() as box:
        alerts = Alerts.read([hook.url, broken, box.url], None)
        threads = set(threading.enumerate())
        begun = time.monotonic()

        failed = alerts.send(ending(), seconds=8)

        assert time.monotonic() - begun < 8 + 4
        left = set(threading.enumerate()) - threads
        assert all("process_request" in thread.name for thread in left)  # those of the servers

    assert failed.startswith("1 of 3 alerts was not delivered: json")
    assert (len(hook.received), len(box.received)) == (1, 1)
    assert_gone(children[0])
    assert capfd.readouterr() == ("", "")


def test_time_that_was_not_enough_is_said_and_the_child_hangs_up(
    children: list[subprocess.Popen[bytes]],
) -> None:
    with webhook(manner="silent") as hook, webhook(manner="silent") as other:
        patient = (f"{hook.url}{PATIENT}", mattermost(other.port, PATIENT))
        alerts = Alerts.read(patient, None)

        failed = alerts.send(ending(), seconds=6.5)

        assert hook.abandoned.wait(LENIENT)

    assert failed == "2 of 2 alerts were not delivered: json, mmost (6.5 s were not enough)"
    assert_gone(children[0])


def test_many_servers_that_say_nothing_do_not_hold_up_another() -> None:
    with webhook(manner="silent") as silent, webhook() as hook:
        alerts = Alerts.read([f"{silent.url}{PATIENT}"] * 40 + [hook.url], None)

        failed = alerts.send(ending(), seconds=8)

    assert failed == "40 of 41 alerts were not delivered: json (8 s were not enough)"
    assert len(hook.received) == 1


def test_the_same_kind_is_named_once() -> None:
    with webhook(status=500) as hook:
        failed = Alerts.read([hook.url, hook.url, hook.url], None).send(ending())

    assert failed == "3 of 3 alerts were not delivered: json"


def test_a_redirect_is_not_followed() -> None:
    with webhook() as target:
        elsewhere = f"http://127.0.0.1:{target.port}/"
        with webhook(status=302, location=elsewhere) as hook:
            failed = Alerts.read([hook.url], None).send(ending())
            assert len(hook.received) == 1
            asked = Alerts.read([f"{hook.url}?redirect=yes"], None).send(ending())

    assert failed == "1 of 1 alerts was not delivered: json"
    assert [request.method for request in target.requests] == ["GET"]
    assert asked == ""


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate of an authority that the environment names."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_a_certificate_is_trusted_where_the_environment_says_so(trusted: ssl.SSLContext) -> None:
    with webhook(tls=trusted) as hook:
        assert Alerts.read([hook.url], None).send(ending()) == ""

    assert len(hook.received) == 1


def test_a_log_of_tls_keys_that_cannot_be_written_keeps_no_alert_from_being_sent(
    trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", "/nonexistent/keys.log")

    with webhook(tls=trusted) as hook:
        assert Alerts.read([hook.url], None).send(ending()) == ""

    assert len(hook.received) == 1


def test_where_no_process_can_be_started_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook() as hook:
        alerts = Alerts.read([hook.url], None)
        for executable in (None, "", "/nowhere/python"):
            monkeypatch.setattr(sys, "executable", executable)
            failed = alerts.send(ending())
            assert re.fullmatch(r"1 of 1 alerts was not delivered: json \([A-Z][a-z ]+\)", failed)

    assert hook.received == []


def sent_at_once(program: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> str:
    """Send where a program runs before the child's own; what was not delivered."""
    (home / "sitecustomize.py").write_text(program)
    with webhook() as hook:
        alerts = Alerts.read([hook.url], None)
        monkeypatch.setenv("PYTHONPATH", str(home))
        begun = time.monotonic()

        failed = alerts.send(ending(), seconds=2 * LENIENT)

        assert time.monotonic() - begun < LENIENT
    return failed


@pytest.mark.parametrize(
    ("program", "code"),
    [("import os\nos._exit(7)", 7), ("import sys\nsys.modules['apprise'] = None", 1)],
)
def test_a_process_that_fails_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, code: int
) -> None:
    failed = sent_at_once(program, monkeypatch, tmp_path)

    assert failed == f"1 of 1 alerts was not delivered: json (the process ended with {code})"


def test_a_service_that_leaves_a_thread_behind_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()\n"
    failed = sent_at_once(program, monkeypatch, tmp_path)

    assert failed == ""


def test_a_service_that_prints_is_neither_seen_nor_taken_for_a_delivery(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent("""
            import os, sys
            import requests

            def request(*arguments, **options):
                print("told:0", flush=True)
                print("told:0", file=sys.stderr, flush=True)
                os.write(1, b"told:0\\n")
                return original(*arguments, **options)

            original, requests.request = requests.request, request
        """)
    )
    with webhook(status=500) as hook:
        alerts = Alerts.read([hook.url], None)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

        failed = alerts.send(ending())

    assert len(hook.received) == 1
    assert failed == "1 of 1 alerts was not delivered: json"
    assert capfd.readouterr() == ("", "")


# Surroundings


def test_what_stands_in_the_working_directory_is_not_run_and_nothing_is_left_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("batch", "apprise"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit(9)\n")
    (tmp_path / "json.py").write_text("raise SystemExit(9)\n")
    (tmp_path / "home").mkdir()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PYTHONPATH", raising=False)

    with webhook() as hook, mailbox() as box:
        assert Alerts.read([hook.url, box.url], None).send(ending()) == ""

    assert (len(hook.received), len(box.received)) == (1, 1)
    assert sorted(tmp_path.rglob("*")) == before


@posix_only
def test_an_alert_is_sent_from_a_working_directory_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    with webhook() as hook:
        alerts = Alerts.read([hook.url], None)
        (tmp_path / "gone").rmdir()

        assert alerts.send(ending()) == ""

    assert len(hook.received) == 1


def test_an_alert_needs_no_home_and_the_path_of_modules_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"from pathlib import Path\nPath({str(tmp_path / 'seen')!r}).touch()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name in ("HOME", "USER", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)

    with webhook() as hook:
        assert Alerts.read([hook.url], None).send(ending()) == ""

    assert len(hook.received) == 1
    assert (tmp_path / "seen").exists()


def test_the_child_runs_the_very_same_package(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "batch", tmp_path / "batch", ignore=shutil.ignore_patterns("__pycache__")
    )
    with (tmp_path / "batch" / "errors.py").open("a") as file:
        file.write(f"import os\nopen({str(tmp_path / 'seen')!r}, 'a').write(f'{{os.getpid()}} ')\n")
    before = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})"

    with webhook() as hook:
        subprocess.run(sender(20, hook.url, before=before), cwd=ROOT, check=True)

    assert len(set((tmp_path / "seen").read_text().split())) == 2
    assert len(hook.received) == 1


def test_a_login_in_netrc_goes_to_nobody(tmp_path: Path) -> None:
    file_of(tmp_path, f"machine 127.0.0.1 login somebody password {SECRET}\n", ".netrc")

    with webhook() as hook:
        assert Alerts.read([hook.url], None).send(ending()) == ""

    assert "Authorization" not in hook.requests[0].headers


@pytest.mark.parametrize("exempt", [{}, {"no_proxy": "example.com"}, {"NO_PROXY": "*"}])
def test_loopback_is_never_reached_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, exempt: dict[str, str]
) -> None:
    with webhook() as hook, webhook() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        for name, value in exempt.items():
            monkeypatch.setenv(name, value)
        named = hook.url.replace("127.0.0.1", "localhost")

        assert Alerts.read([hook.url, named], None).send(ending()) == ""

    assert len(hook.received) == 2
    assert proxy.requests == []


def test_everybody_else_is_reached_through_the_proxy_unless_exempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alerts = Alerts.read(["json://alerts.invalid/hook"], None)
    with webhook() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        assert alerts.send(ending()) == ""
        for name, exempt in (("NO_PROXY", "example.com,alerts.invalid"), ("no_proxy", "*")):
            monkeypatch.setenv(name, exempt)
            assert alerts.send(ending()) != ""

    assert [request.path for request in proxy.requests] == ["http://alerts.invalid/hook"]


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc")
def test_no_secret_stands_in_the_list_of_processes_or_in_an_environment(
    monkeypatch: pytest.MonkeyPatch, children: list[subprocess.Popen[bytes]]
) -> None:
    monkeypatch.setenv("CRYPTLEX_ACCESS_TOKEN", "an-access-token")
    seen = b""
    with webhook(manner="silent") as hook:
        url = hook.url.replace("://", f"://user:{SECRET}@")
        sender = threading.Thread(
            target=Alerts.read([f"{url}{PATIENT}"], None).send, args=(ending(),)
        )
        sender.start()
        if hook.called.wait(LENIENT):
            process = Path("/proc") / str(children[0].pid)
            seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
    sender.join()

    assert b"batch.reporting.alerts" in seen
    for secret in (SECRET, "an-access-token", TEXT, f":{hook.port}"):
        assert secret.encode() not in seen


# How it ends

SENDER = """
import sys
from batch.reporting.alerts import Alerts
from batch.reporting.summary import Ending
alerts = Alerts.read(sys.argv[2:], None)
said = alerts.send(Ending("run", 0, "title", "text", 0, 1), seconds=float(sys.argv[1]))
"""


def sender(*arguments: object, after: str = "print(said)", before: str = "") -> list[str]:
    """A command that sends alerts: seconds, addresses."""
    return [sys.executable, "-c", f"{before}\n{SENDER}\n{after}", *map(str, arguments)]


def test_an_alert_does_not_delay_the_exit_of_the_interpreter() -> None:
    with webhook(manner="drips") as hook:
        begun = time.monotonic()
        done = subprocess.run(
            sender(1.5, hook.url), cwd=ROOT, capture_output=True, text=True, check=True
        )

    assert time.monotonic() - begun < LENIENT
    assert done.stdout == "1 of 1 alerts was not delivered: json (1.5 s were not enough)\n"
    assert done.stderr == ""


@posix_only
def test_an_interrupt_ends_the_waiting_and_what_is_known_is_said() -> None:
    with webhook() as hook, webhook(manner="silent") as silent:
        # Whoever runs the tests in the background may have them ignore interrupts.
        before = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)"
        process = subprocess.Popen(
            sender(60, hook.url, f"{silent.url}{PATIENT}", before=before),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert silent.called.wait(LENIENT)
        assert hook.called.wait(LENIENT)
        time.sleep(1)  # until it is heard that one was told
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=LENIENT)
        assert silent.abandoned.wait(LENIENT)

    assert said == "1 of 2 alerts was not delivered: json (interrupted)\n"
    assert process.returncode == 0


@posix_only
def test_a_child_whose_parent_was_killed_ends_by_itself() -> None:
    with webhook(manner="drips") as hook:
        process = subprocess.Popen(sender(8, hook.url), cwd=ROOT)
        assert hook.called.wait(LENIENT)
        process.kill()
        process.wait()

        assert hook.abandoned.wait(LENIENT)


@posix_only
def test_what_has_inherited_the_pipe_does_not_hold_up_the_parent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, children: list[subprocess.Popen[bytes]]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        textwrap.dedent(f"""
            import subprocess
            left = subprocess.Popen(["sleep", "60"])
            open({str(tmp_path / "left")!r}, "w").write(str(left.pid))
        """)
    )
    with webhook() as hook, webhook(manner="drips") as dripping:
        alerts = Alerts.read([hook.url, dripping.url], None)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        begun = time.monotonic()

        failed = alerts.send(ending(), seconds=8)

        assert time.monotonic() - begun < 8 + 4

    os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)
    assert failed == "1 of 2 alerts was not delivered: json (8 s were not enough)"
    assert len(hook.received) == 1
    assert_gone(children[0])


@posix_only
def test_streams_that_are_closed_keep_no_alert_from_being_sent(tmp_path: Path) -> None:
    kept = tmp_path / "said"
    after = f"open({str(kept)!r}, 'w').write(repr(said))"
    with webhook() as hook:
        before = "import os\nfor number in range(3): os.close(number)"
        subprocess.run(sender(20, hook.url, after=after, before=before), cwd=ROOT, check=True)

    assert kept.read_text() == "''"
    assert len(hook.received) == 1


@posix_only
def test_a_process_without_a_descriptor_left_says_so_and_goes_on() -> None:
    after = textwrap.dedent("""
        import resource
        used = os.open(os.devnull, os.O_RDONLY)
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, used + 1))
        said = alerts.send(Ending("run", 0, "title", "text", 0, 1))
        print(said)
    """)
    with webhook() as hook:
        command = sender(20, hook.url, after=f"import os\n{after}")
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.stdout == "1 of 1 alerts was not delivered: json (Too many open files)\n"
    assert done.stderr == ""


# What is refused

BAD = [
    SECRET,
    f"{SECRET}://host/path",
    f"unknown://user:{SECRET}@example.com/{SECRET}",
    f"https://example.com/{SECRET}",
    f"slack://{SECRET}",
    f"json://user:{SECRET}@/path",
    f"json://user:{SECRET}@example.com?method={SECRET}",
    f"mailto://user:{SECRET}@example.com?to={SECRET}",
    f"mqtt://user:{SECRET}@example.com/topic",
    f"windows://{SECRET}",
    f"entry #77{SECRET}",
    f"include {SECRET}",
    f"include https://example.com/{SECRET}",
    f"tgram://{SECRET}",
    f"json://example.com\x00{SECRET}",
]
NONE = ["", " ", "# comment", "team=night"]


def refusal(urls: list[str], file: str | None = None) -> ConfigError:
    """How addresses are refused; none of their secrets is in it, nor in what a bug report shows."""
    with pytest.raises(ConfigError) as refused:
        Alerts.read(urls, file)
    shown = "".join(traceback.format_exception(refused.value))
    assert SECRET not in shown + str(refused.value) + refused.value.hint
    assert SECRET not in repr(getattr(refused.value.__cause__, "args", ""))
    assert refused.value.hint
    return refused.value


@pytest.mark.parametrize("url", BAD + NONE)
def test_an_address_that_cannot_be_used_is_named_by_its_position(
    url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    refused = refusal(["json://example.com", url, "json://example.com"])

    assert str(refused) == "notify, address 2 of 3: Apprise cannot use this"
    assert SECRET not in caplog.text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("url", BAD)
def test_an_address_in_a_file_is_named_by_its_line(tmp_path: Path, url: str) -> None:
    file = file_of(tmp_path, f"# addresses\n\njson://example.com\n{url}\n")

    assert str(refusal([], file)) == f"{file}, line 4: Apprise cannot use this"


SECOND = [
    f"json://example.com json://user:{SECRET}@example.org",
    f"json://example.com,json://user:{SECRET}@example.org",
    f"night=json://example.com/ ; json://user:{SECRET}@example.org",
    f"json://example.com/#json://user:{SECRET}@example.org",
    f"discord://{SECRET}/abc?avatar_url=https://example.com/a.png",
]
"""Two addresses as one, which Apprise takes for one: it would tell the first host the second."""


@pytest.mark.parametrize("url", SECOND)
def test_a_second_address_beside_one_is_refused_and_told_nobody(tmp_path: Path, url: str) -> None:
    lines = file_of(tmp_path, f"# http://example.com and http://example.org\n\n{url}\n")
    entries = file_of(tmp_path, f'urls:\n  - json://example.com\n  - "{url}"\n', "a.yml")
    keys = file_of(tmp_path, f'urls:\n  - "{url}":\n      tag: night\n', "b.yml")

    assert [
        str(refusal(["json://example.com", url])),
        str(refusal([], lines)),
        str(refusal([], entries)),
        str(refusal([], keys)),
    ] == [
        "notify, address 2 of 2: holds a second ://",
        f"{lines}, line 3: holds a second ://",
        f"{entries}, entry 2: holds a second ://",
        f"{keys}, entry 1: holds a second ://",
    ]
    assert "%3A%2F%2F" in refusal([url]).hint


def test_an_address_within_an_address_is_spelled_without_signs(tmp_path: Path) -> None:
    avatar = "https%3A%2F%2Fexample.com%2Fa.png"
    url = f"discord://{'1' * 18}/{'a' * 60}"
    in_yaml = f"urls:\n  - {url}:\n      avatar_url: https://example.com/a.png\n"

    Alerts.read([f"{url}?avatar_url={avatar}"], None)
    Alerts.read([], file_of(tmp_path, in_yaml, "a.yml"))


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        (f"  - {SECRET}", ", entry 2"),
        (f"  - unknown://{SECRET}", ", entry 2"),
        (f"  - slack://{SECRET}", ", entry 2"),
        (f"  - json://user:{SECRET}@example.com:\n      method: {SECRET}", ", entry 2"),
        (f'  - "entry #77{SECRET}"', ", entry 2"),
        (f"  - mqtt://{SECRET}@example.com/topic", ", entry 2"),
        (f"include: https://example.com/{SECRET}", ""),
        (f"template:\n  - NAME: {SECRET}\nurls:\n  - json://example.com/${{NAME}}", ""),
        (f"  - json://example.com:\n    - {SECRET}\n    - port: 80", ""),
        ("  - json://example.com: []", ""),
        (f"  - json://example.com:\n    json://{SECRET}.example.com:", ""),
        (f"  - [{SECRET}", ""),
        (f"  - \x07{SECRET}", ""),
        (f"asset:\n  unknown: {SECRET}", ""),
    ],
)
def test_an_address_in_yaml_is_named_by_its_entry_as_far_as_apprise_tells(
    tmp_path: Path, entry: str, place: str
) -> None:
    file = file_of(tmp_path, f"urls:\n  - json://example.com\n{entry}\n", "addresses.yml")

    assert str(refusal([], file)) == f"{file}{place}: Apprise cannot use this"


@pytest.mark.parametrize("name", ["addresses", "addresses.yml"])
@pytest.mark.parametrize("content", ["", "\n\n", "# comment\n", "# json://example.com\n"])
def test_a_file_without_an_address_is_refused(tmp_path: Path, name: str, content: str) -> None:
    file = file_of(tmp_path, content, name)

    for urls in ([], ["json://example.com"]):
        assert file in str(refusal(urls, file))


def test_a_file_of_tags_holds_no_address(tmp_path: Path) -> None:
    file = file_of(tmp_path, "# nobody yet\nteam=night\n")

    assert str(refusal([], file)) == f"{file}: holds no address"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(SECRET.encode() + b"\xff", "is not text"), (None, "No such file or directory")],
)
def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    file = str(tmp_path / "none") if content is None else file_of(tmp_path, content)

    assert str(refusal([], file)) == f"{file}: the addresses cannot be read: {reason}"
    assert "cannot be read" in str(refusal([], str(tmp_path)))
    assert "cannot be read" in str(refusal([], "a\0b"))


def test_an_address_in_the_place_of_a_file_is_refused_without_being_shown() -> None:
    refused = refusal([], f"slack://{SECRET}")

    assert str(refused) == "--notify-file is an address, not a file"


def test_without_apprise_its_installation_is_hinted_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)

    refused = refusal([f"json://{SECRET}"])

    assert "need Apprise" in str(refused)
    assert refused.hint == "pip install 'bulk-revoke[notify]'"


def test_the_module_is_imported_without_apprise() -> None:
    program = "import sys, batch.reporting.alerts; print('apprise' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "False\n"


def every_schema() -> list[str]:
    from apprise import NotificationManager  # noqa: PLC0415 - as the module itself does

    manager: Callable[[], object] = NotificationManager
    schemas = manager().schemas()  # type: ignore[attr-defined]
    return sorted(schemas)


def assert_shown_nowhere(url: str) -> None:
    """It is usable, and all of it is a secret; or it is refused, and none of it is shown."""
    try:
        alerts = Alerts.read([url], None)
    except ConfigError as refused:
        assert str(refused) == "notify, address 1 of 1: Apprise cannot use this"  # noqa: PT017
    else:
        assert url in alerts.secrets
        assert SECRET not in repr(alerts)


@pytest.mark.filterwarnings("ignore")
def test_no_kind_of_address_is_shown_or_fails_otherwise() -> None:
    for schema in every_schema():
        assert_shown_nowhere(f"{schema}://{SECRET}")
        assert_shown_nowhere(f"{schema}://user:{SECRET}@example.com/{SECRET}/1?token={SECRET}")


@example_settings(calm, max_examples=50)
@given(st.text(), st.text())
def test_whatever_an_address_is_it_is_used_or_refused(before: str, after: str) -> None:
    try:
        Alerts.read([f"{before}json://{after}"], None)
    except ConfigError as refused:
        assert str(refused) == "notify, address 1 of 1: Apprise cannot use this"  # noqa: PT017


# What is secret


@posix_only
@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o604, True)])
def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path, mode: int, warned: bool) -> None:
    file = file_of(tmp_path, SLACK)
    Path(file).chmod(mode)

    warning = Alerts.read([], file).warning

    assert warning == (
        f"{file}: others can read the addresses (chmod 600 {file})" if warned else ""
    )


def test_addresses_and_what_is_private_in_them_are_secrets(tmp_path: Path) -> None:
    login = "jsons://user:pass%2Fword%20x@example.com/hook?+X-Key=headerkey&-key=parameter"
    twilio = "twilio://AC735c307c62944b5a:e29dfbcebf390dee@15551234567?apikey=SKabcdef0123"
    file = file_of(tmp_path, f"team={SLACK}\n# json://once.example.com/{SECRET}")

    alerts = Alerts.read([login, twilio], file)

    parts = {"pass%2Fword%20x", "pass/word x", "headerkey", "parameter", "SKabcdef0123", *TOKENS}
    assert {login, SLACK, twilio} | parts <= set(alerts.secrets)
    assert f"json://once.example.com/{SECRET}" in alerts.secrets
    assert sorted(alerts.secrets, key=len, reverse=True) == list(alerts.secrets)
    assert not any(secret in repr(alerts) for secret in alerts.secrets)
    assert {"user", "example.com", "None"}.isdisjoint(alerts.secrets)


def test_the_addresses_of_a_yaml_file_are_secrets(tmp_path: Path) -> None:
    content = f'urls:\n  - "{SLACK}"\n  - json://user@example.com:\n      password: {SECRET}\n'

    secrets = Alerts.read([], file_of(tmp_path, content, "addresses.yaml")).secrets

    assert {SLACK, "json://user@example.com", SECRET, *TOKENS} <= set(secrets)
    assert any(secret.startswith(f"json://user:{SECRET}@example.com") for secret in secrets)


def test_a_secret_that_is_found_in_every_word_is_not_hidden() -> None:
    secrets = Alerts.read(["json://user:abc@example.com"], None).secrets

    assert all(len(secret) >= SHORTEST_SECRET for secret in secrets)
    assert "json://user:abc@example.com" in secrets


def test_what_is_not_delivered_is_told_without_a_secret(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with webhook(status=500) as hook:
        url = hook.url.replace("://", f"://user:{SECRET}@")
        alerts = Alerts.read([url, mattermost(hook.port)], None)

        failed = alerts.send(ending())

    assert failed == "2 of 2 alerts were not delivered: json, mmost"
    assert not any(secret in failed + caplog.text for secret in alerts.secrets)
    assert capfd.readouterr() == ("", "")


def test_apprise_may_log_again_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("apprise")
    caplog.set_level(logging.WARNING, logger.name)

    refusal([f"unknown://{SECRET}"])
    logger.warning("again")

    assert logger.level == logging.WARNING
    assert [record.getMessage() for record in caplog.records] == ["again"]


def test_the_order_is_plain_ascii_json() -> None:
    """The child reads it whatever the locale is."""
    order = Alerts.read([SLACK], None)._order(ending(text="木"), 2.5)

    assert json.loads(order)["seconds"] == 2.5
