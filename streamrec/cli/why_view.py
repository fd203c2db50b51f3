"""How an explained answer looks to people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from streamrec.cli.adapters_view import trained_events, verdict
from streamrec.cli.console import ago, table, words
from streamrec.core.events import Item, Recommendation
from streamrec.core.release.manifest import Manifest
from streamrec.tasks.ranking.lists.attribution import ItemAttribution, strongest
from streamrec.tasks.ranking.lists.explanation import Explanation
from streamrec.tasks.ranking.lists.reasons import GROUPS

if TYPE_CHECKING:
    from streamrec.apps.why import Why

DRIVERS = 5
Titles = Mapping[str, Item]


def explained(found: Why, kept: Explanation, titles: Titles, now_ms: int) -> RenderableType:
    """The whole page: scores by part, the history behind them, the generation, the state."""
    head = (
        f"{kept.recommendation_id} for {kept.user_id}, by {kept.generation} on {kept.worker_id}, "
        f"{ago(now_ms - kept.served_at_ms)} ago"
    )
    pieces: list[RenderableType] = [words(head, style="bold")]
    if kept.query:
        pieces.append(words(f"the order also counts how close an item is to {kept.query!r}"))
    if found.items:
        pieces += [scores(found.items, titles), words(_calibration(found.items[0]))]
        pieces.append(drivers(found.items, kept, titles))
        if not all(item.faithful for item in found.items):
            pieces.append(
                words("these weights do not give the published probabilities", style="bold red")
            )
    else:
        pieces += [_published(kept, titles), words(found.problem)]
    pieces += [_origin(found.manifest), _state(kept)]
    return Group(*_spaced(pieces))


def scores(items: Sequence[ItemAttribution], titles: Titles) -> RenderableType:
    """A line an item: what each part adds to the score, in the order of the list."""
    columns = ["#>", "item", "title", "P(accept)>", "score>"]
    columns += [f"{group}>" for group in GROUPS] + ["rest>", "of which network>"]
    rows = [
        (
            place,
            item.item_id,
            _title(titles, item.item_id),
            f"{item.probability:.1%}",
            f"{item.score:+.2f}",
            *(f"{item.part(group):+.2f}" for group in GROUPS),
            f"{item.constant:+.2f}",
            f"{sum(item.network.values()):+.2f}",
        )
        for place, item in enumerate(items, start=1)
    ]
    return table("Scores by part", columns, rows)


def drivers(items: Sequence[ItemAttribution], kept: Explanation, titles: Titles) -> RenderableType:
    """The user's items that moved the list most, and the item of the list each moved most."""
    places = strongest(items, DRIVERS)
    if not places:
        return words("No item of the user's history moved these scores through its text.")
    rows = []
    for h in places:
        most = max(items, key=lambda item: abs(item.drivers[h]))
        mean = sum(item.drivers[h] for item in items) / len(items)
        rows.append(
            (
                kept.history[h],
                _title(titles, kept.history[h]),
                h + 1,
                f"{mean:+.3f}",
                f"{most.drivers[h]:+.3f}",
                _title(titles, most.item_id) or most.item_id,
            )
        )
    columns = ["item", "title", "back>", "mean effect>", "largest>", "on"]
    return table("The user's items that drove it, by leaving each out of the text", columns, rows)


def replay_batch(found: Recommendation, titles: Titles, now_ms: int) -> RenderableType:
    """What the topic still says of an answer whose inputs are gone."""
    head = (
        f"{found.recommendation_id} for {found.user_id}, by {found.generation} on "
        f"{found.worker_id}, {ago(now_ms - found.served_at_ms)} ago, as published"
    )
    rows = [
        (place, item.item_id, _title(titles, item.item_id), f"{item.probability:.1%}", item.reason)
        for place, item in enumerate(found.items, start=1)
    ]
    shown = table("", ["#>", "item", "title", "P(accept)>", "reason"], rows)
    state = words(f"state: events of the user's partition before offset {found.state_position:,}")
    return Group(*_spaced([words(head, style="bold"), shown, state]))


def _calibration(item: ItemAttribution) -> str:
    return (
        f"P(accept) = σ({item.scale:.3f} × score {item.shift:+.3f}); the score is the sum of the "
        "parts; `rest` is the network with every input at its mean."
    )


def _origin(manifest: Manifest | None) -> RenderableType:
    if manifest is None:
        return words("The generation's manifest cannot be read.")
    spans = ", ".join(
        f"events-{partition} {start:,} to {to:,}"
        for partition, (start, to) in sorted(manifest.offsets.items())
    )
    rows = [
        ("generation", manifest.generation),
        ("parent", manifest.parent),
        ("learned from", spans or "nothing: a first generation"),
        ("events", trained_events(manifest)),
        ("gate", verdict(manifest.gate)),
    ]
    return _facts("What it had learned from", rows)


def _state(kept: Explanation) -> RenderableType:
    behind = "never seen"
    if kept.user_seen_ms:
        behind = f"last event {ago(kept.served_at_ms - kept.user_seen_ms)} before the answer"
    latest = "none yet"
    if kept.watermark_ms:
        latest = f"{ago(kept.served_at_ms - kept.watermark_ms)} before the answer"
    statistics = ", ".join(f"{source} {at:,}" for source, at in sorted(kept.statistics.items()))
    rows = [
        ("user", behind),
        ("user's state", f"events before offset {kept.state_position:,} of the user's partition"),
        ("statistics", f"before {statistics}"),
        ("their latest event", latest),
    ]
    return _facts("What it knew", rows)


def _published(kept: Explanation, titles: Titles) -> RenderableType:
    rows = [
        (place, item_id, _title(titles, item_id), f"{probability:.1%}")
        for place, (item_id, probability) in enumerate(
            zip(kept.items, kept.probabilities_K.tolist(), strict=True), start=1
        )
    ]
    return table("", ["#>", "item", "title", "P(accept)>"], rows)


def _facts(title: str, rows: Sequence[tuple[object, ...]]) -> RenderableType:
    made = table(title, ["", ""], rows)
    made.show_header = False
    return made


def _title(titles: Titles, item_id: str) -> str:
    item = titles.get(item_id)
    return item.title if item else ""


def _spaced(pieces: Sequence[RenderableType]) -> list[RenderableType]:
    found: list[RenderableType] = []
    for piece in pieces:
        found += [piece, Text("")]
    return found[:-1]
