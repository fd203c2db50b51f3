"""How active the user is: the same for every item."""

from __future__ import annotations

import math

from streamrec.core.state.item_stats import MS_PER_HOUR
from streamrec.core.state.user_state import UserState
from streamrec.tasks.ranking.statistics.ages import LONG_AGO
from streamrec.tasks.ranking.statistics.declaration import (
    InputColumn,
    InputGroup,
    UserStatistic,
    silent,
)


class Activity(UserStatistic):
    """Of no item in particular, so no reason for one."""

    columns = (
        # log(1 + accepted events of the user)
        InputColumn("user_accepts", InputGroup.USER, silent),
        # log of accepts over accepts and views, with a prior of one in two
        InputColumn("user_rate", InputGroup.USER, silent),
        # log(1 + hours since the user's last event); LONG_AGO for a new user
        InputColumn("user_away", InputGroup.USER, silent),
    )

    @staticmethod
    def user(user: UserState, now_ms: int) -> tuple[float, ...]:
        away = LONG_AGO
        if user.last_seen_ms:
            away = math.log1p(max(0, now_ms - user.last_seen_ms) / MS_PER_HOUR)
        rate = math.log((user.accepts + 1) / (user.accepts + user.views + 2))
        return (math.log1p(user.accepts), rate, away)
