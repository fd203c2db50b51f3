"""The middle and the tail of some measurements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def percentiles(values: Sequence[float], *wanted: int) -> dict[str, float | None]:
    """``{"p50": ..., "p95": ...}``; None where there are no values."""
    if not len(values):
        return {f"p{p}": None for p in wanted}
    found = np.percentile(np.asarray(values, dtype=np.float64), wanted)
    return {f"p{p}": round(float(value), 3) for p, value in zip(wanted, found, strict=True)}
