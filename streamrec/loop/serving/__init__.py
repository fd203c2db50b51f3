"""From a trigger to a published list of exactly one generation.

serve.py                 answering triggers: a micro-batch, one published list for each, each of
                         one generation
serving_worker.py        the serving worker: answers triggers, follows the control log, tells the
                         fleet
answer_traces.py         the spans of a micro-batch: one for each answer that is made
gauges.py                what a serving worker measures of itself
generation_follower.py   following the control log in one serving worker
poison_pill.py           a message that brings out a fault of ours goes to the dead-letter topic;
                         the others are answered
staleness.py             triggers that have waited too long to be worth an answer, while there is
                         more to do than time
task_follower.py         another task's generations, followed in a worker whose answers use its
                         champion
traffic_split.py         who answers a micro-batch: the champion, and the canary for its share of
                         the users
"""
