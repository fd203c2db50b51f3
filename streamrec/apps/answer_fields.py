"""A recommendation as JSON fields: one form for whoever shows one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from streamrec.core.events import Recommendation


def as_fields(found: Recommendation) -> dict[str, Any]:
    """Fields named as in its schema."""
    return {**asdict(found), "trigger": found.trigger.value}
