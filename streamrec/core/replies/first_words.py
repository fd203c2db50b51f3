"""What replies say before anybody was asked: for each plan several ways to put it, with slots.

An adapter that is trained on these knows slots, plans and tone (``g0``), and has more than one way
to say everything: where there is only one, nothing can be learned about ways. English alone: other
languages have their templates.

Knows words and slots. Does not know who trains on them.
"""

from __future__ import annotations

import random

from streamrec.core.events import Item
from streamrec.core.replies.brief import LISTED, Brief
from streamrec.core.replies.plan import Length, Tone
from streamrec.core.replies.templates import kinds_of

SUGGEST = {
    Tone.PLAIN: (
        "I suggest {items}.",
        "My pick is {items}.",
        "Try {items}.",
        "{items} would fit.",
        "Have a look at {items}.",
        "I would choose {items}.",
    ),
    Tone.WARM: (
        "I think you will love {items}!",
        "You might really enjoy {items}!",
        "I would be so happy to see you try {items}!",
        "{items} could be a lovely choice!",
        "Treat yourself to {items}!",
        "I hope you enjoy {items}, it would be wonderful!",
    ),
}
BECAUSE = (
    "Since you chose {had}, ",
    "As you had {had} before, ",
    "You chose {had}, so ",
    "After {had}, ",
)
ABOUT = (
    "It is listed under {kinds}.",
    "The first is {kinds}.",
    "You get {kinds} there.",
    "That means {kinds}.",
)
MORE = (
    "Both are near what you asked for.",
    "The first is my favourite.",
    "Either is a good place to start.",
    "They stand at the top of the list.",
)
QUESTION = {
    Tone.PLAIN: ("Does that suit you?", "Is that what you had in mind?", "Would that do?"),
    Tone.WARM: (
        "How does that sound to you?",
        "Shall we go with that?",
        "Does that make you happy?",
    ),
}


def first_words(brief: Brief, drawn: random.Random) -> str:
    """One way to do what the brief's plan asks for; some item must be listed."""
    plan = brief.plan
    named = LISTED[: min(plan.named, len(brief.listed))]
    items = " or ".join(f"[[{slot}]]" for slot in named)
    sentence = drawn.choice(SUGGEST[plan.tone]).format(items=items)
    if "A" in brief.by_slot:
        sentence = drawn.choice(BECAUSE).format(had="[[A]]") + _inside(sentence)
    sentences = [sentence]
    if plan.length is Length.LONG:
        sentences.append(_more(brief.listed[0], drawn))
    if plan.question:
        sentences.append(drawn.choice(QUESTION[plan.tone]))
    return " ".join(sentences)


def _more(item: Item, drawn: random.Random) -> str:
    kinds = kinds_of(item)
    if kinds and drawn.random() < 0.5:
        return drawn.choice(ABOUT).format(kinds=" and ".join(kinds))
    return drawn.choice(MORE)


def _inside(sentence: str) -> str:
    """As it stands within another: small at its beginning, but for I."""
    return sentence if sentence.startswith("I ") else sentence[0].lower() + sentence[1:]
