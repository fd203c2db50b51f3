"""Copy: which words an item is shown with.

examples.py        copy's examples: the words that one item was shown with, and how often each was
                   clicked
example_maker.py   from views and clicks that name a wording to examples, a few dozen clicks each
gate_metrics.py    whether a candidate may replace copy's champion: how well each foretells which
                   words are clicked
model/             copy's weights: from a text to a prior of its click rate
"""
