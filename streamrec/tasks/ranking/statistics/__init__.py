"""The live statistics: each declared once, in the module of its family.

declaration.py      what a statistic declares: its columns, their groups and reasons, its counter,
                    its value
moment.py           statistics and catalogue that stand still, and what is made of them once
popularity.py       how often an item is chosen and seen of late
ages.py             how new an item is, and how long ago it was last chosen
categories.py       how an item's categories do, and how much the user chooses them
co_occurrences.py   what others chose after, and together with, the user's last items
gaps.py             an item's statistic against what is usual among the user's last items
words.py            the weightiest word that a title shares with the user's history
activity.py         how active the user is
registry.py         the tuple of all of them, and what is derived from it: names, digest, counters
"""
