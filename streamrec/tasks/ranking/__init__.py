"""Ranking: which items a user is shown.

drift.py           is this still the traffic we know? Raises an alarm when it is not, and takes it
                   back
example_maker.py   examples in the making: drafted event by event, finished once a run
features.py        live statistics of a candidate for a user: one function for ingest, serving and
                   replay
lists/             (to be said)
model/             (to be said)
negatives.py       negatives for a click without impression, and how likely each was to be drawn
quota.py           what any one source may weigh in what is learned: weights of examples, in their
                   order
traffic.py         A window of recent traffic in a few numbers, as its training examples show it
"""
