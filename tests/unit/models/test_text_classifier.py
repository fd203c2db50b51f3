"""A model that says which texts nobody is to be told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers

from streamrec.apps.replies_task import saying_rules
from streamrec.core.replies.rules import ReplyRules
from streamrec.errors import EncoderUnavailable
from streamrec.models.text_classifier import load_text_classifier
from streamrec.settings import RepliesSettings
from tests.fakes.language_models import save_tiny_model

BAD = "word7"


def save_classifier(directory: Path, labels: int, problem: str | None = None) -> Path:
    """Its last label is likely where ``BAD`` is said, and no other is ever likely."""
    save_tiny_model("bert", directory)
    config = transformers.AutoConfig.from_pretrained(directory)
    config.num_labels, config.problem_type = labels, problem
    model = transformers.BertForSequenceClassification(config)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    texts = [f"word1 {BAD} word2", f"{BAD}", "word1 word2", "word3 word4 word5", "word2"]
    wanted_BL = torch.full((len(texts), labels), -4.0)
    wanted_BL[2:, 0] = 4.0 if labels > 1 and problem is None else -4.0
    wanted_BL[:2, -1] = 4.0
    read = tokenizer(texts, return_tensors="pt", padding=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = (model(**read).logits - wanted_BL).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.save_pretrained(directory)
    return directory


@pytest.mark.parametrize(
    ("labels", "problem"), [(2, None), (3, None), (1, None), (2, "multi_label_classification")]
)
def test_what_is_bad_is_likely_and_nothing_else(tmp_path, labels, problem) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        classify = load_text_classifier(str(save_classifier(tmp_path, labels, problem)), "cpu")
    assert classify(f"word1 {BAD} word2") > 0.8
    assert classify("word3 word4 word5") < 0.2


def test_it_is_there_by_a_setting_alone(tmp_path) -> None:
    assert saying_rules(RepliesSettings(), "cpu").blocks == ReplyRules()
    directory = save_classifier(tmp_path, 2)
    asked = RepliesSettings(classifier=str(directory), classifier_limit=0.7)
    rules = saying_rules(asked, "cpu").blocks
    assert rules.classified_from == 0.7
    assert rules.classifier is not None
    assert 0.0 <= rules.classifier("word1") <= 1.0


def test_one_that_is_not_there_stops_the_start() -> None:
    with pytest.raises(EncoderUnavailable):
        load_text_classifier("/nowhere/at/all")
