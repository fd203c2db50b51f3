"""Foreign text on its way to a person's terminal: what would steer it is shown instead.

Ids, titles and reasons are whatever somebody put on a topic: escape codes that recolour, retitle or
answer for a terminal, controls that turn the order of writing around, line breaks that forge a line
of a table. Each such character becomes one visible one, so that lengths stay what they were.
"""

from __future__ import annotations

import unicodedata

_HOSTILE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, format, half a pair, line and paragraph ends
_JOINERS = {"\u200c", "\u200d"}  # part of the spelling of words and of emoji
_PICTURES = 0x2400  # ␀ and on: a picture for each of the first 32 controls
_DELETE, _DELETED = 0x7F, "\u2421"
_NAMELESS = "\ufffd"


class _Visible(dict[int, str]):
    """For ``str.translate``: one visible character for each hostile one, found once."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _visible(code)
        return found


class _Escaped(dict[int, str]):
    """For ``str.translate``: as JSON escapes it."""

    def __missing__(self, code: int) -> str:
        self[code] = found = _escaped(code) if _hostile(code) else chr(code)
        return found


def _hostile(code: int) -> bool:
    return unicodedata.category(chr(code)) in _HOSTILE and chr(code) not in _JOINERS


def _visible(code: int) -> str:
    if not _hostile(code):
        return chr(code)
    if code < 0x20:
        return chr(_PICTURES + code)
    return _DELETED if code == _DELETE else _NAMELESS


def _escaped(code: int) -> str:
    units = chr(code).encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


_LINE = _Visible()
_LINES = _Visible({ord("\n"): "\n", ord("\t"): "\t"})
_JSON = _Escaped({ord("\n"): "\n"})


def one_line(text: str) -> str:
    """``text`` with nothing in it that steers, line breaks and tabs included."""
    return text.translate(_LINE)


def lines(text: str) -> str:
    """The same, its line breaks and tabs left."""
    return text.translate(_LINES)


def json_line(text: str) -> str:
    """JSON text that says the same, with every character that would steer a terminal escaped."""
    return text.translate(_JSON)
