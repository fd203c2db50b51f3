"""A recommendation as JSON fields: one form for whoever shows one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from streamrec.core.events import Recommendation


def as_fields(found: Recommendation) -> dict[str, Any]:
    """Fields named as in its schema; ``reason_text`` where there is one."""
    fields = asdict(found)
    for item in fields["items"]:
        if item["reason_text"] is None:
            del item["reason_text"]
    return {**fields, "trigger": found.trigger.value}
