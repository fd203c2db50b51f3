"""How good predictions were, and what the loop did, from its own messages.

prequential.py    predict-then-learn metrics: every prediction is scored before its outcome is
                  learned
leaderboard.py    predictions of several models over one stream: metrics, halves, slices,
                  differences
baselines.py      rankings by live statistics alone: what learning must beat
significance.py   is model A better than model B, or was it luck?
list_quality.py   how good a list was that stood on the topic *before* the user's next click
loop_watch.py     what somebody who only reads the topics can say about the loop
chart.py          a line chart as SVG text, and as one line of block characters
drill_check.py    what a loop that was killed again and again must equal: one clean pass over
                  its logs
metric_names.py   what a replay reports, by name: light enough for a command's ``--help``
"""
