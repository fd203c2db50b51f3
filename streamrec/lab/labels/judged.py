"""Right answers in the test part: the adapter's, the frozen model's and the majority's.

Differences are paired: both answer the same texts. Texts that belong together (repetitions, a
group) are drawn together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrec.core.measures.proportions import wilson
from streamrec.lab.labels.probe import Floats, log_loss
from streamrec.lab.measures.significance import paired_bootstrap


def judged(
    labels_N: NDArray[np.int64],
    units_N: Sequence[int],
    logits: dict[str, Floats],
    majority: float,
    seed: int,
) -> dict[str, Any]:
    """``logits``: of ``adapter`` and ``frozen``. ``majority``: the log-odds that the share of ones
    in the training part means, answered to every text."""
    every = logits | {"majority": np.full(len(labels_N), majority)}
    right = {name: (values_N > 0) == (labels_N > 0) for name, values_N in every.items()}
    found: dict[str, Any] = {"n": len(labels_N)}
    for name, right_N in right.items():
        hits = int(right_N.sum())
        low, high = wilson(hits, len(right_N))
        found[name] = {
            "accuracy": hits / len(right_N),
            "low": low,
            "high": high,
            "log_loss": log_loss(every[name], labels_N.astype(np.float64)),
        }
    for other in ("frozen", "majority"):
        found[f"adapter_over_{other}"] = _over(right["adapter"], right[other], units_N, seed)
    return found


def _over(
    ours_N: NDArray[np.bool_], theirs_N: NDArray[np.bool_], units_N: Sequence[int], seed: int
) -> dict[str, Any]:
    generator = np.random.default_rng(seed)
    found = paired_bootstrap(
        np.array(units_N), ours_N.astype(np.float64), theirs_N.astype(np.float64), generator
    )
    low, high = found.difference_interval
    return {
        "difference": found.difference,
        "low": low,
        "high": high,
        "p": found.p_value,
        "only_ours_right": int((ours_N & ~theirs_N).sum()),
        "only_theirs_right": int((theirs_N & ~ours_N).sum()),
    }
