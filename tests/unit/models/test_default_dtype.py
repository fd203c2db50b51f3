"""Transformers sets torch's default dtype, of the whole process, while it builds a model: a serving
worker that loads one in a thread goes on answering with vectors of the dtype they should have, and
we do not let it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from streamrec.models.dot_rows import DotRows
from streamrec.models.loading import pretrained
from tests.fakes.language_models import save_tiny_model, tiny_encoder


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


DEFAULTS: list[torch.dtype] = []


class WatchedBert(transformers.BertModel):
    """Notes the default dtype while it is built."""

    def __init__(self, config: transformers.BertConfig) -> None:
        DEFAULTS.append(torch.get_default_dtype())
        super().__init__(config)


class WatchedLlama(transformers.LlamaModel):
    """The same."""

    def __init__(self, config: transformers.LlamaConfig) -> None:
        DEFAULTS.append(torch.get_default_dtype())
        super().__init__(config)


@pytest.mark.parametrize(("family", "loader"), [("bert", WatchedBert), ("llama", WatchedLlama)])
def test_a_model_in_bfloat16_changes_no_default(family: str, loader: Any, tmp_path: Path) -> None:
    directory = save_tiny_model(family, tmp_path)
    DEFAULTS.clear()
    expected = loader.from_pretrained(directory, dtype=torch.bfloat16)
    found = pretrained(loader, directory, torch.bfloat16)
    assert [torch.bfloat16, torch.float32] == DEFAULTS, "transformers does so; we do not"
    for of in ("named_parameters", "named_buffers"):
        ours, theirs = dict(getattr(found, of)()), dict(getattr(expected, of)())
        assert ours.keys() == theirs.keys()
        for name, one in ours.items():
            assert one.dtype == theirs[name].dtype, name
            assert torch.equal(one, theirs[name]), name
