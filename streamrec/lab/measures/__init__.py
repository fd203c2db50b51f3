"""How good it was, and whether the loop kept its word.

chart.py          a line chart as SVG text, and as one line of block characters
drill_check.py    what a loop that was killed again and again must equal: one clean pass over its
                  logs
leaderboard.py    predictions of several models over one stream: metrics, halves, slices,
                  differences
loop_watch.py     what somebody who only reads the topics can say about the loop
metric_names.py   what a replay reports, by name: light enough for a command's ``--help``
significance.py   is model A better than model B, or was it luck?
wild_check.py     what became of a producer's events, compared with what it meant
soak_check.py      whether something grows that should stand still
bandit.py         what a bandit would have got out of recorded tests, simulated at the rates they
                  found
wordings.py       how well scores of wordings foretold which was clicked more, and whether that
                  was luck
"""
