"""Public streams as items.jsonl and events.jsonl for ``streamrec replay``.

    python -m benchmarks.datasets movietweetings DIR_WITH_DAT_FILES OUT
    python -m benchmarks.datasets movielens UNPACKED_ml-100k_OF_RECBOLE OUT
    python -m benchmarks.datasets news OUT [MEAN_CLICK_DELAY_S]

``news`` is synthetic: topics, drift, real non-clicks; a click comes 20 s after its views, or
after a random time with the mean given.

Ratings become events: MovieTweetings 7 and more, MovieLens 4 and more, are clicks; lower
ones are views without a click.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

Record = dict[str, Any]


def movietweetings(source: Path) -> tuple[list[Record], list[Record]]:
    items = []
    for line in (source / "movies.dat").read_text(encoding="utf-8").splitlines():
        item_id, title, genres = line.split("::")
        items.append({"item_id": item_id, "title": title, "categories": _split(genres, "|")})
    rows = [line.split("::") for line in (source / "ratings.dat").read_text().splitlines()]
    ratings = [(int(at), user, item, float(rating)) for user, item, rating, at in rows]
    return items, list(_rated(ratings, click_from=7.0))


def movielens(source: Path) -> tuple[list[Record], list[Record]]:
    """RecBole's layout: tab-separated with a header."""
    items = []
    for row in _table(source / "ml-100k.item"):
        item_id, title, year, genres = row
        name = f"{title} ({year})" if year else title
        items.append({"item_id": item_id, "title": name, "categories": _split(genres, " ")})
    ratings = [
        (int(float(at)), user, item, float(rating))
        for user, item, rating, at in _table(source / "ml-100k.inter")
    ]
    return items, list(_rated(ratings, click_from=4.0))


def news(
    users: int = 2_000,
    articles: int = 3_000,
    impressions: int = 6_000,
    seed: int = 0,
    mean_click_delay_s: float | None = None,
) -> tuple[list[Record], list[Record]]:
    """Impressions of fresh articles with real non-clicks; taste by topic, short-lived appeal.

    Titles share words within a topic, so text tells tastes; appeal (the click rate of an
    article) is only to be seen in clicks. A click comes 20 s after its views. With
    ``mean_click_delay_s`` the delay is exponential, at least a second: what is shown and
    clicked stays the same, only the times of clicks change.
    """
    rng = np.random.default_rng(seed)
    delay_rng = np.random.default_rng([seed, 1])  # of its own: what is clicked does not change
    names = list(_TOPICS)
    topic_of = rng.integers(len(names), size=articles)
    appeal = rng.gumbel(0.0, 0.8, articles)
    tastes = rng.dirichlet(np.full(len(names), 0.35), users)
    items: list[Record] = []
    for n in range(articles):
        words = rng.choice(_TOPICS[names[topic_of[n]]].split(), 4, replace=False)
        items.append(
            {"item_id": f"n{n}", "title": " ".join(words), "categories": [names[topic_of[n]]]}
        )
    born = np.sort(rng.integers(0, impressions, articles))
    events: list[Record] = []
    for number in range(impressions):
        at = 1_600_000_000 + number * 60
        user = int(users * rng.random() ** 2)
        live = np.flatnonzero((born <= number) & (born > number - 400))
        if len(live) < 25:
            continue
        shown = rng.choice(live, 20, replace=False)
        utility = 2.0 * np.log(tastes[user, topic_of[shown]] * len(names) + 0.1) + appeal[shown]
        clicked = int(shown[np.argmax(utility + rng.gumbel(0.0, 1.0, len(shown)))])
        common = {"user_id": f"u{user}", "impression_id": f"p{number}"}
        for position, article in enumerate(shown):
            events.append(
                common
                | {
                    "event_id": f"v{number}-{position}",
                    "item_id": f"n{article}",
                    "kind": "view",
                    "occurred_at": at,
                    "position": position,
                }
            )
        delay_s = 20
        if mean_click_delay_s is not None:
            delay_s = max(1, round(delay_rng.exponential(mean_click_delay_s)))
        events.append(
            common
            | {
                "event_id": f"c{number}",
                "item_id": f"n{clicked}",
                "kind": "click",
                "occurred_at": at + delay_s,
            }
        )
    return items, sorted(events, key=itemgetter("occurred_at"))  # stable: a list stays together


def _rated(ratings: Iterable[tuple[int, str, str, float]], click_from: float) -> Iterator[Record]:
    for number, (at, user, item, rating) in enumerate(sorted(ratings)):
        yield {
            "event_id": f"r{number}",
            "user_id": user,
            "item_id": item,
            "kind": "click" if rating >= click_from else "view",
            "occurred_at": at,
        }


def _table(path: Path) -> Iterator[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return (line.split("\t") for line in lines)


def _split(names: str, separator: str) -> list[str]:
    return [name for name in names.split(separator) if name]


def write(out: Path, items: list[Record], events: list[Record]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in (("items", items), ("events", events)):
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


_TOPICS = {
    "football": "striker goal league penalty coach transfer stadium derby keeper cup",
    "markets": "shares inflation bonds earnings bank rates investors rally index trade",
    "health": "vaccine hospital nutrition doctors sleep therapy virus patients heart diet",
    "space": "rocket orbit astronauts telescope galaxy launch lunar satellite probe mars",
    "film": "actress director premiere sequel screenplay festival oscar studio drama cast",
    "cooking": "recipe oven pasta roasted chef flavour dessert garlic bread kitchen",
    "politics": "senate election minister vote parliament campaign reform treaty law poll",
    "travel": "beach flights island hotel museum hiking passport cruise village resort",
    "phones": "smartphone battery camera display chip android update app charger screen",
    "weather": "storm rainfall hurricane heatwave forecast flooding snow winds drought cold",
}


def main(arguments: list[str]) -> None:
    match arguments:
        case ["movietweetings", source, out]:
            write(Path(out), *movietweetings(Path(source)))
        case ["movielens", source, out]:
            write(Path(out), *movielens(Path(source)))
        case ["news", out]:
            write(Path(out), *news())
        case ["news", out, delay_s] if delay_s.replace(".", "", 1).isdigit():
            write(Path(out), *news(mean_click_delay_s=float(delay_s)))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
