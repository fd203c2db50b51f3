"""Wordings of one item: what is believed of each, who counts them, and who is shown which.

beta.py            Beta arithmetic of one item's wordings: what is believed of each, and who
                   should be shown which
credit.py          which wording a list showed, told by its own id, and the counts that views and
                   clicks make of it
stopping.py        whether a test of wordings may end: an answer that may be asked for at any time
traffic.py         which wording a user gets: Thompson sampling over what the counts leave open
unlearned.py       what of an item's counts no example holds yet, so that examples hold each
                   impression once
wording_rules.py   which wordings nobody is to be shown: too long, or with a word that is blocked
"""
