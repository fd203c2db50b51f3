"""Replies in the laboratory: the first words, and people who are told things.

main.py         put together: files, the language model, people, a registry
people.py       simulated people with hidden tastes for replies, and what they see of one
plan.py         what the command line asks for
questions.py    what people ask: who, what they had, a list, a query; of a real stream
replay.py       replies learned over a stream of questions, four ways at once
report.py       what a replay of replies says
second_look.py  whether a reply names what it may not, by code of its own
start.py        the adapter that everybody starts from, trained once on what code can say
"""
