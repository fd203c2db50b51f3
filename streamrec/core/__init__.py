"""The rules of the loop: pure functions and frozen values, standard library and numpy only.

state/         an event becomes state, statistics and examples
training/      what may be learned, how much of it, and what has been
release/       whether a generation may answer, and how it does
serving/       who may be shown what, and why
measures/      how good it was, and whether the loop kept its word
events.py      the frozen values that travel on the topics
topics.py      the topics by their short names, and how each is laid out
examples.py    labelled training examples: the user *as it was before* and what came of it
letters.py     dead letters as an operator sees them: where they stand, what to do, what
               became of them
pseudonym.py   other names for people: a keyed hash of a user id
"""
