"""Replies: which words answer a request, and how.

examples.py       replies' examples: what one reply was written from, with which chance, and what
                  came of it
example_maker.py  from replies whose outcome is known to examples
gate_metrics.py   whether a candidate may replace the champion
made.py           a reply that was made, as it is kept
reply_model.py    what writes replies: a generation's plans and words, or templates alone
drafts.py         a reply in the making
answerer.py       from lists whose asker wants words to replies
model/            replies' weights: an adapter that writes, and a bandit that plans
"""
