"""What became of a producer's events, compared with what it meant.

Pure: counts by user, examples and refusals come in as values (``lab.drill.wild`` finds them).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Labels = Mapping[str, bool]
"""One example: each candidate, and whether it was accepted."""


class UserCounts(NamedTuple):
    """Events of one user that counted, over all partitions."""

    views: int = 0
    accepts: int = 0


@dataclass(slots=True)
class Meant:
    """What should be known of one user: counts, and each list with what of it was clicked."""

    views: int = 0
    accepts: int = 0
    lists: dict[frozenset[str], frozenset[str]] = field(default_factory=dict)


@dataclass(slots=True)
class WildTally:
    """``lost``, ``doubled``: events and examples; ``wrong_labels``: examples; ``silent``: events
    that neither counted nor have a dead letter; ``refused``: dead letters by code."""

    meant: int = 0
    counted: int = 0
    examples: int = 0
    lost: int = 0
    doubled: int = 0
    wrong_labels: int = 0
    silent: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    named: list[str] = field(default_factory=list)


class ProducerOutcome(NamedTuple):
    """What is found of one producer's users."""

    counts: Mapping[str, UserCounts]
    examples: Mapping[str, Sequence[Labels]]
    refused: Sequence[str]  # codes, one for each of its messages that was refused


def check(meant: Mapping[str, Meant], found: ProducerOutcome, *, certain: bool) -> WildTally:
    """``certain``: everything meant has a plain meaning, and must count.

    Otherwise each event must count or be refused, once; a list whose events were taken at
    another time may close early, so only what its labels say is compared.
    """
    tally = WildTally(refused=dict(Counter(found.refused)))
    for user in sorted({*meant, *found.counts, *found.examples}):
        said, counts = meant.get(user, Meant()), found.counts.get(user, UserCounts())
        examples = found.examples.get(user, ())
        tally.meant += said.views + said.accepts
        tally.counted += sum(counts)
        tally.examples += len(examples)
        if certain:
            _count(tally, user, said, counts, examples)
        wrong = list(_wrong(said.lists, examples, certain))
        tally.wrong_labels += len(wrong)
        tally.named += [f"{user}: {what}" for what in wrong]
    answered = tally.counted + len(found.refused)
    tally.silent = max(0, tally.meant - answered)
    if not certain:
        tally.lost = tally.silent
        tally.doubled = max(0, answered - tally.meant)
    return tally


def _count(
    tally: WildTally, user: str, meant: Meant, counts: UserCounts, examples: Sequence[Labels]
) -> None:
    """Each event must have counted once, each list have become one example."""
    pairs = list(zip((meant.views, meant.accepts), counts, strict=True))
    missing, extra = sum(max(0, m - c) for m, c in pairs), sum(max(0, c - m) for m, c in pairs)
    found = Counter(frozenset(labels) for labels in examples)
    unlearned = sum(one not in found for one in meant.lists)
    repeated = sum(times - 1 for one, times in found.items() if one in meant.lists)
    tally.lost += missing + unlearned
    tally.doubled += extra + repeated
    if missing or extra or unlearned or repeated:
        tally.named.append(
            f"{user}: {missing} events missing, {extra} too many; "
            f"{unlearned} examples missing, {repeated} repeated"
        )


def _wrong(
    lists: Mapping[frozenset[str], frozenset[str]], examples: Sequence[Labels], certain: bool
) -> Iterable[str]:
    for labels in examples:
        accepted = {item for item, label in labels.items() if label}
        clicked = lists.get(frozenset(labels))
        if clicked is None:
            clicked = frozenset().union(*lists.values())
            if certain or not accepted <= clicked:
                yield f"an example of {sorted(labels)[:5]}, a list that was not shown"
        elif not (accepted == clicked if certain else accepted <= clicked):
            yield f"{sorted(accepted)} labelled as accepted, {sorted(clicked)} were clicked"
