"""Everything that needs torch, transformers or peft, and nothing else.

    encoders/      a language model as text encoder, its adapter, its item index
    scoring/       similarities and statistics to a calibrated probability
    learning/      two lanes, one optimisation step after the other
    generations/   weights on disk: sealed, signed, checked, swapped
    peers/         other people's models, to be compared with

torch's CPU kernels (oneDNN) keep a compiled primitive for each shape they have met, 1,024 of
them by default. Batches of texts come in a new shape almost every time: the trainer grew by
half a gigabyte in a minute. A small cache costs no measurable speed. It has to be set before
torch is loaded, hence here.
"""

from __future__ import annotations

import os

for _name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
    os.environ.setdefault(_name, "32")  # noqa: TID251 - written for C++, not read
