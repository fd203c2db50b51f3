"""The directory that plain PEFT reads, and its model card.

adapter_config.json, adapter_model.safetensors   PEFT's own
head.safetensors                                 weights (D,), bias: log-odds of label 1
README.md                                        what it is, how good, how it is used
report.json                                      everything; written last: then it is whole
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from streamrec.errors import BadFile, UserError
from streamrec.models.encoder import TextEncoder
from streamrec.models.lora import CONFIG_FILE, WEIGHTS_FILE
from streamrec.settings import Pooling

HEAD_FILE, CARD_FILE, REPORT_FILE = "head.safetensors", "README.md", "report.json"

POOLED = {
    Pooling.MEAN: "hidden.mean(0)",
    Pooling.CLS: "hidden[0]",
    Pooling.LAST: "hidden[-1]",
}
"""Of one text's token vectors, in the card's code."""

CARD = '''\
---
library_name: peft
base_model: {base}
tags: [lora, text-classification]
---

# A LoRA adapter that tells label 1 from label 0

For [{base}]({link}), learned by `streamrec train --labels` from {train:,} texts; epoch {best} of
{epochs}, chosen by the loss of {dev:,} others. On {n:,} texts that neither has seen:

| | right | 95 % | log loss |
|---|---|---|---|
{rows}

Adapter over frozen model (a logistic head on its vectors): {difference:+.1%}
[{low:+.1%}, {high:+.1%}], p = {p:.2g}, paired bootstrap.

```python
import torch
from peft import PeftConfig, PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

directory = "."
base = PeftConfig.from_pretrained(directory).base_model_name_or_path
tokenizer = AutoTokenizer.from_pretrained(base)
model = PeftModel.from_pretrained(AutoModel.from_pretrained(base), directory).eval()
head = load_file(f"{{directory}}/{head}")


def probability(text):
    """That its label is 1."""
    tokens = tokenizer({text}, truncation=True, max_length={max_tokens}, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**tokens).last_hidden_state[0].float()
    vector = torch.nn.functional.normalize({pooled}, dim=0)
    return torch.sigmoid(vector @ head["weights"] + head["bias"]).item()
```

Rank {rank} on the last {layers} layers, batches of {batch}, rate {rate:g}, seed {seed}. The
texts are not in here; what is wrong or unfair in their labels, it has learned.
'''


def write(
    directory: Path, encoder: TextEncoder, head: dict[str, Tensor], report: dict[str, Any]
) -> dict[str, Any]:
    """The report, with digests of what was written. Raises UserError when it cannot be."""
    try:
        encoder.save_adapter(directory)
        save_file(head, str(directory / HEAD_FILE))
        (directory / CARD_FILE).write_text(card(report), encoding="utf-8")
        files = (CONFIG_FILE, WEIGHTS_FILE, HEAD_FILE)
        digests = {name: _digest(directory / name) for name in files}
        report = report | {"written": str(directory), "sha256": digests}
        aside = directory / f".{REPORT_FILE}.new"
        aside.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        aside.replace(directory / REPORT_FILE)
    except OSError as error:
        raise UserError(f"{directory} cannot be written: {error.strerror}") from None
    return report


def read_report(directory: Path) -> dict[str, Any] | None:
    """Of a run that has ended there. Raises BadFile."""
    path = directory / REPORT_FILE
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        found["made_with"], found["test"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{path} is no report of `train --labels`: {error}") from None
    return found


def card(report: dict[str, Any]) -> str:
    """The model card, with code that plain PEFT and transformers run."""
    made, test, parts = report["made_with"], report["test"], report["parts"]
    over, base, prompt = test["adapter_over_frozen"], made["model"], report["prompt"]
    rows = [
        f"| {told} | {test[name]['accuracy']:.1%} | {test[name]['low']:.1%} to "
        f"{test[name]['high']:.1%} | {test[name]['log_loss']:.4f} |"
        for name, told in (
            ("adapter", "with the adapter"),
            ("frozen", "the frozen model"),
            ("majority", "the more frequent label"),
        )
    ]
    return CARD.format(
        base=base,
        link=base if Path(base).is_dir() else f"https://huggingface.co/{base}",
        train=parts["train"]["rows"],
        dev=parts["dev"]["rows"],
        best=report["best_epoch"],
        epochs=len(report["epochs"]) - 1,
        n=test["n"],
        rows="\n".join(rows),
        difference=over["difference"],
        low=over["low"],
        high=over["high"],
        p=over["p"],
        head=HEAD_FILE,
        text=f"{prompt!r} + text" if prompt else "text",
        pooled=POOLED[Pooling(report["pooling"])],
        **{name: made[name] for name in ("max_tokens", "rank", "layers", "batch", "rate", "seed")},
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
