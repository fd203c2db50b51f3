"""Replies' weights: an adapter that writes, and a bandit that plans.

generations.py     replies' generations: an adapter, the one it started from, a bandit; sealed and
                   checked
learner.py         what replies learn: plans at once (a bandit), words more slowly (an adapter)
learner_files.py   a learner's files: its tensors by name, and the replies that it holds
scorer.py          what frozen weights say: how likely they are to write what was written, and to
                   plan it
served.py          generations in memory, ready to choose plans and to write
"""

import streamrec.models  # noqa: F401 - sizes torch's caches, which has to be before torch
