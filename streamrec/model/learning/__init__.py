"""Where a click becomes a gradient: the head at once, the encoder's adapter beside it.

learner.py          the weights being trained, both lanes, and everything needed to resume
fast_lane.py        the fast lane: the head trained online, in milliseconds, on a CPU or a GPU
slow_lane.py        the slow lane: the encoder's adapter trained online, through a simple
                    score
recipes.py          from settings to a recipe of learning, or every reason why there is none
losses.py           losses over lists of candidates, one accepted or more in each
optimisers.py       the optimisers on the menu, and what of them a checkpoint keeps
regularisers.py     against overfitting: what a training step sees instead of the plain text
remembering.py      from examples to what is remembered of them: the head's inputs, on one
                    index's vectors
replay_memory.py    examples kept for replay: the recent ones, and a fair sample of all before
learner_files.py    a learner's files: its tensors by name, and the catalogue they are numbered
                    by
named_state.py      states within states: tensors of a part by name, under the part's own name
early_stopping.py   early stopping in a stream: fresh examples are the validation set, until
                    they are learned
succession.py       one encoder version after another: trained aside, indexed aside, tried,
                    then taken or not
challenge.py        a new encoder version against the one in use: each has a head, both see
                    the same examples
publication.py      an encoder version on its way: its index is built aside while learning goes
                    on
followers.py        several processes that take one training step together: what travels, and
                    who does what
distributed.py      processes that compute together, and how values travel between them
pieces.py           some of the texts of a training step, and their way through the trained
                    layers and back
piecewise.py        gradients of a loss over all texts of a step, the encoder's memory bounded
                    by a piece
"""
