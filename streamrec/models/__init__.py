"""Everything that needs torch, transformers or peft, and nothing else.

adapted_model.py    a frozen language model with an adapter of one's own, whatever it is used for
cached_layers.py    the layers that never change, run once per text
causal.py           a frozen language model that writes: prompts, replies and their probabilities
constraint.py       which tokens may come next, so that a reply names nothing but what is offered
data_parallel.py    several processes that take each training step of an encoder together
dot_rows.py         how close items that users have had lately are to every item, remembered
encoder.py          item text to vector: a frozen language model with a small trainable adapter
generation.py       generation directories: writing one, and refusing a bad one before anything is
                    changed
gradient_cache.py   gradients of a loss over all texts of a step, the encoder's memory bounded by
                    a chunk of them
hotswap.py          the generations a worker holds in memory, one of them active
item_index.py       the catalogue as vectors of one encoder version
vector_cache.py     vectors on disk, by encoder version and digest of the text
loading.py          from settings to a ``TextEncoder``: weights found, read, cut, and an adapter
                    put on
lora.py             what of the language model is trained: lora, dora, full or none, and how it is
                    put on a model
nearest_items.py    the items whose texts are nearest to a vector, without looking at all of
                    them
packaged.py         language models that come in Python packages, for machines that reach no hub
pinned_lora.py      several adapters on one frozen model, each row of a batch pinned to one
pooling.py          token vectors to one vector, in the way the model was trained for
signing.py          who made a generation: an Ed25519 signature of ``manifest.json``, beside it
state_dicts.py      states within states: tensors of a part by name, under the part's own name
text_classifier.py  how probably a text is one that nobody is to be told
tokenizer_fit.py    whether a model's tokenizer knows the words of a catalogue, or only spells them
weight_changes.py   how far the weights of one generation are from another's, group by group
weights.py          where a base language model's weights come from, and their digest
writer.py           the language model that writes: which generations are loaded and writing
writing.py          replies drawn, those of several generations in one batch
encoder_shapes.py   the encoders that generations belong on: ours, and those of settings that were
                    other once

torch's CPU kernels (oneDNN) keep a compiled primitive for each shape they have met, 1,024 of
them by default. Batches of texts come in a new shape almost every time: the trainer grew by
half a gigabyte in a minute. A small cache costs no measurable speed. It has to be set before
torch is loaded, hence here.
"""

from __future__ import annotations

import os

for _name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
    os.environ.setdefault(_name, "32")  # noqa: TID251 - written for C++, not read
