"""Transformers sets torch's default dtype, of the whole process, while it builds a model: a serving
worker that loads one in a thread goes on answering with vectors of the dtype they should have."""

from __future__ import annotations

import torch

from streamrec.models.dot_rows import DotRows
from tests.fakes.language_models import tiny_encoder


def test_vectors_and_their_products_stay_what_they_are() -> None:
    encoder, texts = tiny_encoder(), ["word1 word2", "word3 word4"]

    def made() -> list[torch.Tensor]:
        vectors_ND = encoder.encode(texts)
        table_KN, _ = DotRows(vectors_ND).find([0, 1])
        return [vectors_ND, table_KN[:2]]

    before = made()
    torch.set_default_dtype(torch.bfloat16)
    try:
        meanwhile = made()
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(before, meanwhile, strict=True):
        assert one.dtype == other.dtype == torch.float32
        assert torch.equal(one, other)
