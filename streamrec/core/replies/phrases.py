"""The words of replies and reasons that no model writes, in each language that has them.

A sentence has slots (``[[1]]``) or places for code to fill: ``{items}`` and ``{had}`` for slots,
``{kinds}`` for categories as the catalogue spells them. To add a language is to add a table here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from streamrec.core.replies.language import ENGLISH
from streamrec.core.replies.plan import Tone


@dataclass(frozen=True, slots=True)
class Phrases:
    """``reasons``: of an item on the list, by the words that the ranking gives (``lists.reasons``),
    ``{had}`` standing for a title in both."""

    suggest: Mapping[Tone, str]
    because: Mapping[Tone, str]
    about: str
    question: Mapping[Tone, str]
    nothing: str
    between: str  # items
    last: str
    gap: str  # between sentences
    reasons: Mapping[str, str]
    kinds: str  # of the item, where the user has had some of them


_ENGLISH = Phrases(
    suggest={Tone.PLAIN: "I suggest {items}.", Tone.WARM: "You might really enjoy {items}!"},
    because={
        Tone.PLAIN: "You chose {had}, so I suggest {items}.",
        Tone.WARM: "Since you chose {had}, you might really enjoy {items}!",
    },
    about="{items} is listed under {kinds}.",
    question={Tone.PLAIN: "Does that suit you?", Tone.WARM: "How does that sound to you?"},
    nothing="I have nothing to suggest at the moment.",
    between=", ",
    last=" and ",
    gap=" ",
    reasons={
        "popular now": "Many people choose it now.",
        "new here": "It is new here.",
        "of a kind you choose more than others do": "It is of a kind you choose often.",
        "of a kind you have chosen": "You have chosen things of this kind before.",
        "often follows {had}": "People often choose it after {had}.",
        "often follows what you chose": "People often choose it after what you chose.",
        "often chosen together with what you chose": "It is often chosen with what you chose.",
        "because you chose {had}": "You chose {had}, which is like it.",
        "explore": "It is something else, to see whether you like it.",
    },
    kinds="You have chosen {kinds} before.",
)

_GERMAN = Phrases(
    suggest={
        Tone.PLAIN: "Mein Vorschlag ist {items}.",
        Tone.WARM: "Das könnte dir richtig gut gefallen: {items}!",
    },
    because={
        Tone.PLAIN: "Du hast {had} gewählt, daher ist mein Vorschlag {items}.",
        Tone.WARM: "Weil du {had} gewählt hast, könnte dir das richtig gut gefallen: {items}!",
    },
    about="{items} steht unter {kinds}.",
    question={Tone.PLAIN: "Passt das für dich?", Tone.WARM: "Wie klingt das für dich?"},
    nothing="Im Moment habe ich keinen Vorschlag für dich.",
    between=", ",
    last=" und ",
    gap=" ",
    reasons={
        "popular now": "Das wählen gerade viele.",
        "new here": "Das ist neu hier.",
        "of a kind you choose more than others do": "So etwas wählst du oft.",
        "of a kind you have chosen": "So etwas hast du schon gewählt.",
        "often follows {had}": "Das wählen viele nach {had}.",
        "often follows what you chose": "Das wählen viele nach dem, was du gewählt hast.",
        "often chosen together with what you chose": "Das wird oft mit dem gewählt, was du hast.",
        "because you chose {had}": "Du hast {had} gewählt, das ist ähnlich.",
        "explore": "Das ist etwas anderes: mal sehen, ob es dir gefällt.",
    },
    kinds="Du hast schon {kinds} gewählt.",
)

_CHINESE = Phrases(
    suggest={Tone.PLAIN: "我推荐{items}。", Tone.WARM: "你可能会很喜欢{items}！"},
    because={
        Tone.PLAIN: "你选过{had}，所以我推荐{items}。",
        Tone.WARM: "既然你选过{had}，你可能会很喜欢{items}！",
    },
    about="{items}的类别是{kinds}。",
    question={Tone.PLAIN: "这个合适吗？", Tone.WARM: "你觉得怎么样？"},
    nothing="目前我没有可以推荐的内容。",
    between="、",
    last="和",
    gap="",
    reasons={
        "popular now": "现在很多人选它。",
        "new here": "这是新上的。",
        "of a kind you choose more than others do": "这一类你常选。",
        "of a kind you have chosen": "这一类你以前选过。",
        "often follows {had}": "很多人在{had}之后选它。",
        "often follows what you chose": "很多人选了你选过的之后会选它。",
        "often chosen together with what you chose": "它常和你选过的一起被选。",
        "because you chose {had}": "你选过{had}，它们很像。",
        "explore": "换个不同的，看看你喜不喜欢。",
    },
    kinds="你以前选过{kinds}。",
)

PHRASES: Mapping[str, Phrases] = MappingProxyType(
    {ENGLISH: _ENGLISH, "de": _GERMAN, "zh": _CHINESE}
)


def phrases(language: str) -> Phrases:
    """English where a language has none."""
    return PHRASES.get(language, _ENGLISH)


def joined(parts: list[str], said: Phrases) -> str:
    """``A, B and C``."""
    if len(parts) < 2:
        return "".join(parts)
    return said.between.join(parts[:-1]) + said.last + parts[-1]
