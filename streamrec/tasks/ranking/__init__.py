"""Ranking: which items a user is shown.

candidates/        where the catalogue is too large to score every item: candidates, then exact
                   scores
drift.py           is this still the traffic we know? Raises an alarm when it is not, and takes it
                   back
example_maker.py   events to labelled examples: drafted event by event, finished once a run
features.py        live statistics of a candidate for a user: one function for ingest, serving and
                   replay
inputs.py          what the head is given: live statistics, then similarities of texts, each with
                   its reason
lists/             from list requests to published lists, with reasons
model/             the ranker's weights: one calibrated probability from texts and live statistics
negatives.py       negatives for a click without impression, and how likely each was to be drawn
quota.py           what any one source may weigh in what is learned: weights of examples, in their
                   order
statistics/        the live statistics: each declared once, in the module of its family
examples.py        ranking's examples: candidates, which were accepted, and the features logged
                   with them
gate_metrics.py    whether a ranker may replace the champion: what is compared, and how far each
                   may fall
judging.py         what one fresh example says about two models that have not learned from it
"""
