"""The codec of a loop that learns to rank, and nothing else."""

from __future__ import annotations

from typing import Any

from streamrec.core.tasks import RANKING
from streamrec.infra.wire.codec import WireCodec
from streamrec.tasks.ranking.examples import FORMAT


def wire_codec(max_message_bytes: int = 1_000_000, **how: Any) -> WireCodec:
    return WireCodec(max_message_bytes, formats={RANKING: FORMAT}, **how)
