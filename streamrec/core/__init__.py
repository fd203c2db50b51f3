"""The rules of the loop: pure functions and frozen values, standard library and numpy only.

state/            an event becomes state, statistics and examples
release/          whether a generation may answer, and how it does
measures/         how good it was, and whether the loop kept its word
events.py         the frozen values that travel on the topics
topics.py         the topics by their short names, and how each is laid out
examples.py       labelled training examples: the user *as it was before* and what came of it
pseudonym.py      other names for people: a keyed hash of a user id
dead_letters.py   dead letters as an operator sees them: where they stand, what to do, what became
                  of them
ledger/           what is learned: exactly once, from whom, how much, and what never again
tasks.py          what a task is called, and what is called after it: its slot, directories, keys
printable.py      foreign text on its way to a person's terminal: what would steer it is shown
                  instead
identity.py       whose a state is: what Kafka, Redis, the registry and the trainer's checkpoints
                  must agree on
access.py         who may call the gateway, and for what: keys by role, and what one of them covers
replies/          replies in words: what is asked of one, what it may say, what is learned about it
understanding/    a query read into what is wanted and what is not, in the catalogue's own words
variants/         wordings of one item: what is believed of each, who counts them, and who is
                  shown which
"""
