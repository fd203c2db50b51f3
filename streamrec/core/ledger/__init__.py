"""What is learned: exactly once, from whom, how much, and what never again.

quarantine.py       examples that must never be learned: ranges of source offsets, of everybody or
                    of one user
undo.py             which generation to go back to, so that nothing of a bad range stays learned
ledger.py           which examples of a mini-batch are new, and the ledger of what was trained
training_pairs.py   who learned from a person: training pairs by their place, and the generations
                    behind them
"""
