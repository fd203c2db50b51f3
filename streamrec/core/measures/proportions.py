"""How far a share may be from what it is an estimate of."""

from __future__ import annotations

import math

Z_95 = 1.959963984540054


def wilson(hits: int, of: int, z: float = Z_95) -> tuple[float, float]:
    """The score interval of a share (Wilson 1927). Raises ValueError where nothing was counted."""
    if of < 1 or not 0 <= hits <= of:
        raise ValueError(f"{hits} of {of} is no share")
    share, spread = hits / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return max(0.0, middle - half), min(1.0, middle + half)
