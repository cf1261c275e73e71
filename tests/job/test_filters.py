"""Filters of `list`: what is sent of them, and what holds of a license object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.api.client import filter_query
from batch.errors import ConfigError, GuardError
from batch.job import filters as make
from batch.job.filters import TICKS, Asked, Period, parse_moment, spelled, ticks

if TYPE_CHECKING:
    from batch.job.filters import Filter

ONE, OTHER = "63dfd63e-ed71-4f84-9236-02ee0ddb062c", "0b6f1c52-7a0e-4f5d-9d43-5c1a8e2f7b90"
DAY = 86_400 * TICKS


def asked(*found: Filter) -> Asked:
    return Asked(found, Period())


def told(**properties: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"id": ONE, **properties}


@pytest.mark.parametrize(
    ("found", "sent"),
    [
        (
            make.of_ids("--product", [ONE.upper(), OTHER], "product", "productId"),
            [{"productId": (ONE,)}, {"productId": (OTHER,)}],
        ),
        (make.of_users("--user", [ONE]), [{"userId": (ONE,)}]),
        (
            make.of_user_texts("--email", ["a@b"], "e-mail", "email"),
            [{"user.email[eq]": ("a@b",)}],
        ),
        (
            make.of_user_texts("--company", ["A", "B C"], "company", "company"),
            [{"user.company[in]": ("A", "B C")}],
        ),
        (
            make.of_user_texts("--company", ["A", "A, Inc.", "B"], "company", "company"),
            [{"user.company[eq]": ("A, Inc.",)}, {"user.company[in]": ("A", "B")}],
        ),
        (make.of_tags("--tag", ["x", "y"]), [{"tag[in]": ("x", "y")}]),
        (
            make.of_metadata("--metadata", ["a=b=c", "d="]),
            [
                {"metadata.key[eq]": ("a",), "metadata.value[eq]": ("b=c",)},
                {"metadata.key[eq]": ("d",)},
            ],
        ),
        (make.of_flag("--not-revoked", "revoked", value=False), [{"revoked": ("false",)}]),
        (
            make.of_moments({"--expires-to": "1970-01-01"}, "expiresAt", Period(0, DAY)),
            [
                {
                    "expiresAt[gte]": ("1970-01-01T00:00:00.0000000Z",),
                    "expiresAt[lt]": ("1970-01-02T00:00:00.0000000Z",),
                }
            ],
        ),
        (make.of_unused("--unused-since", DAY, ""), [{}]),
    ],
)
def test_a_filter_is_sent_with_an_operator_where_there_is_one_and_never_empty(
    found: Filter, sent: list[dict[str, Any]]
) -> None:
    assert found.sent == sent
    for each in found.sent:
        filter_query(each)  # refuses what would match everything


def test_values_without_a_common_operator_are_lists_of_their_own() -> None:
    lists = asked(
        make.of_ids("--product", [ONE, OTHER], "product", "productId"),
        make.of_tags("--tag", ["x"]),
        make.of_metadata("--metadata", ["a=b", "c=d"]),
    ).lists()

    assert len(lists) == 4
    assert all(each["tag[eq]"] == ("x",) for each in lists)
    assert {(each["productId"][0], each["metadata.key[eq]"][0]) for each in lists} == {
        (ONE, "a"), (ONE, "c"), (OTHER, "a"), (OTHER, "c"),
    }  # fmt: skip


def test_many_values_are_several_lists_that_fit_into_a_url() -> None:
    values = [f"somebody.{number}@example.com" for number in range(300)]

    lists = asked(make.of_user_texts("--email", values, "e-mail", "email")).lists()

    assert [each for sent in lists for several in sent.values() for each in several] == values
    lengths = [len(filter_query(sent)) for sent in lists]
    assert max(lengths) < 2100
    assert len(lists) < 6


def test_one_long_value_is_a_list_of_its_own() -> None:
    long = "x" * 3000

    found = make.of_tags("--tag", ["a", long, "b"])

    assert found.sent == [{"tag[eq]": ("a",)}, {"tag[eq]": (long,)}, {"tag[eq]": ("b",)}]


def test_without_a_filter_there_is_one_list_of_everything() -> None:
    assert asked().lists() == [{}]
    assert asked().matches(told())


CASES: dict[str, tuple[Filter, dict[str, Any], bool | None]] = {
    "id in capitals": (
        make.of_ids("--product", [ONE], "product", "productId"), {"productId": ONE.upper()}, True
    ),
    "no reseller": (
        make.of_ids("--reseller", [ONE], "reseller", "resellerId"), {"resellerId": None}, False
    ),
    "reseller not told": (make.of_ids("--reseller", [ONE], "reseller", "resellerId"), {}, None),
    "no user": (make.of_users("--user", [ONE]), {"user": None}, False),
    "user not told": (make.of_users("--user", [ONE]), {}, None),
    "user without an ID": (make.of_users("--user", [ONE]), {"user": {}}, None),
    "user with another": (make.of_users("--user", [ONE]), {"user": {"id": OTHER}}, False),
    "capitals of a text": (
        make.of_user_texts("--email", ["Ada@b"], "e-mail", "email"),
        {"user": {"email": "ada@b"}}, False,
    ),
    "capitals of what is told": (
        make.of_user_texts("--email", ["ada@b"], "e-mail", "email"),
        {"user": {"email": "Ada@b"}}, False,
    ),
    "no company": (
        make.of_user_texts("--company", ["A"], "company", "company"),
        {"user": {"company": None}}, False,
    ),
    "one tag of two": (make.of_tags("--tag", ["x"]), {"tags": ["y", "x"]}, True),
    "part of a tag": (make.of_tags("--tag", ["x"]), {"tags": ["xx"]}, False),
    "tags that are null": (make.of_tags("--tag", ["x"]), {"tags": None}, False),
    "tags not told": (make.of_tags("--tag", ["x"]), {}, None),
    "tags that are no texts": (make.of_tags("--tag", ["x"]), {"tags": [{"name": "x"}]}, None),
    "name and value of two entries": (
        make.of_metadata("--metadata", ["a=b"]),
        {"metadata": [{"key": "a", "value": "c"}, {"key": "d", "value": "b"}]}, False,
    ),
    "an empty value": (
        make.of_metadata("--metadata", ["a="]), {"metadata": [{"key": "a", "value": ""}]}, True
    ),
    "another value than none": (
        make.of_metadata("--metadata", ["a="]), {"metadata": [{"key": "a", "value": "b"}]}, False
    ),
    "metadata not told": (make.of_metadata("--metadata", ["a=b"]), {}, None),
    "never expires": (
        make.of_moments({"--expires-to": "1970-01-01"}, "expiresAt", Period(None, DAY)),
        {"expiresAt": None}, False,
    ),
    "expiry not told": (
        make.of_moments({"--expires-to": "1970-01-01"}, "expiresAt", Period(None, DAY)), {}, None
    ),
    "expiry that cannot be read": (
        make.of_moments({"--expires-to": "1970-01-01"}, "expiresAt", Period(None, DAY)),
        {"expiresAt": "tomorrow"}, None,
    ),
    "flag that is null": (
        make.of_flag("--suspended", "suspended", value=True), {"suspended": None}, None
    ),
    "never used": (
        make.of_unused("--unused-since", DAY, ""),
        {"createdAt": "1970-01-01T23:59:59.9999999Z", "lastUsedAt": None}, True,
    ),
    "never used, and made on that day": (
        make.of_unused("--unused-since", DAY, ""),
        {"createdAt": "1970-01-02T00:00:00Z", "lastUsedAt": None}, False,
    ),
    "used on that day": (
        make.of_unused("--unused-since", DAY, ""),
        {"createdAt": "1970-01-01T00:00:00Z", "lastUsedAt": "1970-01-02T00:00:00Z"}, False,
    ),
    "use not told": (
        make.of_unused("--unused-since", DAY, ""), {"createdAt": "1970-01-01T00:00:00Z"}, None
    ),
    "use not told, and made later": (
        make.of_unused("--unused-since", DAY, ""), {"createdAt": "1970-01-03T00:00:00Z"}, False
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_holds_of_a_license_is_told_apart_from_what_is_not_told(name: str) -> None:
    found, properties, holds = CASES[name]

    assert found.holds(told(**properties)) is holds
    if holds is None:
        with pytest.raises(GuardError, match=f"does not tell what {found.option} asks for"):
            asked(found).matches(told(**properties))
    else:
        assert asked(found).matches(told(**properties)) is holds


def test_what_is_not_told_does_not_matter_where_another_filter_does_not_hold() -> None:
    both = asked(make.of_tags("--tag", ["x"]), make.of_flag("--revoked", "revoked", value=True))

    assert not both.matches(told(revoked=False))


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("1970-01-02", DAY, 2 * DAY),
        (" 1970-01-02 ", DAY, 2 * DAY),
        ("1970-01-02T00:00:00Z", DAY, DAY + 1),
        ("1970-01-02 00:00", DAY, DAY + 1),
        ("1970-01-02T01:00:00+01:00", DAY, DAY + 1),
        ("1970-01-02T00:00:00.0000001Z", DAY + 1, DAY + 2),
    ],
)
def test_a_date_is_a_day_and_a_moment_is_a_moment(text: str, begins: int, ends: int) -> None:
    assert parse_moment("--created-to", text) == (begins, ends)


@pytest.mark.parametrize(
    "text",
    ["", "1970", "19700102", "01/02/1970", "1970-02-30", "1970-01-02T25:00:00Z", "today",
     "1969-12-31T00:00:00Z", "0001-01-01", "1969-12-31", "9999-12-31", "1970-01-02T00:00:00 Z"],
)  # fmt: skip
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no date"):
        parse_moment("--created-to", text)


@given(st.integers(0, 253_000_000_000 * TICKS))
def test_no_moment_is_lost_between_two_spellings(moment: int) -> None:
    assert ticks(spelled(moment)) == moment


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1, "e-mail 0@b"),
        (4, "e-mail 0@b or 1@b or 2@b or 3@b"),
        (60, "e-mail 0@b or 1@b or 2@b or 57 more"),
    ],
)
def test_of_many_values_three_are_shown(number: int, text: str) -> None:
    values = [f"{each}@b" for each in range(number)]

    assert make.of_user_texts("--email", values, "e-mail", "email").text == text


def test_limits_are_told_in_words() -> None:
    both = {"--expires-from": "2026-01-01", "--expires-to": "2026-01-31"}

    assert make.of_moments(both, "expiresAt", Period(0, DAY)).text == (
        "expires from 2026-01-01 to 2026-01-31"
    )
    assert make.of_moments({"--created-to": "2026-01-31"}, "createdAt", Period(None, DAY)).text == (
        "created to 2026-01-31"
    )


@pytest.mark.parametrize(
    ("told_of", "differs"),
    [
        ({"tags": ["OEM"], "user": {"company": "acme"}}, True),
        ({"tags": ["OEM"], "user": {"company": "Acme"}}, True),
        ({"tags": ["OEM"], "user": {"company": "Other"}}, False),
        ({"tags": ["OEM"], "user": None}, False),
        ({"tags": ["OEM"], "user": {"company": "acme"}, "revoked": True}, False),
    ],
)
def test_a_license_that_differs_in_capital_letters_alone_is_known(
    told_of: dict[str, Any], differs: bool
) -> None:
    filters = asked(
        make.of_tags("--tag", ["oem"]),
        make.of_user_texts("--company", ["Acme"], "company", "company"),
        make.of_flag("--not-revoked", "revoked", value=False),
    )
    license_ = told(**{"revoked": False} | told_of)

    assert not filters.matches(license_)
    assert filters.only_case_differs(license_) is differs


def test_without_a_text_nothing_differs_in_capital_letters() -> None:
    assert not asked().only_case_differs(told())


def test_only_an_id_is_an_id() -> None:
    for text in ("", "Draftwright", ONE[:-1], ONE.replace("-", "")):
        with pytest.raises(ConfigError, match="is no ID"):
            make.of_users("--user", [text])
