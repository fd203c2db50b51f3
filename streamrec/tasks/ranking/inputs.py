"""What the head is given: live statistics, then similarities of texts, each with its reason.

The values of similarities are computed by ``tasks.ranking.model.similarity``.
"""

from __future__ import annotations

from streamrec.tasks.ranking.statistics.declaration import (
    InputColumn,
    InputGroup,
    if_positive,
    silent,
)
from streamrec.tasks.ranking.statistics.registry import STATISTICS

RECENT = 16
"""Of so many last items, the closest is found and named."""

SIMILARITIES = (
    # mean over the history, newest weighing most
    InputColumn("sim_decayed", InputGroup.TEXT, silent),
    # mean over the history
    InputColumn("sim_mean", InputGroup.TEXT, silent),
    # mean over the last three
    InputColumn("sim_last3", InputGroup.TEXT, silent),
    # the last one
    InputColumn("sim_last", InputGroup.TEXT, silent),
    # the nearest of the last RECENT
    InputColumn("sim_max", InputGroup.TEXT, if_positive("because you chose {nearest}")),
    # mean over the last RECENT, the nearest weighing most
    InputColumn("sim_attention", InputGroup.TEXT, silent),
)
INPUTS = (*STATISTICS.columns, *SIMILARITIES)
