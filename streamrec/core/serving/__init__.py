"""From scores to a list that can be defended.

eligibility.py   which catalogue rows may be recommended to whom
choice.py        which items a list shows: the best of those that may be shown, best first
exploration.py   now and then the last slot goes to an item that is only nearly good enough
explanation.py   what is kept of one answer so that it can be explained later
reasons.py       from the parts of an item's score to a short reason that is true of the
                 numbers
hindsight.py     an answer looked back at: what each score was made of, and which of the
                 user's items drove it
"""
