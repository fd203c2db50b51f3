"""How much variety there is in what is said: distinct pairs of words.

distinct-2 (Li et al. 2016, "A diversity-promoting objective function for neural conversation
models"): different pairs of neighbouring words over all pairs. It falls with the number of texts,
so only equal numbers of them compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def distinct_2(texts: Sequence[str]) -> float:
    """0 where there is no pair."""
    words = [text.lower().split() for text in texts]
    pairs = [pair for said in words for pair in pairwise(said)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0
