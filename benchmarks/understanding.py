"""How much of what people ask is understood: queries with what they mean, read and compared.

    python -m benchmarks.understanding [--json] [--half worked_on|held_out|harder] [--misses]

The queries (tests/fixtures/understanding) were written before the rules that read them. The rules
were made with the half ``worked_on`` alone; ``harder`` was written after them, to find limits.
``exact``: share of queries of which everything is right.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamrec.core.events import Item
from streamrec.core.understanding.catalogue_words import CatalogueWords
from streamrec.core.understanding.turns import understand
from streamrec.core.understanding.understood import Understood

FIXTURES = Path(__file__).parents[1] / "tests" / "fixtures" / "understanding"
HALVES = ("worked_on", "held_out", "harder")
SLOTS = ("want", "not", "has", "lacks", "range", "prefer", "like", "unlike")


@dataclass
class Score:
    """``hits``, ``said`` and ``meant`` count by slot."""

    queries: int = 0
    exact: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    meant: Counter[str] = field(default_factory=Counter)
    misses: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        slots = {
            slot: {
                "precision": ratio(self.hits[slot], self.said[slot]),
                "recall": ratio(self.hits[slot], self.meant[slot]),
                "n": self.meant[slot],
            }
            for slot in SLOTS
        }
        return {"queries": self.queries, "exact": ratio(self.exact, self.queries), "slots": slots}


def ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def catalogues() -> dict[str, CatalogueWords]:
    found = json.loads((FIXTURES / "catalogues.json").read_text())
    return {
        name: CatalogueWords.of(
            Item(item_id, title, categories=tuple(categories), attributes=attributes)
            for item_id, title, categories, attributes in rows
        )
        for name, rows in found.items()
    }


def queries(half: str) -> list[dict[str, Any]]:
    lines = (FIXTURES / f"{half}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def meant(query: dict[str, Any]) -> set[tuple[object, ...]]:
    """As atoms: a slot and what is in it."""
    found: set[tuple[object, ...]] = set()
    for slot in ("want", "not", "like", "unlike"):
        found |= {(slot, one) for one in query.get(slot, ())}
    for slot in ("has", "lacks"):
        for name, values in query.get(slot, {}).items():
            several = values if isinstance(values, list) else [values]
            found |= {(slot, name, value) for value in several}
    found |= {("range", name, *ends) for name, ends in query.get("range", {}).items()}
    return found | {("prefer", name, way) for name, way in query.get("prefer", {}).items()}


def said(found: Understood) -> set[tuple[object, ...]]:
    one: Iterable[tuple[object, ...]] = [
        *(("want", category) for category in found.wanted),
        *(("not", category) for category in found.unwanted),
        *(("has", *pair) for pair in found.has),
        *(("lacks", *pair) for pair in found.lacks),
        *(("range", r.name, r.low, r.high) for r in found.ranges),
        *(("prefer", name, 1) for name in found.more),
        *(("prefer", name, -1) for name in found.less),
        *(("like", item) for item in found.like),
        *(("unlike", item) for item in found.unlike),
    ]
    return set(one)


def score(half: str) -> Score:
    known, result = catalogues(), Score()
    for query in queries(half):
        vocabulary, former = known[query["in"]], None
        for before in query.get("before", ()):
            former = understand(before, vocabulary, former)
        found = understand(query["say"], vocabulary, former)
        ours, wanted = said(found), meant(query)
        right = ours == wanted and found.together == query.get("all", False)
        result.queries += 1
        result.exact += right
        for counter, atoms in (
            (result.hits, ours & wanted), (result.said, ours), (result.meant, wanted)
        ):  # fmt: skip
            counter.update(str(atom[0]) for atom in atoms)
        if not right:
            extra, lacking = sorted(map(str, ours - wanted)), sorted(map(str, wanted - ours))
            result.misses.append(f"{query['say']}: too much {extra}, lacking {lacking}")
    return result


def speed(count: int = 100_000) -> dict[str, float]:
    """Of a large catalogue: seconds to make its words, and milliseconds a query."""
    items = [
        Item(
            f"i{n}",
            f"Title {n} of many ({1950 + n % 70})",
            categories=(f"c{n % 40}", f"d{n % 7}"),
            attributes={"price": str(n % 500), "brand": f"brand{n % 300}"},
        )
        for n in range(count)
    ]
    began = time.process_time()
    vocabulary = CatalogueWords.of(items)
    made = time.process_time()
    asked = [query["say"] for query in queries("worked_on")]
    for text in asked:
        understand(text, vocabulary)
    ended = time.process_time()
    return {
        "items": count,
        "made_s": round(made - began, 2),
        "query_ms": round(1000 * (ended - made) / len(asked), 3),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--json", action="store_true")
    options.add_argument("--half", choices=HALVES)
    options.add_argument("--misses", action="store_true", help="name the queries misread")
    chosen = options.parse_args()
    halves = {half: score(half) for half in ([chosen.half] if chosen.half else HALVES)}
    if chosen.json:
        report = {half: found.as_dict() for half, found in halves.items()}
        print(json.dumps(report | {"speed": speed()}, indent=2))
        return
    for half, found in halves.items():
        told = found.as_dict()
        print(f"{half}: {told['exact']:.1%} of {told['queries']} queries exactly")
        for slot, one in told["slots"].items():
            print(f"  {slot:8} precision {one['precision']}  recall {one['recall']}  of {one['n']}")
        if chosen.misses:
            print(*(f"  {miss}" for miss in found.misses), sep="\n")
    print(f"speed: {speed()}")


if __name__ == "__main__":
    main()
