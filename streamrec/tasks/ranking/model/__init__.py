"""The ranker's weights: one calibrated probability from texts and live statistics.

adapter_trainer.py   the encoder's adapter trained online, through a simple score
config.py            from settings to how learning is done, or every reason why there is none
encoder_rollout.py   one encoder version after another: trained aside, indexed aside, tried, then
                     taken or not
generations.py       weight files to finished generations, and finished generations to scorers of
                     examples
head.py              the head: one score from similarities and statistics, and a probability from
                     the score
head_trainer.py      the head trained online, in milliseconds, on a CPU or a GPU
learner.py           the weights being trained, and everything needed to resume
learner_files.py     a learner's files: its tensors by name, and the catalogue they are numbered
                     by
query_inputs.py      what a query says of an item: closeness of text, and the items and categories
                     it names
ranker.py            the immutable scorer of one generation: logged examples, or users against the
                     catalogue
ranking.py           the scores of one micro-batch, and an account of some of them:
                     ``lists.model_ports.Ranking``
replay_buffer.py     examples kept for replay: the recent ones, and a fair sample of all before
served.py            a checked generation as something that ranks: ``ports.ServingModel``
similarity.py        text similarities of several kinds between a user's history and candidates
tensors.py           examples as padded tensors
attribution.py       A kept answer taken apart with the weights of the generation that made it
shapley.py           A score as a sum over groups of inputs: Shapley values
"""

import streamrec.models  # noqa: F401 - sizes torch's caches, which has to be before torch
