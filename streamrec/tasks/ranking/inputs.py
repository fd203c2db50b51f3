"""What the head is given: live statistics, then similarities of texts, each with its reason.

The values of similarities are computed by ``tasks.ranking.model.similarity``.
"""

from __future__ import annotations

from streamrec.tasks.ranking.statistics.declaration import Column, Group, if_positive, silent
from streamrec.tasks.ranking.statistics.registry import STATISTICS

RECENT = 16
"""Of so many last items, the closest is found and named."""

SIMILARITIES = (
    Column("sim_decayed", Group.TEXT, silent),  # mean over the history, newest weighing most
    Column("sim_mean", Group.TEXT, silent),  # mean over the history
    Column("sim_last3", Group.TEXT, silent),  # mean over the last three
    Column("sim_last", Group.TEXT, silent),  # the last one
    # the nearest of the last RECENT
    Column("sim_max", Group.TEXT, if_positive("because you chose {nearest}")),
    # mean over the last RECENT, the nearest weighing most
    Column("sim_attention", Group.TEXT, silent),
)
INPUTS = (*STATISTICS.columns, *SIMILARITIES)
