"""How good predictions were, and what the loop did, from its own messages.

fairness.py      whether groups of users or items are served alike: acceptance, lists, exposure
freshness.py     from a click until a generation answers that has learned it
list_quality.py  how good a list was that stood on the topic *before* the user's next click
percentiles.py   the middle and the tail of some measurements
prequential.py   predict-then-learn metrics: every prediction is scored before its outcome is
                 learned
reply_groups.py  lists, replies and what people thought of them, counted by group
proportions.py   how far a share may be from what it is an estimate of
time_order.py    messages of several topics in the order of their timestamps
recent.py        rates, latency, freshness and hit rate of the last quarter of an hour
"""
