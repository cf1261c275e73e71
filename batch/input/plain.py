"""Patterns of rows and shared strings of an xlsx file that hold nothing unusual.

The patterns take in less than the format allows, and nothing that is not well-formed: attributes
in an order that programs write, none of them twice, and values whose first character says that
they are not blank. Whoever adds to them has to ask what a parser would say.

No text fits a pattern in two ways, so one that does not fit is given up in linear time without
possessive quantifiers, which match wrongly before Python 3.11.5
(https://github.com/python/cpython/issues/106052).

Source: ECMA-376 part 1, 18.3.1.73 (row), 18.3.1.4 (c), 18.3.1.40 (f), 18.4.8 (si).
"""

from __future__ import annotations

import re
from string import ascii_uppercase

_ENTITY = "&(?:amp|lt|gt|quot|apos);"
# ">" may stand for itself, but not behind "]]"; nobody writes it so.
_CHARACTER = r"[^<>&\x00-\x08\x0b\x0c\x0e-\x1f]"
_FIRST = r"[^<>&\x00-\x1f\s]"
_ANY = rf"{_CHARACTER}*(?:{_ENTITY}{_CHARACTER}*)*"
_TEXT = rf"(?:{_FIRST}|{_ENTITY}){_ANY}"
_SPACE = '(?: xml:space="preserve")?'
_STYLE = ' s="[0-9]+"'
_TYPES = ' t="(?:n|str|b|d)"'
_AT = "[A-Z]{1,3}[0-9]{1,7}"
_COUNTED = "[0-9]+"


class PlainRows:
    """The patterns of one sheet.

    Args:
        prefix: What stands before the names of elements.
        gap: A regular expression for what stands between tags.
        width: Columns in which a cell of a plain row may hold something.

    Attributes:
        row: A plain row, with three groups: its number, its other attributes, and text if it
            has a cell that ends as a cell with content does and has none.
        blank: Such a cell.
        index: The index of a shared string in a plain row.
        end: Where a cell with content, or such a blank one, ends.
    """

    def __init__(self, prefix: str, gap: str, width: int) -> None:
        p, g = re.escape(prefix), gap
        formula = (
            f'<{p}f(?: aca="false")?(?: t="shared")?(?: ref="[A-Z0-9:]+")?(?: si="{_COUNTED}")?'
            f"(?:/>|>{_ANY}</{p}f>){g}"
        )
        shared = f">{g}<{p}v>{_COUNTED}</{p}v>{g}"
        inline = f">{g}<{p}is>{g}<{p}t{_SPACE}>{_TEXT}</{p}t>{g}</{p}is>{g}"
        value = f">{g}(?:{formula})?<{p}v{_SPACE}>{_TEXT}</{p}v>{g}"
        filled = (
            f'<{p}c r="{_columns(width)}[0-9]{{1,7}}"(?:(?:{_STYLE})?'
            f'(?: t="s"{shared}| t="inlineStr"{inline}|(?:{_TYPES})?{value})'
            f'| t="s"{_STYLE}{shared}| t="inlineStr"{_STYLE}{inline}|{_TYPES}{_STYLE}{value}'
            f")</{p}c>"
        )
        kind = ' t="(?:s|inlineStr|n|str|b|d)"'
        empty = f'<{p}c r="{_AT}"(?:{_STYLE}(?:{kind})?|{kind}(?:{_STYLE})?)? ?/>'
        no_text = f"<{p}is>{g}<{p}t{_SPACE}(?: ?/>|></{p}t>){g}</{p}is>"
        no_value = f"<{p}v{_SPACE}(?: ?/>|></{p}v>)"
        blank = (
            f'<{p}c r="{_AT}"(?:{_STYLE})?'
            f'(?: t="inlineStr">{g}{no_text}|(?:{_TYPES})?>{g}{no_value}){g}</{p}c>'
        )
        self.row = re.compile(
            f'{g}<{p}row r="([0-9]{{1,7}})"([^<>/]{{0,300}})'
            f"(?:>{g}(?:(?:{filled}|{empty}|({blank})){g})*</{p}row>|/>)"
        )
        self.blank = re.compile(blank)
        self.index = re.compile(f' t="s"(?:{_STYLE})?>{g}<{p}v>({_COUNTED})<')
        self.end = f"</{p}c>"


def plain_string(prefix: str, gap: str) -> re.Pattern[str]:
    """The pattern of a shared string that is not blank, with how it is read aloud (18.4.3)."""
    p, g = re.escape(prefix), gap
    aloud = f'(?:<{p}phoneticPr fontId="{_COUNTED}"(?: type="noConversion")?/>{g})?'
    return re.compile(f"{g}<{p}si>{g}<{p}t{_SPACE}>{_TEXT}</{p}t>{g}{aloud}</{p}si>")


def _columns(width: int) -> str:
    """A regular expression for the names of the first columns; for no name if there are none."""
    name = ""
    while width:
        width, letter = divmod(width - 1, 26)
        name = ascii_uppercase[letter] + name
    if not name:
        return "(?!)"
    leading, last = name[:-1], name[-1]
    shorter = [f"[A-Z]{{{length}}}" for length in range(1, len(name))]
    before = [
        f"{name[:place]}[A-{chr(ord(letter) - 1)}][A-Z]{{{len(leading) - place}}}"
        for place, letter in enumerate(leading)
        if letter != "A"
    ]
    return f"(?:{'|'.join([*shorter, *before, f'{leading}[A-{last}]'])})"
