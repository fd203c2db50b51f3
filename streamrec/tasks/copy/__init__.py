"""Copy: which words an item is shown with.

examples.py   copy's examples: the words that one item was shown with, and how often each was
              clicked
model/        copy's weights: from a text to a prior of its click rate
"""
