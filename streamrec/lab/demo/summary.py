"""What is left when the demo ends: one dictionary of numbers, and the same in words.

Every number was measured from messages on the topics (``lab.measures.loop_watch``), from the
workers' confirmations of a swap, or from the processes' memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from streamrec.core.measures.freshness import parts_in_words
from streamrec.core.measures.list_quality import Quality, quality
from streamrec.core.measures.percentiles import percentiles
from streamrec.lab.demo.memory import PeakMemory
from streamrec.lab.measures.loop_watch import LoopWatch


@dataclass(slots=True)
class DemoFacts:
    """What the topics do not tell."""

    dataset: str
    rate: float
    played_s: float = 0.0
    ready_after_s: float | None = None
    first_recommendation_after_s: float | None = None
    rollback_ms: int | None = None
    forward_ms: int | None = None
    rolled_back_from: str = ""
    swap_pauses_ms: list[float] = field(default_factory=list)
    freshness_parts_s: Mapping[str, float] = field(default_factory=dict)  # mean over activations
    worker_restarts: int = 0
    interrupted: bool = False
    page: str = ""  # where it was
    asked: dict[str, str] = field(default_factory=dict)  # ``lab.demo.asking``


def summarize(loop: LoopWatch, memory: PeakMemory, facts: DemoFacts) -> dict[str, Any]:
    """The numbers, JSON-able. None: there was nothing to measure."""
    counts, half = loop.generations, len(loop.quality.served_ranks) // 2
    return {
        "events": {
            "produced": loop.produced,
            "applied": loop.applied,
            "dead_letter": loop.dead_letters,
            "per_second": round(loop.applied_per_second, 1),
        },
        "recommendations": {
            "published": loop.published,
            "mixed_generation": loop.walk.mixed,
        },
        "latency_ms": {"event_to_recommendation": percentiles(loop.latency_ms, 50, 95, 99)},
        "freshness_s": {
            "click_to_active_generation": {
                **percentiles(loop.freshness_s, 50, 95),
                "n": len(loop.freshness_s),
                "not_yet": loop.clicks_not_yet_trained,
                "parts_mean": dict(facts.freshness_parts_s),
            }
        },
        "generations": {
            "candidates": len(counts.candidates),
            "activated": len(counts.activated),
            "rejected": len(counts.rejected),
        },
        "swap_ms": {
            "pause_p99": percentiles(facts.swap_pauses_ms, 99)["p99"],
            "rollback_all_workers": facts.rollback_ms,
            "forward_all_workers": facts.forward_ms,
        },
        "quality": _judged(loop, 0) | {"second_half": _judged(loop, half)},
        "peak_memory_mb": {name: round(size) for name, size in sorted(memory.peak_mb.items())},
        "peak_memory_total_mb": round(memory.total_mb),
        "run": {
            key: value
            for key, value in asdict(facts).items()
            if key not in {"rollback_ms", "forward_ms", "swap_pauses_ms", "freshness_parts_s"}
        },
    }


def _judged(loop: LoopWatch, first: int) -> dict[str, Any]:
    """Of the clicks from number ``first`` on: the lists served, and those of the most popular."""
    ranks = loop.quality
    return {
        "served": _fields(quality(ranks.served_ranks[first:])),
        "popular": _fields(quality(ranks.popular_ranks[first:])),
    }


def _fields(found: Quality) -> dict[str, float | int]:
    return {
        "hr@10": round(found.hit_rate, 4),
        "ndcg@10": round(found.ndcg, 4),
        "n": found.n,
    }


def in_words(summary: Mapping[str, Any]) -> RenderableType:
    """The summary for people."""
    return Group(*(Text.assemble((f"{name:<16}", "bold"), text) for name, text in _lines(summary)))


def _lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    events, lists = summary["events"], summary["recommendations"]
    made, swap, run = summary["generations"], summary["swap_ms"], summary["run"]
    latency = summary["latency_ms"]["event_to_recommendation"]
    fresh = summary["freshness_s"]["click_to_active_generation"]
    memory = ", ".join(f"{name} {size:,}" for name, size in summary["peak_memory_mb"].items())
    return [
        ("stream", f"{run['dataset']}, {run['rate']:g} events/s for {run['played_s']:.0f} s"),
        (
            "started",
            f"ready after {_number(run['ready_after_s'])} s, first recommendation "
            f"{_number(run['first_recommendation_after_s'])} s after the start",
        ),
        (
            "events",
            f"{events['produced']:,} produced, {events['applied']:,} applied, "
            f"{events['dead_letter']:,} refused to the dead-letter topic; "
            f"{events['per_second']:g} a second",
        ),
        (
            "recommended",
            f"{lists['published']:,} lists; {lists['mixed_generation']} of mixed generations",
        ),
        (
            "latency",
            f"event to recommendation: median {_number(latency['p50'])} ms, "
            f"95 % {_number(latency['p95'])} ms, 99 % {_number(latency['p99'])} ms",
        ),
        (
            "generations",
            f"{made['candidates']} candidates, {made['activated']} activated, "
            f"{made['rejected']} rejected by the gate",
        ),
        (
            "freshness",
            f"click to active generation: median {_number(fresh['p50'])} s, "
            f"95 % {_number(fresh['p95'])} s",
        ),
        *_parts(fresh["parts_mean"]),
        ("rollback", _rollback(swap, run)),
        ("hit rate@10", _quality(summary["quality"], "hr@10")),
        ("NDCG@10", _quality(summary["quality"], "ndcg@10")),
        ("memory", f"{summary['peak_memory_total_mb']:,} MB at most at one time ({memory})"),
        *_only_then(run),
    ]


def _parts(parts_s: Mapping[str, float]) -> list[tuple[str, str]]:
    return [("of which", f"{parts_in_words(parts_s.items())} s")] if parts_s else []


def _only_then(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    restarts, page = run["worker_restarts"], run["page"]
    told = [("restarts", f"{restarts} workers")] if restarts else []
    if one := run.get("asked"):
        told.append(("asked", f"user {one['user']}: {one['question']}"))
        told.append(("answered", f"{one['reply']} ({one['by']})"))
    return told + ([("page", f"it was at {page}")] if page else [])


def _rollback(swap: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    if swap["rollback_all_workers"] is None:
        return "not shown: there was no former champion yet"
    return (
        f"{run['rolled_back_from']} undone on all serving workers in "
        f"{swap['rollback_all_workers']} ms, and brought back in "
        f"{_number(swap['forward_all_workers'])} ms"
    )


def _quality(found: Mapping[str, Any], metric: str) -> str:
    served, popular, second = found["served"], found["popular"], found["second_half"]
    if not served["n"]:
        return "no click came after a list"
    return (
        f"{served[metric]:.3f} of the list on the topic before each click, against "
        f"{popular[metric]:.3f} of the most popular ({served['n']:,} clicks; second half "
        f"{second['served'][metric]:.3f} against {second['popular'][metric]:.3f})"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
