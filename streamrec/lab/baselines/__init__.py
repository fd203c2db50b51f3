"""Other people's models, learned at the same moments, to be compared with.

bm25.py             BM25: how many of a query's words an item's text has, and how rare these are
sasrec.py           SASRec: self-attention over item IDs, the sequential baseline (Kang & McAuley
                    2018)
sasrec_learner.py   SASRec as an online baseline: learns and ranks at the same moments as our own
                    learner
statistics.py       rankings by live statistics alone: what learning must beat
word_scores.py      linear scores of a wording: from its length, or from its words by TF-IDF
"""

import streamrec.models  # noqa: F401 - sizes torch's caches, which has to be before torch
