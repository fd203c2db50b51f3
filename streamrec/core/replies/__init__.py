"""Replies in words: what is asked of one, what it may say, and what is learned about it.

brief.py         what a reply is asked for; the prompt; the slots in which items are named
checks.py        whether a reply may be said
common_words.py  words that say nothing about which title is meant
context.py       what is known of somebody when a plan is chosen for them: a few numbers
conversation.py  whether a question says again what was asked before it
distinct.py      how much variety there is in what is said: distinct pairs of words
facts.py         numbers, categories and attributes that a text claims
first_words.py   what replies say before anybody was asked: for each plan several ways to put it
foreign.py       titles, texts and queries as data: one line, nothing that steers
having.py        where a text says that somebody had something
language.py      which language a short text is in
names.py         where a text names items of a catalogue
personal.py      personal data, found by its form and hidden
phrases.py       the words of templates, in each language that has them
plan.py          what a reply is asked to be: tone, length, history, items, question or statement
plan_bandit.py   which plan for whom: a contextual bandit, the fast half of what replies learn
refusals.py      why a reply is refused: the names under which it is counted
rendering.py     titles in the place of slots
rules.py         what nobody is to be told: words and patterns of a file, a classifier
templates.py     replies and reasons that no model writes
"""
