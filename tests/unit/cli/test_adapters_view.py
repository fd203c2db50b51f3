"""How generations and confirmations are told to people."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from streamrec.apps import release_fields
from streamrec.cli import adapters_view as view
from streamrec.core.release.manifest import Manifest
from streamrec.core.release.registry import Action, ControlRecord, Pin, RegistryState
from streamrec.loop.releasing.fleet_watch import SwapReport

GATE = {
    "accepted": True,
    "reasons": [],
    "champion": "g1",
    "examples": 200,
    "not_finite": 0,
    "metrics": {
        "mrr": {
            "candidate": 0.31,
            "champion": 0.28,
            "difference": 0.03,
            "standard_error": 0.01,
            "n": 180,
        }
    },
    "norms": {},
}


def manifest(generation: str, gate: dict | None = None, parent: str | None = None) -> Manifest:
    spans = {"0": (0, 10), "1": (5, 25)}
    return Manifest(generation, parent, "e1", "base", "d" * 64, "f", 0, offsets=spans, gate=gate)


def drawn(renderable: object) -> str:
    console = Console(file=StringIO(), width=300)
    console.print(renderable)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_list_says_what_became_of_each() -> None:
    state = RegistryState(7, "g3", ("g1",), "g5", Pin("ann", "odd", 0))
    records = [
        ControlRecord(action, "trainer", "why", 0, RegistryState(), generation)
        for action, generation in ((Action.STAGE, "g3"), (Action.REJECT, "g2"), (Action.PIN, "g3"))
    ]
    fate = release_fields.fates(state, records)
    assert fate == {
        "g1": "former champion",
        "g2": "reject",
        "g3": "champion, pinned",
        "g5": "staged",
    }
    manifests = {"g5": None, "g4": manifest("g4"), "g3": manifest("g3", GATE, "g1")}
    slot = release_fields.Slot("ranking", state, fate, manifests)
    lines = drawn(view.listing([slot], now_ms=120_000)).splitlines()
    assert "cannot be read" in lines[1]
    assert "candidate" in lines[2]
    assert "MRR 0.310 against 0.280 on 200 examples" in lines[3]
    assert "30" in lines[3], "events"
    assert "no generation yet" in drawn(view.listing([], 0))


def test_a_rejection_shows_its_reasons() -> None:
    rejected = GATE | {"accepted": False, "reasons": ["MRR falls", "weights explode"]}
    assert view.verdict(rejected) == "MRR falls; weights explode"
    assert "first one" in view.verdict(None)


def test_detail_shows_gate_and_log() -> None:
    record = ControlRecord(
        Action.ACTIVATE, "trainer-1", "better", 1_000, RegistryState(2, "g3"), "g3"
    )
    text = drawn(view.detail(manifest("g3", GATE, "g1"), [record]))
    for part in ("judged against g1", "0.3100", "trainer-1", "1970-01-01 00:00:01 UTC", "0: 0-10"):
        assert part in text


def test_confirmations() -> None:
    done = SwapReport("g1", 3, confirmed_ms={"s1": 12, "s2": 31})
    assert view.swap_words(done, "active") == [
        "active g1; confirmed by all 2 serving workers after 31 ms"
    ]
    partly = SwapReport("g1", 3, {"s1": 12}, {"s2": "wrong base"}, ("s3",))
    text = "\n".join(view.swap_words(partly, "active"))
    assert "s2 refuses it and keeps what it has: wrong base" in text
    assert "s3 has not confirmed" in text
    assert release_fields.swap_fields(partly)["silent"] == ["s3"]
    assert "no serving worker is up" in view.swap_words(SwapReport("g1"), "active")[0]


def test_one_generation_shows_what_it_must_not_sink_below_and_how_far_it_moved() -> None:
    compared = GATE["metrics"]["mrr"]
    gate = GATE | {
        "anchor": "g0",
        "references": {"popularity": compared, "anchor": compared},
        "norms": {"update_norm/head": 0.25, "kl": 0.0123},
    }
    text = drawn(view.detail(manifest("g2", gate, "g1"), []))
    for words in ("g0, a former champion", "popularity", "nats", "0.0123", "0.2500"):
        assert words in text
