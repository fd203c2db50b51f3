"""How probably a text is one that nobody is to be told, by a sequence-classification model.

Knows any that transformers' ``AutoModelForSequenceClassification`` loads from safetensors. What its
labels mean it does not know: a model with several says so by the first, "nothing wrong"; where each
label is a question of its own (``problem_type``), or there is one alone, the likeliest counts.

Shapes: L labels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import transformers
from safetensors import SafetensorError

from streamrec.errors import EncoderUnavailable
from streamrec.models.loading import device_of, pretrained, quietly
from streamrec.models.weights import find_weights

SETTING = "STREAMREC_REPLIES_CLASSIFIER"
MAX_TOKENS = 512
"""Of a text; a reply has fewer."""
EACH_ALONE = "multi_label_classification"


def load_text_classifier(name: str, device: str = "auto") -> Callable[[str], float]:
    """From 0 to 1. Raises EncoderUnavailable where there is no such model."""
    quietly()
    at, weights = device_of(device), find_weights(name, setting=SETTING)
    try:
        model = pretrained(
            transformers.AutoModelForSequenceClassification, weights.directory, torch.float32
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            weights.directory, local_files_only=True
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise EncoderUnavailable(f"{SETTING}={name} cannot be read: {error}") from error
    model = model.eval().to(at)
    alone = model.config.problem_type == EACH_ALONE or model.config.num_labels == 1

    @torch.no_grad()
    def classify(text: str) -> float:
        read = tokenizer(text, return_tensors="pt", truncation=True, max_length=MAX_TOKENS)
        logits_L = model(**read.to(at)).logits[0].float()
        if alone:
            return float(logits_L.sigmoid().max())
        return float(1.0 - logits_L.softmax(-1)[0])

    return classify
