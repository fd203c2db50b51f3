"""The same fold and the same learner over a recorded stream.

replay.py           strict predict-then-learn evaluation of a recorded stream, without Kafka
compare.py          baselines for the replay: learners that learn nothing, or stop learning
beside.py           races in processes of their own, beside the one that is run here
contest.py          one model in a replay: what it predicted, how that went, how it learned
rivals.py           what a replay compares to, made where it races
recorded.py         a recorded stream, and what there is to predict in it
offline.py          learning from a recorded stream offline: many passes, and the best of them is
                    kept
offline_main.py     offline training, put together: files, the language model, the learner, a
                    registry
recorded_main.py    recorded streams: files of JSON lines, read as the topics' messages are
replay_main.py      the replay, put together: files, the language model, the learner, what it is
                    compared to
time_split.py       a recorded stream cut in time: what is learned, what decides when to stop,
                    what judges
copy_main.py        the replay of recorded tests, put together: a file, the language model, what
                    it is compared to
copy_plan.py        what a replay of recorded tests is asked for: light enough for a command's
                    ``--help``
copy_replay.py      predict, then learn, over recorded tests of wordings
copy_report.py      what a replay of recorded tests says: everything, and the same of the tests
                    opened later
headline_tests.py   recorded tests of wordings: files of JSON lines, one test a line, in order of
                    opening
"""
