"""From the parts of an item's score to a short reason that is true of the numbers.

A reason is given only when its part is the largest, raises the score, and the inputs bear the
words out, as their columns declare (``tasks.ranking.inputs``): "popular now" is never said of an
item that is chosen less than usual, even if the model likes that. Otherwise there is no reason;
none is better than a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from streamrec.tasks.ranking.inputs import INPUTS
from streamrec.tasks.ranking.statistics.declaration import InputColumn, InputGroup, ReasonInputs

GROUPS: Mapping[str, str] = {group.value: group.about for group in InputGroup}
"""Groups of inputs, in the order of every (…, G) array, in words."""


def reason(seen: ReasonInputs, inputs: Sequence[InputColumn] = INPUTS) -> str:
    """Why this item, in a few words; empty when nothing short is true.

    The first column of the group that has something to say says it.
    """
    largest = int(np.argmax(seen.parts_G))
    if seen.parts_G[largest] <= 0:
        return ""
    group = list(InputGroup)[largest]
    said = (column.reason(column.name, seen) for column in inputs if column.group is group)
    return next(filter(None, said), "")


def positions(inputs: Sequence[InputColumn] = INPUTS) -> list[list[int]]:
    """Positions of the inputs of each group, in the order of ``GROUPS``."""
    return [[at for at, one in enumerate(inputs) if one.group is group] for group in InputGroup]
