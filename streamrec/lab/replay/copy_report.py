"""What a replay of recorded tests says: everything, and the same of the tests opened later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.lab.measures.bandit import HORIZONS, thompson_clicks, uniform_clicks
from streamrec.lab.measures.wordings import (
    Measures,
    Parts,
    difference,
    nested,
    pair_parts,
    pick_parts,
)
from streamrec.lab.replay.copy_replay import Foreteller
from streamrec.lab.replay.headline_tests import HeadlineTest

Floats = NDArray[np.float64]

UNIFORM, THOMPSON, PRIOR = "uniform", "thompson", "prior"


def measured(
    tests: Sequence[HeadlineTest], contestants: Mapping[str, Foreteller], seed: int
) -> dict[str, Measures]:
    """Of each contestant, test by test."""
    counts = [
        (t.example.views_A.astype(np.float64), t.example.clicks_A.astype(np.float64)) for t in tests
    ]
    rates = [clicks_A / views_A for views_A, clicks_A in counts]
    flat = [(np.full(len(r), 0.5), np.full(len(r), 2.0)) for r in rates]
    policies = {UNIFORM: uniform_clicks(rates)}
    policies[THOMPSON] = thompson_clicks(rates, flat, pooled=False, seed=seed)
    found: dict[str, Measures] = {}
    for name, contestant in contestants.items():
        scores = [one.scores_A for one in contestant.foretold]
        priors = [(one.means_A, one.strengths_A) for one in contestant.foretold]
        known = thompson_clicks(rates, priors, pooled=True, seed=seed)
        parts = pair_parts(counts, scores) | pick_parts(counts, scores)
        for policy, clicks_TH in (policies | {PRIOR: known}).items():
            for place, horizon in enumerate(HORIZONS):
                over_T, under_T = clicks_TH[:, place], policies[UNIFORM][:, place]
                parts[f"bandit.{horizon}.{policy}"] = Parts(over_T, under_T, 1.0)
        found[name] = parts
    return found


def report_of(
    found: Mapping[str, Measures], ours: str, chosen_T: NDArray[np.bool_], seed: int
) -> dict[str, Any]:
    """Of the chosen tests: our measures, and under ``compare`` those of others, each with
    ``difference``: ours less theirs, and its interval."""
    kept = {
        name: {measure: parts.of(chosen_T) for measure, parts in measures.items()}
        for name, measures in found.items()
    }
    mine = kept.pop(ours)
    report = {"tests": int(chosen_T.sum()), **nested(mine)}
    report["difference"] = {
        f"bandit.{horizon}.prior less thompson": difference(
            mine[f"bandit.{horizon}.prior"], mine[f"bandit.{horizon}.thompson"], seed
        )
        for horizon in HORIZONS
    }
    report["compare"] = {
        name: nested(theirs)
        | {
            "difference": {
                measure: difference(mine[measure], theirs[measure], seed)
                for measure in mine
                if measure.startswith("pairs") or measure.endswith((".lift", ".prior"))
            }
        }
        for name, theirs in kept.items()
    }
    return report


def rows_of(tests: Sequence[HeadlineTest], found: Mapping[str, Measures]) -> list[dict[str, Any]]:
    """The two parts of every measure, a row for each test: for studies over several seeds."""
    return [
        {
            "test_id": test.test_id,
            "opened_at": test.opened_at,
            "measures": {
                name: {
                    measure: [float(parts.over_T[at]), float(parts.under_T[at]), parts.less]
                    for measure, parts in measures.items()
                }
                for name, measures in found.items()
            },
        }
        for at, test in enumerate(tests)
    ]
