"""From a text to a vector: frozen language model, adapter, index of the catalogue.

encoder.py         item text to vector: a frozen language model with a small trainable adapter
loading.py         from settings to a ``TextEncoder``: weights found, read, cut, and an
                   adapter put on
weights.py         where a base language model's weights come from, and their digest
pooling.py         token vectors to one vector
packaged.py        language models that come in Python packages, for machines that reach no
                   hub
cached_layers.py   the layers that never change, run once per text
peft_menu.py       what of the language model is trained: the menu, and how one dish is put on
                   a model
index.py           the catalogue as vectors of one encoder version
"""
