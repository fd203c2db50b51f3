"""Copy's weights: from a text to a prior of its click rate.

generations.py     copy's generations: an adapter, a head and what turns scores into priors, sealed
                   and checked
learner.py         the weights of copy in training: head and adapter by one loss, and everything
                   needed to resume
learner_files.py   a learner's files: its tensors by name, and the examples that it holds
prior_head.py      from a text's vector to a score, and from scores to a prior of its click rate
served.py          a checked generation of copy where lists are made: the priors of items' wordings,
                   kept ready
"""

import streamrec.models  # noqa: F401 - sizes torch's caches, which has to be before torch
