"""From an event to what is known of users and items, and to a labelled example.

fold.py                the fold: what a run of events does to a partition's users, statistics and
                       examples
user_state.py          what is known of one user: a pure function of the user's events
item_stats.py          decayed counts of one item, from one partition's events
pair_memory.py         which items follow which: directed transitions and co-occurrence, by item
counters.py            counters that a statistic brings along: a few numbers of every item, or of
                       every user
statistics.py          the sum of every partition's item statistics, as columns by catalogue row
catalogue.py           the items that can be recommended, as columns
facets.py              which rows are of a category, and which have an attribute
named_items.py         which items and which categories a text names
words.py               words of the items' titles: which items share one, and how much that says
last_items.py          the last items of many users at once, as columns
columns.py             a growing numpy column, addressed by row
event_clock.py         what time it is in a partition, by its events alone: no few producers move it
attribution.py         which accepted event belongs to which view
replies.py             which outcome belongs to which reply
batching.py            when a mini-batch is cut, and which source offsets it covers
partial_aggregate.py   one partition's part of the item statistics, counted event by event
example_makers.py      every task's example maker of one partition, told together
example_maker.py       what the fold asks of a task: examples, made from what it is told of a
                       partition's events
deadlines.py           when something a user was shown closes next, for every user of a partition
known_ids.py           which events a partition has counted lately: eight bytes of each, so that
                       none counts twice
run.py                 a run of events of one partition: by which rules it is folded, and what
                       comes of it
silence.py             users of whom nothing has been heard for too long, by event time
source_log.py          which log of the broker a source's state belongs to, and where the two part
layout.py              over how many partitions the state of users is laid out
"""
