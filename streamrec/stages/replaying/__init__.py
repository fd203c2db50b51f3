"""The same fold and the same learner over a recorded stream.

replay.py     strict predict-then-learn evaluation of a recorded stream, without Kafka
compare.py    baselines for the replay: learners that learn nothing, or stop learning
contest.py    one model in a replay: what it predicted, how that went, how it learned
recorded.py   a recorded stream, and what there is to predict in it
offline.py    learning from a recorded stream offline: many passes, and the best of them is
              kept
"""
