"""How good predictions were, and what the loop did, from its own messages.

prequential.py   predict-then-learn metrics: every prediction is scored before its outcome is
                 learned
"""
