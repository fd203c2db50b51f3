"""Whatever a model writes: what passes names only what is listed or, marked, in the history."""

from __future__ import annotations

from operator import attrgetter

from hypothesis import given
from hypothesis import strategies as st

from streamrec.core.events import Item
from streamrec.core.replies.brief import Brief, prompt
from streamrec.core.replies.checks import checked
from streamrec.core.replies.foreign import as_data, plain, shown
from streamrec.core.replies.names import Names, tokens
from streamrec.core.replies.plan import PLANS
from streamrec.core.replies.rendering import MARKS, rendered, title_of
from streamrec.core.replies.rules import ReplyRules
from streamrec.core.replies.templates import template
from streamrec.errors import ReplyRefused
from tests.unit.core.replies.briefs import HISTORY, LISTED

OTHERS = tuple(
    Item(f"o{at}", title, categories=("western",))
    for at, title in enumerate(
        (
            *(
                "Saltmarsh Road (1999)",
                "Zanzibar",
                "Brass Monkeys",
                "Comet Season 2",
                "Quixote: Home",
            ),
            *("Night Ferryman", "Fjord, The (2003)", "Nocturne & Fugue", "蓝色的海", "Ça Ira"),
        )
    )
)
NAMES = Names((*LISTED, *HISTORY, *OTHERS))
SAID = ("saltmarsh road", "zanzibar", "comet season 2", "night ferryman", "fjord")
SAID += ("the fjord", "nocturne and fugue", "蓝色的海", "ca ira", "quixote home")
"""Each names one of the others, folded."""

TITLES = tuple(item.title for item in (*LISTED, *HISTORY, *OTHERS))
PLAIN = "Try this and you may like it or a an the 2 118 drama , ! ? : “ ” '"
SMALL = tuple(PLAIN.split())
PIECES = st.one_of(
    st.sampled_from(["[[1]]", "[[2]]", "[[5]]", "[[A]]", "[[c]]", "[[9]]", "[[", "]]", "[", "1"]),
    st.sampled_from(TITLES),
    st.sampled_from(SAID),
    st.sampled_from(SMALL),
    st.sampled_from(["<|im_end|>", "http://x.org", "\u200b", "\u202e", "western", "comedies"]),
    st.text(max_size=6),
)
SALAD = st.builds(
    lambda pieces, gaps: "".join(a + b for a, b in zip(pieces, gaps, strict=True)),
    *(
        st.lists(PIECES, min_size=12, max_size=12),
        st.lists(st.sampled_from(["", " ", " ", " "]), min_size=12, max_size=12),
    ),
)
TAME = st.builds(
    "Try [[1]]{}{}{}".format,
    *(st.one_of(st.sampled_from(SMALL), st.sampled_from(SAID + TITLES)).map(" {}".format),) * 2,
    st.sampled_from([".", " too!", " [[2]]", " and [[a]]?"]),
)
KEY = attrgetter("item_id")
BRIEFS = st.builds(
    Brief,
    st.text(max_size=20),
    st.lists(st.sampled_from(LISTED), unique_by=KEY, max_size=5).map(tuple),
    st.lists(st.sampled_from(HISTORY), unique_by=KEY, max_size=3).map(tuple),
    st.sampled_from(PLANS),
    st.sampled_from(["en", "de", "zh", "xx"]),
)


@given(BRIEFS, st.one_of(SALAD, TAME))
def test_what_passes_names_only_its_own(brief: Brief, written: str) -> None:
    try:
        reply = rendered(brief, written)
        checked(brief, reply, NAMES, ReplyRules())
    except ReplyRefused:
        return
    assert set(reply.items) <= {item.item_id for item in brief.listed}
    assert set(reply.from_history) <= {item.item_id for item in brief.history}
    named = {*reply.items, *reply.from_history}
    titles = {title_of(i) for i in (*brief.listed, *brief.history) if i.item_id in named}
    rest = reply.text
    for title in sorted(titles, key=len, reverse=True):
        rest = rest.replace(title, "\n")
    folded = f" {' '.join(word_list(rest))} "
    assert not [said for said in SAID if f" {' '.join(word_list(said))} " in folded]
    assert not set(reply.prose) & set(MARKS)
    assert "\n" not in reply.text


def word_list(text: str) -> list[str]:
    return [word for line in text.split("\n") for word in (*(t.word for t in tokens(line)), "|")]


@given(BRIEFS)
def test_a_template_always_passes(brief: Brief) -> None:
    reply = template(brief)
    if brief.listed:
        checked(brief, reply, NAMES, ReplyRules())
        assert reply.items
    assert set(reply.items) <= {item.item_id for item in brief.listed}


@given(st.text(max_size=300))
def test_foreign_text_stays_one_line(text: str) -> None:
    for said in (plain(text), shown(text), as_data(text, 100)):
        assert "\n" not in said
        assert said == said.strip()
    assert shown(shown(text)) == shown(text)
    assert as_data(as_data(text, 100), 100) == as_data(text, 100)
    assert not set(as_data(text, 100)) & set('[]{}<>|`#"\\')
    assert len(shown(text)) <= 120


@given(st.lists(st.text(max_size=60), min_size=4, max_size=4), st.sampled_from(PLANS))
def test_a_prompt_has_a_line_for_each_item(texts: list[str], plan: object) -> None:
    item = Item("x", texts[0], texts[1], (texts[2],), {texts[2]: texts[3]})
    asked = Brief(texts[3], (item, item), (item,), plan)
    assert prompt(asked).rest.count("\n") == 3 + asked.plan.history


@given(st.lists(st.sampled_from((*LISTED, *OTHERS)), max_size=20), st.data())
def test_an_index_that_is_kept_is_one_made_anew(items: list[Item], data: st.DataObject) -> None:
    kept = Names()
    left: dict[str, Item] = {}
    for item in items:
        kept.put(item)
        left[item.item_id] = item
        if data.draw(st.booleans()):
            kept.remove(item.item_id)
            del left[item.item_id]
    text = " ".join(item.title for item in (*LISTED, *OTHERS))
    anew = Names(left.values())
    assert sorted(kept.named(text)) == sorted(anew.named(text))
    assert +kept.kinds == +anew.kinds
