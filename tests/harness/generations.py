"""Finished generations with random heads over a tiny language model."""

from __future__ import annotations

from pathlib import Path

import torch

from streamrec.core.release.manifest import Manifest
from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import write_manifest, write_weights
from streamrec.tasks.ranking.features import FEATURE_SET
from streamrec.tasks.ranking.model.head import Head


def new_generation(
    directory: Path,
    encoder: TextEncoder,
    sequence: int,
    *,
    parent: str | None = None,
    adapter: dict[str, torch.Tensor] | None = None,
    inverse_of: int | None = None,
    linear: float | None = None,
    head: Head | None = None,
) -> str:
    """Write one into ``directory`` and return its id. Another ``adapter``: another encoder
    version, whose catalogue must be encoded anew. ``inverse_of``: the sequence of a
    generation whose worst items are this one's best. ``linear``: every weight
    of the head's linear part. ``head``: that one, instead of a random one."""
    encoder = encoder.with_adapter(adapter)
    seed = sequence if inverse_of is None else inverse_of
    if head is None:
        head = Head(torch.Generator().manual_seed(seed))
        head.outer_M.data.normal_(generator=torch.Generator().manual_seed(seed))
    if inverse_of is not None:
        head.outer_M.data.neg_()
        head.linear_D.data.neg_()
    if linear is not None:
        head.linear_D.data.fill_(linear)
    directory.mkdir(parents=True)
    write_weights(directory, encoder, head.state_dict(), torch.zeros(encoder.dim))
    draft = Manifest(
        generation="",
        parent=parent,
        encoder_version=encoder.encoder_version,
        base_model=encoder.base_name,
        base_digest=encoder.base_digest,
        feature_set=FEATURE_SET,
        created_at_ms=sequence,
        offsets={"0": (0, sequence)},
    )
    return write_manifest(directory, sequence, draft).generation
