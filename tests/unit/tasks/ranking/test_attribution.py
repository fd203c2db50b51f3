"""An answer looked back at gives what was published, and names what drove it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from streamrec.core.state.user_state import HISTORY
from streamrec.errors import GenerationRefused
from streamrec.tasks.ranking.lists.attribution import strongest
from streamrec.tasks.ranking.lists.explanation import Explanation, packed, unpacked
from streamrec.tasks.ranking.lists.reasons import GROUPS
from streamrec.tasks.ranking.model.attribution import attributions, load_head, pooled
from streamrec.tasks.ranking.model.head import INPUTS, Head
from streamrec.tasks.ranking.model.ranking import SIM_INPUTS
from streamrec.tasks.ranking.model.similarity import candidate_similarities
from tests.fakes.language_models import tiny_encoder
from tests.harness.generations import new_generation


def unit(count: int, seed: int) -> torch.Tensor:
    vectors = torch.randn(count, 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(vectors, dim=-1)


@pytest.fixture
def head() -> Head:
    made = Head(torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.outer_M.normal_(generator=torch.Generator().manual_seed(1))
        made.log_scale_K.fill_(0.3)
    return made.requires_grad_(False)


def kept(head: Head, history: int = 5, items: int = 4) -> Explanation:
    """As a serving worker would have kept it, and after a way through Redis."""
    vectors_ND = unit(history + items, 7)
    history_1H = torch.full((1, HISTORY), -1)
    history_1H[0, :history] = torch.arange(history)
    rows = torch.arange(history, history + items)[None]
    raw_KD = torch.randn(items, len(INPUTS), generator=torch.Generator().manual_seed(3))
    raw_KD[:, SIM_INPUTS] = candidate_similarities(vectors_ND, history_1H, rows)[0]
    scores_K = head(raw_KD)
    logits_K = head.calibrated_logit(scores_K, head.served_kind)
    made = Explanation(
        recommendation_id="request:r1",
        user_id="ann",
        generation="g",
        worker_id="w",
        items=tuple(f"i{n}" for n in range(items)),
        scores_K=scores_K.numpy(),
        probabilities_K=logits_K.sigmoid().numpy(),
        raw_KD=raw_KD.numpy(),
        closeness_KH=(vectors_ND[history:] @ vectors_ND[:history].T).numpy(),
        history=tuple(f"h{n}" for n in range(history)),
        names=INPUTS,
        query=None,
        state_position=1,
        statistics={},
        watermark_ms=1,
        user_seen_ms=1,
        served_at_ms=1,
    )
    return unpacked(packed(made))


@pytest.mark.parametrize("history", [0, 1, 2, 5, 20, 50])
def test_similarities_are_pooled_from_cosines_as_they_were_served(head, history):
    one = kept(head, history)
    served_KS = one.raw_KD[:, SIM_INPUTS]
    found_KS = pooled(torch.from_numpy(one.closeness_KH)).numpy()
    np.testing.assert_allclose(found_KS, served_KS, atol=2e-3)  # cosines were kept as float16


def test_parts_sum_to_the_score_and_the_score_gives_the_published_probability(head):
    one = kept(head)
    for place, item in enumerate(attributions(head, one)):
        assert item.item_id == one.items[place]
        total = item.constant + sum(item.part(group) for group in GROUPS)
        assert total == pytest.approx(item.score, abs=1e-4)
        assert item.score == pytest.approx(one.scores_K[place], abs=1e-5)
        assert 1 / (1 + np.exp(-item.logit)) == pytest.approx(item.published, abs=1e-6)
        assert item.faithful


def test_other_weights_are_seen_not_to_be_those_that_served(head):
    other = Head(torch.Generator().manual_seed(9))
    assert not all(item.faithful for item in attributions(other, kept(head)))


def test_the_effect_of_an_item_is_the_score_without_it(head):
    only_last = Head(torch.Generator().manual_seed(0))
    with torch.no_grad():
        only_last.linear_D.zero_()
        only_last.linear_D[INPUTS.index("sim_last")] = 2.0
    only_last.requires_grad_(False)
    one = kept(only_last, history=3)
    for place, item in enumerate(attributions(only_last, one)):
        wanted = 2 * (one.closeness_KH[place, 0] - one.closeness_KH[place, 1])
        assert item.drivers[0] == pytest.approx(wanted, abs=1e-5)
        assert item.drivers[1:] == [0.0, 0.0]
    assert strongest(attributions(only_last, one), 5) == [0]


def test_a_user_without_history_has_no_drivers(head):
    items = attributions(head, kept(head, history=0))
    assert all(item.drivers == [] for item in items)
    assert strongest(items, 5) == []
    assert strongest([], 5) == []


def test_inputs_of_another_version_are_refused(head):
    with pytest.raises(GenerationRefused, match="other inputs"):
        attributions(head, replace(kept(head), names=INPUTS[:-1]))


def test_the_head_of_a_generation_is_read_and_checked(tmp_path):
    new_generation(tmp_path / "g", tiny_encoder(), 3)
    wanted = Head(torch.Generator().manual_seed(3)).inner_DM
    assert torch.equal(load_head(tmp_path / "g").inner_DM, wanted)
    file = tmp_path / "g" / "head.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(GenerationRefused, match="not the file"):
        load_head(tmp_path / "g")
