"""What an answer means, from nothing but its status, its headers and its body."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy

from batch.api import responses
from batch.api.responses import (
    LICENSE_ID,
    api_error,
    confirmed,
    license_from,
    page_from,
    retry_after,
)
from batch.errors import (
    AccessError,
    ApiError,
    ForeignError,
    RejectedError,
    ThrottledError,
    TransientError,
    UnconfirmedError,
)
from batch.formatting import escaped
from batch.model import License, Page
from tests.support.job_harness import state_of

if TYPE_CHECKING:
    from collections.abc import Mapping

ID = "23d9646c-34f5-4d37-adeb-f7f77b927bdb"
OTHER = "0f8fad5b-d9cb-469f-a165-70867728950e"
DEEP = b"[" * 100_000

Kind = type[ApiError]


@pytest.fixture(params=["as installed", "json"], autouse=True)
def _either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers mean the same with orjson and without it."""
    if request.param == "json":
        monkeypatch.setattr(responses, "loads", json.loads)


def describing(**properties: object) -> bytes:
    return json.dumps({"key": "0A2035-E8A2A3", "id": ID, "revoked": True} | properties).encode()


def error_body(message: str = "License not found.", code: str = "LICENSE_NOT_FOUND") -> bytes:
    return json.dumps({"message": message, "code": code}).encode()


def read(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> License:
    return license_from(status, CIMultiDict(headers or {}), body, ID)


def refusal(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        read(status, body, headers)
    return caught.value


# Successes


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206])
@pytest.mark.parametrize("revoked", [True, False])
def test_a_success_is_what_its_body_says(status: int, revoked: bool) -> None:
    assert state_of(read(status, describing(revoked=revoked))) == (ID, revoked)


def test_the_server_may_spell_the_id_in_another_case() -> None:
    assert state_of(read(200, describing(id=ID.upper()))) == (ID, True)


def test_properties_that_are_not_known_do_not_matter() -> None:
    body = describing(tags=[{"a": None}], metadata={"revoked": False, "id": OTHER}, new=1e300)

    assert state_of(read(200, body)) == (ID, True)


def test_of_a_property_that_comes_twice_the_last_one_counts() -> None:
    body = f'{{"id": "{OTHER}", "revoked": true, "id": "{ID}", "revoked": false}}'.encode()

    assert state_of(read(200, body)) == (ID, False)


def test_an_answer_about_another_license_confirms_nothing() -> None:
    error = refusal(200, describing(id=OTHER))

    assert type(error) is UnconfirmedError
    assert (error.status, error.code) == (200, "wrong_id")


def test_the_id_of_another_license_is_told_in_one_line() -> None:
    error = refusal(200, describing(id="X\n\x1b[31mY"))

    assert str(error) == r"the answer is about another license: x\n\x1b[31my"


@pytest.mark.parametrize("wanted", [True, False])
def test_only_the_value_that_was_sent_confirms_it(wanted: bool) -> None:
    confirmed(202, {}, describing(revoked=wanted), ID, wanted=wanted)

    with pytest.raises(UnconfirmedError) as caught:
        confirmed(202, {}, describing(revoked=not wanted), ID, wanted=wanted)

    error = caught.value
    assert str(error) == f"the answer says revoked: {'false' if wanted else 'true'}"
    assert (error.status, error.code) == (202, "not_confirmed")


def test_when_a_license_was_changed_is_told_also_where_nothing_is_confirmed() -> None:
    body = describing(revoked=False, updatedAt="2026-11-30T02:25:30.5000000Z")

    assert license_from(200, CIMultiDict(), body, ID).updated == 1_796_005_530.5
    with pytest.raises(UnconfirmedError) as e:
        confirmed(200, CIMultiDict(), body, ID, wanted=True)
    assert e.value.updated == 1_796_005_530.5


def test_an_answer_without_a_body_confirms_nothing() -> None:
    error = refusal(204)

    assert type(error) is UnconfirmedError
    assert (error.status, error.code) == (204, "not_confirmed")


@pytest.mark.parametrize(
    "body",
    [b"", b" \n", b"true", b"null", b"1", b"1.5", b'"revoked"', b"[]", b"{}", b"\xff\xfe\xfd",
     b"OK", b'{"id": "', b"\xef\xbb\xbf\x00",
     describing()[:-1], describing() + b"x", b"[" + describing() + b"]",
     describing(revoked="true"), describing(revoked=1), describing(revoked=None),
     describing(revoked=[True]), describing(revoked={}), describing(id=None), describing(id=7),
     describing(id=[ID]), f'{{"id": "{ID}"}}'.encode(), b'{"revoked": true}',
     f'{{"id": "{ID}", "Revoked": true}}'.encode(), f'{{"id": "{ID}", "revoked": NaN}}'.encode(),
     f'{{"id": "{ID}", "revoked": Infinity}}'.encode(), describing().replace(b"key", b"k\xe9y"),
     f'{{"id": "{ID}", "revoked": {"9" * 5000}}}'.encode(), DEEP, b'{"a":' * 100_000,
     describing().replace(b'"0A', DEEP + b'"0A')],
)  # fmt: skip
def test_a_success_that_is_no_license_is_no_answer(body: bytes) -> None:
    error = refusal(200, body)

    assert type(error) is TransientError
    assert (error.status, error.code) == (200, "bad_body")
    assert error.arrived


def test_a_page_in_the_place_of_a_license_is_somebody_elses() -> None:
    html = b"<!DOCTYPE html><html><title>Sign in</title>"

    one = refusal(200, html)
    with pytest.raises(ForeignError) as several:
        page_from(200, CIMultiDict(), html)

    for error in (one, several.value):
        assert type(error) is ForeignError
        assert (error.status, error.code, error.shown) == (200, "bad_body", "Sign in")


# Refusals


REFUSALS = [400, 402, 405, 406, 409, 410, 413, 415, 418, 422, 451, 499]


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("body", [b'{"message": "no"}', error_body()])
def test_a_refusal_of_the_api_is_about_this_license_alone(status: int, body: bytes) -> None:
    assert type(refusal(status, body)) is RejectedError


@pytest.mark.parametrize("status", [*REFUSALS, 403, 404])
@pytest.mark.parametrize("body", [b"", b"no", b"<html>", b'{"error": "no"}', b"[]", DEEP])
def test_a_refusal_of_somebody_else_is_about_no_license(status: int, body: bytes) -> None:
    error = refusal(status, body)

    assert type(error) is ForeignError
    assert (error.status, error.code) == (status, f"http_{status}")
    assert error.arrived is (status == 403)  # what filters answers has passed the request on


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"<html><title>400 No certificate\r\n was sent</title>x", "400 No certificate was sent"),
     (b"<TITLE lang='en'>No &amp; no</TITLE>", "No &amp; no"),
     (b"<html><body><h1>403 Forbidden</h1>\nBy rule.\n</body>", "403 Forbidden By rule."),
     (b"just text", "just text"), (b"", ""), (b"<title></title>", ""),
     (b"a\x1bb\xff", "a\\x1bb\ufffd"),
     (b"x" * 5000, "x" * 100)],
)  # fmt: skip
def test_what_somebody_else_says_is_told_in_short(body: bytes, said: str) -> None:
    assert refusal(403, body).shown == said


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
@pytest.mark.parametrize("body", [b"", b"<html>", error_body()])
def test_a_503_and_somebody_elses_5xx_may_be_too_much_load(status: int, body: bytes) -> None:
    error = refusal(status, body)

    assert isinstance(error, TransientError)
    assert error.is_load is (status == 503 or body != error_body())


@pytest.mark.parametrize("status", [408, 425, 500, 501, 502, 503, 504, 507, 520, 599, 999])
@pytest.mark.parametrize("body", [b"", b"<html>", error_body()])
def test_trouble_of_the_moment_is_worth_another_attempt(status: int, body: bytes) -> None:
    error = refusal(status, body)

    assert type(error) is TransientError
    assert error.arrived


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b""),
        (401, b" \n"),
        (401, error_body()),
        (407, b""),
        (407, b"<html>"),
        (407, error_body()),
    ],
)
def test_credentials_that_are_not_accepted_concern_every_request(status: int, body: bytes) -> None:
    error = refusal(status, body)

    assert type(error) is AccessError
    assert error.hint


def test_a_login_of_somebody_else_is_not_about_the_token() -> None:
    assert type(refusal(401, b"<html><title>Sign in</title>")) is ForeignError


@pytest.mark.parametrize("body", [b"", describing(), error_body()])
@pytest.mark.parametrize("status", [100, 101, 199, 300, 301, 302, 303, 304, 307, 308, 399])
def test_what_points_elsewhere_is_not_the_api(status: int, body: bytes) -> None:
    assert type(refusal(status, body)) is ForeignError


def test_a_license_is_unknown_only_where_the_api_itself_says_so() -> None:
    error = refusal(404, error_body())

    assert type(error) is RejectedError
    assert (error.status, error.code) == (404, "LICENSE_NOT_FOUND")


@pytest.mark.parametrize(
    "body", [b"", b"404 page not found", b"<h1>Not Found</h1>", b"{}", b"[]", b'{"code": "X"}',
             b'{"message": 404}', b'"message"', b'{"error": "Not Found"}', b"\xff", DEEP],
)  # fmt: skip
def test_a_404_of_anything_else_says_that_the_address_is_wrong(body: bytes) -> None:
    assert type(refusal(404, body)) is ForeignError


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [(409, error_body(code="CONFLICT"), "CONFLICT"), (409, error_body(code=""), "http_409"),
     (409, b'{"message": "no"}', "http_409"), (409, b'{"message": "no", "code": 7}', "http_409"),
     (409, b"", "http_409"), (409, DEEP, "http_409"), (500, b"<html>", "http_500"),
     (500, error_body(code="OOPS"), "OOPS"), (401, b"", "http_401"), (403, b"", "http_403"),
     (403, b'{"message": "no"}', "forbidden"), (403, error_body(code="SCOPE"), "SCOPE"),
     (429, b"", "http_429"), (302, b"", "http_302")],
)  # fmt: skip
def test_the_code_is_the_servers_own_or_made_of_the_status(
    status: int, body: bytes, code: str
) -> None:
    error = refusal(status, body)

    assert (error.status, error.code) == (status, code)


def test_what_the_server_says_is_told() -> None:
    assert str(refusal(409, error_body("It is in use."))) == "HTTP 409: It is in use."


@pytest.mark.parametrize(
    ("body", "expected"),
    [(error_body("a", "B"), ("a", "B")), (b'{"message": "a", "errors": []}', ("a", "")),
     (b'{"message": "a", "code": null}', ("a", "")), (b'{"code": "B"}', None), (b"[1]", None),
     (b'"a"', None), (b"", None), (b"\xff\xfe", None), (b'{"message": ["a"]}', None), (DEEP, None)],
)  # fmt: skip
def test_an_error_body_of_the_api_has_a_message(
    body: bytes, expected: tuple[str, str] | None
) -> None:
    assert api_error(body) == expected


# Being asked to wait


@pytest.mark.parametrize(
    ("status", "headers", "waits"),
    [(429, {}, True), (429, {"Retry-After": "soon"}, True), (429, {"Retry-After": "7"}, True),
     (503, {}, False), (503, {"Retry-After": "soon"}, False), (503, {"retry-after": "7"}, True),
     (500, {"Retry-After": "7"}, False), (502, {"Retry-After": "7"}, False),
     (408, {"Retry-After": "7"}, False)],
)  # fmt: skip
def test_everybody_waits_after_a_429_and_after_a_503_that_names_a_time(
    status: int, headers: dict[str, str], waits: bool
) -> None:
    error = refusal(status, b"", headers)

    assert isinstance(error, ThrottledError) is waits
    assert isinstance(error, TransientError)
    assert error.arrived is (status != 429)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("1", 1), ("120", 120), (" 5 ", 5), ("007", 7), ("86400", 86400),
     ("", None), ("1.5", None), ("-5", None), ("+5", None), ("1e3", None), ("5s", None),
     ("0x10", None), ("\u0663", None), ("\u00b2", None), ("soon", None), ("5, 7", None),
     ("\x00", None), ("\udc80", None), ("Fri, 31 Feb 2026 00:00:00 GMT", None), ("Mon,", None),
     ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
     ("Mon, 01 Jan 2026 00:00:00 +99999999999999999999", None),
     ("Mon, 01 Jan 2026 00:00:99999999999999999999 GMT", None)],
)  # fmt: skip
def test_a_wait_is_a_whole_number_of_seconds(value: str, seconds: float | None) -> None:
    assert retry_after(CIMultiDict({"Retry-After": value})) == seconds


def test_a_wait_that_is_not_named_is_none() -> None:
    assert retry_after(CIMultiDict()) is None
    assert refusal(429).retry_after == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize("digits", [20, 400, 10_000])
def test_an_absurd_wait_is_longer_than_any_that_is_waited_for(digits: int) -> None:
    wait = retry_after(CIMultiDict({"Retry-After": "9" * digits}))

    assert wait is not None
    assert wait > 1e15


@pytest.mark.parametrize(
    ("until", "seconds"),
    [("Tue, 24 Nov 2026 02:15:30 GMT", 30), ("Tue, 24 Nov 2026 02:15:00 GMT", 0),
     ("Tue, 24 Nov 2026 02:14:00 GMT", 0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
     ("Tue, 24 Nov 2026 02:15:30", 30), ("Tue, 24 Nov 2026 04:15:30 +0200", 30),
     ("Tuesday, 24-Nov-26 02:15:30 GMT", 30)],
)  # fmt: skip
def test_a_wait_may_be_a_date_which_is_read_by_the_servers_own_clock(
    until: str, seconds: float
) -> None:
    headers = {"Retry-After": until, "Date": "Tue, 24 Nov 2026 02:15:00 GMT"}

    assert retry_after(CIMultiDict(headers)) == seconds


@pytest.mark.parametrize("date", [{}, {"Date": "yesterday"}, {"Date": ""}])
def test_a_date_is_read_by_our_clock_where_the_server_tells_no_time(date: dict[str, str]) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(minutes=2), usegmt=True)

    wait = retry_after(CIMultiDict({"Retry-After": until, **date}))

    assert wait is not None
    assert 100 < wait <= 120


@pytest.mark.parametrize(
    ("said", "admitted"),
    [("API calls quota exceeded! maximum admitted 50 per 5s.", (50, 5)),
     ("maximum admitted 100 per 1m.", (100, 60)), ("Maximum Admitted 1 Per 1H", (1, 3600)),
     ("maximum admitted 9 per 2d", (9, 172_800)), ("maximum admitted 50 per 5 s", (50, 5)),
     ('{"message": "maximum admitted 50 per 5s."}', (50, 5)),
     ("<p>3 per 5 second</p>", (3, 5)),
     ('{"error": "Rate limit exceeded: 3 per 1 minute"}', (3, 60)),
     ("maximum admitted 0 per 5s.", None), ("maximum admitted 50 per 0s.", None),
     ("maximum admitted 50 per 5", None), ("maximum admitted 50 per 5y", None),
     ("maximum admitted -50 per 5s", None), ("maximum admitted fifty per 5s", None),
     ("maximum admitted \u0665\u0660 per \u0665s", None),
     (f"maximum admitted {'9' * 5000} per 5s", None),
     ("quota exceeded", None), ("", None)],
)  # fmt: skip
def test_a_429_may_say_what_is_admitted(said: str, admitted: tuple[int, float] | None) -> None:
    error = refusal(429, said.encode(), {"Retry-After": "3"})

    assert isinstance(error, ThrottledError)
    assert (error.admitted, error.retry_after) == (admitted, 3)


@pytest.mark.parametrize(
    ("said", "headers", "wait"),
    [("1000 per 1h", {}, 3600), ("1000 per 1h", {"Retry-After": "7"}, 7),
     ("1000 per 1h", {"Retry-After": "0"}, 0), ("1000 per 1h", {"RateLimit-Reset": "8"}, 8),
     ("50 per 5s", {}, 0), ("50 per 300s", {}, 0), ("50 per 301s", {}, 301)],
)  # fmt: skip
def test_a_long_window_is_waited_for_as_a_whole_only_where_no_time_is_named(
    said: str, headers: dict[str, str], wait: float
) -> None:
    error = refusal(429, f"maximum admitted {said}.".encode(), headers)

    assert isinstance(error, ThrottledError)
    assert error.retry_after == wait


@pytest.mark.parametrize(
    ("policy", "admitted"),
    [("3;w=5", (3, 5)), ('"3-in-5sec"; q=3; w=5; pk=:MTJjYTE3:', (3, 5)), ("3 ; w = 5", (3, 5)),
     ("10;w=1, 100;w=60", (100, 60)), ("10, 10;w=1;burst=5", (10, 1)), ("0;w=5", None),
     ("3;w=0", None), ("3;w=301", None), ("3", None), ("w=5", None), ("-3;w=5", None), ("", None),
     ("9" * 5000 + ";w=5", None)],
)  # fmt: skip
def test_a_refusal_may_name_the_policy_of_its_limiter(
    policy: str, admitted: tuple[int, float] | None
) -> None:
    error = refusal(429, b"", {"RateLimit-Policy": policy})

    assert isinstance(error, ThrottledError)
    assert error.admitted == admitted


def test_each_of_several_limiters_may_name_its_policy_in_a_line_of_its_own() -> None:
    headers = CIMultiDict(
        [("RateLimit-Policy", '"hour"; q=5000; w=3600'), ("RateLimit-Policy", '"burst"; q=10; w=2')]
    )
    with pytest.raises(ThrottledError) as caught:
        license_from(429, CIMultiDictProxy(headers), b"", ID)

    assert caught.value.admitted == (10, 2)


MOMENT = "Mon, 30 Nov 2026 02:25:30 GMT"  # 1,796,005,530 seconds after 1970


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"X-RateLimit-Reset": "5"}, 5), ({"X-RateLimit-Reset": "1796005535"}, 5),
     ({"X-RateLimit-Reset": "1796005535.25"}, 5.25), ({"RateLimit-Reset": "7"}, 7),
     ({"RateLimit": "limit=3, remaining=0, reset=4"}, 4),
     ({"RateLimit": '"3-in-5sec"; r=0; t=4'}, 4),
     ({"RateLimit-Reset": "7", "Retry-After": "2"}, 2), ({"X-RateLimit-Reset": "301"}, 0),
     ({"X-RateLimit-Reset": "1796005529"}, 0), ({"X-RateLimit-Reset": "1796006000"}, 0),
     ({"X-RateLimit-Reset": "soon"}, 0), ({"X-RateLimit-Reset": "-5"}, 0),
     ({"X-RateLimit-Reset": "9" * 5000}, 0), ({"X-Rate-Limit-Reset": "5"}, 0),
     ({"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "0"}, 0)],
)  # fmt: skip
def test_a_429_without_retry_after_may_name_the_end_of_its_window(
    headers: dict[str, str], seconds: float
) -> None:
    error = refusal(429, b"", {"Date": MOMENT, **headers})

    assert isinstance(error, ThrottledError)
    assert error.retry_after == pytest.approx(seconds)


def test_the_end_of_a_window_makes_no_503_a_wait() -> None:
    assert type(refusal(503, b"", {"X-RateLimit-Reset": "5"})) is TransientError


# Lists


def page(body: bytes, headers: Mapping[str, str] | None = None, status: int = 200) -> Page:
    return page_from(status, CIMultiDict(headers or {}), body)


def test_a_page_is_its_licenses_in_the_servers_order() -> None:
    body = b"[" + describing(id=OTHER, revoked=False) + b"," + describing(id=ID.upper()) + b"]"

    found = page(body)

    assert [state_of(license_) for license_ in found.licenses] == [(OTHER, False), (ID, True)]
    assert found.licenses[0].key == "0A2035-E8A2A3"
    assert page(b"[]").licenses == []


@pytest.mark.parametrize(
    ("value", "total"),
    [("0", 0), ("250", 250), (" 7 ", 7), ("007", 7), ("999999999999", 999_999_999_999)],
)
def test_the_size_of_a_list_is_a_whole_number(value: str, total: int) -> None:
    assert page(b"[]", {"pagination-COUNT": value}).total == total


@pytest.mark.parametrize(
    "value",
    ["", " ", "-1", "+1", "1.0", "1e3", "0x10", "1,000", "1 000", "1_000", "\u0661", "\uff11",
     "NaN", "many", "9" * 13, "9" * 5000, "12, 12", "1\n2"],
)  # fmt: skip
def test_any_other_size_is_not_told(value: str) -> None:
    assert page(b"[]", {"Pagination-Count": value}).total is None


def test_a_size_that_is_not_sent_is_not_told() -> None:
    assert page(b"[]").total is None


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b"true", b"[null]", b"[[]]", b"[1]", b'["a"]', b"[{}]", DEEP,
     b"[" * 100_000 + b"]" * 100_000, b"Sign in", describing(),
     b"[" + describing(), b"[" + describing() + b",]", b"[[" + describing() + b"]]",
     b"[" + describing() + b",null]", b"[" + describing(revoked="true") + b"]",
     b"[" + describing() + b"," + describing(id=None) + b"]",
     b"[" + describing() + b"," + describing(id="7") + b"]", b'{"data": [' + describing() + b"]}",
     *(b"[" + describing(id=bad) + b"]" for bad in (
         "", "7", ID[:-1], ID + "0", ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}", f"{ID}/..",
         f"{ID}\n", f" {ID}", ID.replace("2", "\u0662")))],
)  # fmt: skip
def test_what_is_no_list_of_licenses_is_no_answer(body: bytes) -> None:
    with pytest.raises(TransientError) as e:
        page(body)

    assert type(e.value) is TransientError
    assert (e.value.status, e.value.code) == (200, "bad_body")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, RejectedError), (401, AccessError), (403, RejectedError), (404, RejectedError),
     (408, TransientError), (429, ThrottledError), (500, TransientError), (302, ForeignError),
     (199, ForeignError), (300, ForeignError)],
)  # fmt: skip
def test_the_refusal_of_a_list_means_what_that_of_a_license_means(status: int, kind: Kind) -> None:
    with pytest.raises(ApiError) as e:
        page(error_body(), status=status)

    assert type(e.value) is kind
    assert e.value.status == status


@pytest.mark.parametrize(
    "properties",
    [{"key": 7}, {"productId": [ID]}, {"type": None}, {"totalActivations": "3"},
     {"totalActivations": -1}, {"totalActivations": True}, {"totalActivations": 2**63},
     {"expiresAt": 7}, {"expiresAt": "soon"}, {"createdAt": "2026-02-30T00:00:00Z"},
     {"createdAt": {}}],
)  # fmt: skip
def test_what_is_told_in_a_way_that_cannot_be_read_is_empty(properties: dict[str, Any]) -> None:
    (license_,) = page(b"[" + describing(**properties) + b"]").licenses

    assert replace(license_, details=()) == License(ID, True, key=license_.key)
    assert license_.key == ("" if "key" in properties else "0A2035-E8A2A3")


def test_all_that_a_license_tells_is_read() -> None:
    told = {"productId": OTHER.upper(), "type": "node-locked", "totalActivations": 2**63 - 1,
            "expiresAt": "2026-05-05T08:49:17.9361143Z",
            "createdAt": "2025-05-06T10:49:17+02:00", "lastUsedAt": "2025-06-01T00:00:00Z",
            "serverSyncGracePeriod": -1, "resellerId": "r", "organizationId": "o",
            "organization": {"id": "o", "name": "ACME Group"},
            "user": {"id": "u", "company": "ACME, Inc.", "email": "ada@example.com"}}  # fmt: skip

    (license_,) = page(b"[" + describing(**told) + b"]").licenses

    assert license_ == License(
        ID,
        True,
        key="0A2035-E8A2A3",
        product=OTHER,
        type="node-locked",
        expires=datetime(2026, 5, 5, 8, 49, 17, 936114, tzinfo=UTC).timestamp(),
        created=datetime(2025, 5, 6, 8, 49, 17, tzinfo=UTC).timestamp(),
        activations=2**63 - 1,
        reseller="r",
        organization="o",
        user="u",
        last_used=datetime(2025, 6, 1, tzinfo=UTC).timestamp(),
        grace_period=-1,
        details=(
            OTHER, "node-locked", "2026-05-05T08:49:17.936Z", str(2**63 - 1),
            "2025-06-01T00:00:00.000Z", "ACME, Inc.", "ACME Group", "ada@example.com",
        ),
    )  # fmt: skip


def test_a_moment_without_a_zone_is_in_utc() -> None:
    (license_,) = page(b"[" + describing(expiresAt="1970-01-02T00:00:00") + b"]").licenses

    assert license_.expires == 86400


# Whatever comes


def _license_like() -> st.SearchStrategy[bytes]:
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )
    named = st.sampled_from([ID, ID.upper(), OTHER]) | values
    revoked = st.booleans() | values
    parts: dict[str, Any] = {"message": values, "code": values}
    objects = st.fixed_dictionaries({}, optional={"id": named, "revoked": revoked, **parts})
    whole = (objects | values).map(lambda value: json.dumps(value).encode())
    return whole | whole.flatmap(lambda text: st.integers(0, len(text)).map(lambda at: text[:at]))


ANY_BODY = st.binary(max_size=200) | _license_like()
ANY_STATUS = st.sampled_from([200, 204, 401, 403, 404, 429, 503]) | st.integers(0, 999)
ANY_TEXT = st.text(max_size=40) | st.from_regex(
    r"(Mon, )?\d{1,2} (Jan|Feb|Foo) \d{1,22} \d{1,3}:\d\d(:\d{1,22})? ?(GMT|[+-]\d{1,22})?",
    fullmatch=True,
)


@given(status=ANY_STATUS, body=ANY_BODY, wait=ANY_TEXT, date=ANY_TEXT)
@example(status=200, body=DEEP, wait="", date="")
@example(status=404, body=DEEP, wait="", date="")
@example(status=503, body=b"", wait="1 Jan 99999999999999999999 00:00", date="")
@example(status=503, body=b"", wait="1 Jan 2026 00:00", date="1 Jan 99999999999999999999 00:00")
def test_whatever_comes_is_the_license_that_was_asked_for_or_an_error_of_the_api(
    status: int, body: bytes, wait: str, date: str
) -> None:
    found: License | ApiError
    try:
        found = read(status, body, {"Retry-After": wait, "Date": date})
    except ApiError as error:
        found = error

    if isinstance(found, License):
        said = json.loads(body)
        assert 200 <= status < 300
        assert state_of(found) == (ID, said["revoked"])
        assert said["id"].lower() == ID
    else:
        assert found.status == status
        assert found.code
        assert str(found)
        assert not isinstance(found, ThrottledError) or found.retry_after >= 0


@given(body=ANY_BODY)
def test_no_error_body_is_made_up(body: bytes) -> None:
    said = api_error(body)

    if said is not None:
        assert escaped(json.loads(body)["message"]) == said[0]


def _pages() -> st.SearchStrategy[bytes]:
    values: st.SearchStrategy[object]
    values = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([])
    moments = st.datetimes().map(str) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{7})?Z?")
    license_ = st.fixed_dictionaries(
        {"id": st.sampled_from([ID, OTHER, ID.upper()]) | st.uuids().map(str) | values,
         "revoked": st.booleans() | values},
        optional={"key": values, "productId": values, "type": values, "totalActivations": values,
                  "expiresAt": moments | values, "createdAt": moments | values},
    )  # fmt: skip
    whole = st.lists(license_ | values, max_size=5).map(lambda value: json.dumps(value).encode())
    return whole | whole.flatmap(lambda text: st.integers(0, len(text)).map(lambda at: text[:at]))


@given(status=ANY_STATUS, body=ANY_BODY | _pages(), total=ANY_TEXT | st.integers().map(str))
@example(status=200, body=DEEP, total="")
@example(status=200, body=b'[{"id": "\\ud800", "revoked": true}]', total="")
def test_whatever_comes_is_a_page_of_licenses_or_an_error_of_the_api(
    status: int, body: bytes, total: str
) -> None:
    found: Page | ApiError
    try:
        found = page(body, {"Pagination-Count": total}, status)
    except ApiError as error:
        found = error

    if isinstance(found, Page):
        said = json.loads(body)
        assert 200 <= status < 300
        assert [each.id for each in found.licenses] == [each["id"].lower() for each in said]
        assert [each.revoked for each in found.licenses] == [each["revoked"] for each in said]
        assert all(LICENSE_ID.fullmatch(each.id) for each in found.licenses)
        assert all(0 <= each.activations < 2**63 for each in found.licenses)
        assert found.total is None or found.total == int(total) >= 0
    else:
        assert found.status == status
        assert found.code
        assert str(found)
