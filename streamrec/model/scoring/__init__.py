"""From a user's history and the catalogue to scores, and from scores to their reasons.

head.py         the head: one score from similarities and statistics, and a probability from
                the score
similarity.py   text similarities of several kinds between a user's history and candidates
dot_rows.py     how close items that users have had lately are to every item, remembered
ranker.py       the immutable scorer of one generation: logged examples, or users against the
                catalogue
ranking.py      the scores of one micro-batch, and an account of some of them:
                ``ports.Ranking``
tensors.py      examples as padded tensors
parts.py        a score taken apart by groups of inputs, so that the parts sum to the score
hindsight.py    a kept answer taken apart with the weights of the generation that made it
"""
