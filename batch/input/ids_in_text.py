"""License IDs anywhere in a text, and what somebody may have meant as one although it is none."""

from __future__ import annotations

import re
import unicodedata

APART = "\x1f"
"""Between the cells of a column that are searched together: white space that no cell holds."""

_GROUPS = (8, 4, 4, 4, 12)
_DIGITS = sum(_GROUPS)
_HEX = "[0-9a-fA-F]"
# Begun with a class of characters, and without IGNORECASE, it is found in a quarter of the time;
# what stands before it is looked at where the first group is found, for that is rare.
ANYWHERE = re.compile(
    # In a link a brace is %7B, whose last digit is none of the ID's.
    rf"({_HEX}{{8}}(?:(?<!{_HEX}.{{8}})|(?<=%{_HEX}{{2}}.{{8}}))-?"
    + "-?".join(f"{_HEX}{{{length}}}" for length in _GROUPS[1:])
    + f")(?!{_HEX})",
)
"""A license ID anywhere in a text, with its hyphens or without them."""

SHORTEST = 26
"""Characters of what may nearly be an ID, at least."""

_WORD = re.compile(rf"""[^\s,;|"'<>(){{}}\[\]/\\:=&?#%]{{{SHORTEST},48}}""")
_NOT_HEX = re.compile("[^0-9a-f]", re.IGNORECASE)
_BLANK = re.compile(r"[^\S\x1f]")
_SPACED = re.compile(r"(?<![0-9a-fA-F-])[0-9a-fA-F-]+(?:[^\S\x1f]+[0-9a-fA-F-]+)+")
_DASHES = {ord("_"): "-", ord("\N{MINUS SIGN}"): "-", ord("\N{HYPHEN BULLET}"): "-"}


def _plain(text: str) -> str:
    """Text with the characters that other programs have put in the place of those of an ID."""
    if text.isascii():
        return text.translate(_DASHES)
    compatible = unicodedata.normalize("NFKC", text)
    kinds = {char: unicodedata.category(char) for char in set(compatible) if not char.isascii()}
    dashes = {ord(char): "-" for char, kind in kinds.items() if kind == "Pd"}
    invisible = {ord(char): "" for char, kind in kinds.items() if kind == "Cf"}
    return compatible.translate(_DASHES | dashes | invisible)


def may_nearly_be_ids(others: str, *, by_key: bool) -> bool:
    """Tell whether `is_nearly_id` may be true of a cell; quick, for a whole column.

    Args:
        others: What the cells hold beside IDs.
        by_key: Whether licenses are listed by their keys.
    """
    plain = _plain(others)
    return (
        any(_is_nearly(word, by_key=by_key) for word in _WORD.findall(plain))
        or (plain != others and ANYWHERE.search(plain) is not None)
        or (
            _BLANK.search(plain) is not None
            and any(len(found[0]) >= _DIGITS for found in _SPACED.finditer(plain))
        )
    )


def is_nearly_id(cell: str, *, by_key: bool) -> bool:
    """Tell whether a cell holds what somebody may have meant as a license ID, and is none."""
    rest = ANYWHERE.sub(" ", cell)
    plain = _plain(rest)
    if any(_is_nearly(word, by_key=by_key) for word in _WORD.findall(plain)):
        return True
    if plain != rest and ANYWHERE.search(plain):
        return True
    squeezed = "".join(plain.split())
    return len(squeezed) <= 48 and rest == cell and ANYWHERE.search(squeezed) is not None


def _is_nearly(word: str, *, by_key: bool) -> bool:
    """Tell whether a word differs from an ID by a few characters, or by one hyphen.

    With four hyphens it may hold six characters that are no digits; or two of them, and two
    characters too many or too few. With another number of hyphens it may hold one of each; it then
    has one hyphen too many or too few, or none.
    """
    groups = word.strip("-.").split("-")
    bare = "".join(groups)
    if len(groups) != len(_GROUPS) and abs(len(bare) - _DIGITS) > 1:
        return False
    odd = len(_NOT_HEX.findall(bare))
    if len(groups) == len(_GROUPS):
        off = sum(abs(len(group) - length) for group, length in zip(groups, _GROUPS, strict=True))
        return (off == 0 and odd <= 6) or (off <= 2 and odd <= 2)
    if odd > 1:
        return False
    if len(groups) == 1:
        # Keys may be such numbers; and digits that are all there were found before.
        return not by_key
    at, breaks = 0, set()
    for group in groups[:-1]:
        at += len(group)
        breaks.add(at)
    return len(breaks ^ {8, 12, 16, 20}) == 1
