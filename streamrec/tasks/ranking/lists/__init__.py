"""From list requests to published lists, with reasons.

asked.py               what a request that wants a reply asks for, in the catalogue's own words
choice.py              which items a list shows: the best of those that may be shown, best first
eligibility.py         which catalogue rows may be recommended to whom
explainer.py           reasons for the items of a micro-batch, and what is kept to explain them
                       later
explanation.py         what is kept of one answer so that it can be explained later
explanations_port.py   what is kept of answers for a while, so that somebody may ask why
exploration.py         now and then the last slot goes to an item that is only nearly good enough
from_candidates.py     lists of items that were looked for, where the catalogue is too large to
                       score every one
list_requests.py       what a micro-batch of triggers asks for: one request for each list that has
                       to be made
lists.py               from requests to lists, all of one generation, under one view of catalogue
                       and statistics
reason_texts.py        a list's reasons in words, for who asks for them
reasons.py             from the parts of an item's score to a short reason that is true of the
                       numbers
shown_lists.py         what a conversation was shown, so that "not that" can be told what that is
state_mirror.py        a process' own copy of catalogue and statistics, kept fresh from the shared
                       rows
attribution.py         an answer taken apart: what each score was made of, and which of the user's
                       items drove it
model_ports.py         what lists ask of a ranking model
wording.py             the words that a list's items are shown with, where an item has more than
                       one
"""
