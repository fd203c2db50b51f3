"""From a trigger to a published list of exactly one generation.

serve.py            answering triggers: a micro-batch, one published list for each, each of
                    one generation
wishes.py           what a micro-batch of triggers asks for: one wish for each list that has
                    to be made
answers.py          from wishes to lists, all of one generation, under one view of catalogue
                    and statistics
serving_worker.py   the serving worker: answers triggers, follows the control log, tells the
                    fleet
obey.py             following the control log in one serving worker
lineup.py           who answers a micro-batch: the champion, and the canary for its share of
                    the users
mirror.py           a process' own copy of catalogue and statistics, kept fresh from the
                    shared rows
explain.py          reasons for the items of a micro-batch, and what is kept to explain them
                    later
gauges.py           what a serving worker measures of itself
isolate.py          a message that brings out a fault of ours is put aside; the others are
                    answered
"""
