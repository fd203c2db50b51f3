"""Where a text says that somebody had something: "as you had X", "since you liked X", "after X".

Knows the words of it in English, German and Chinese, up to the title. Does not know who had what.
"Have you seen X?" asks, and says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_VERBS = (
    "had|chose|chosen|liked|loved|enjoyed|saw|seen|watched|read|heard|took|taken|tried|bought|"
    "played|picked|finished"
)
_NOW = "so|then|try|might|may|will|would|could|should|suggest|recommend|pick|here|i"
"""After these it is about what comes, not about what was."""
_ON = rf"(?:(?!\b(?:{_NOW})\b)[^,;:.!?…])*"
_YOU = r"(?<!have )(?<!did )(?<!had )\byou(?:['’]ve| have| also| already| just| once| last)*"
_HAD = re.compile(
    rf"{_YOU} (?:{_VERBS})\b{_ON}$"
    r"|(?:^|[,;:.!?…] ?)(?:after|nach)\s[\"“„'(]*$"
    r"|\b(?:du hast|hast du|(?:weil|da|nachdem|als) du)\s(?:schon |auch |zuletzt )?[\"“„'(]*$"
    r"|你(?:已经|之前|以前)?(?:选|看|喜欢|听|买|读|玩)过[《“「]*$",
    re.IGNORECASE,
)
_TITLE = "◆"
_SENTENCE = re.compile(r".*[.!?…。！？]\s*", re.DOTALL)


def said_to_be_had(text: str, places: Iterable[tuple[int, int]], at: int) -> bool:
    """Whether what stands at ``at`` is said to have been had. ``places``: (start, end) of titles,
    whose own words say nothing."""
    before, begun = "", 0
    for start, end in sorted(places):
        if begun <= start and end <= at:
            before, begun = before + text[begun:start] + _TITLE, end
    before += text[begun:at]
    return _HAD.search(_SENTENCE.sub("", before)) is not None
