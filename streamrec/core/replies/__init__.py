"""Replies in words: what is asked of one, what it may say, and what is learned about it.

context.py       what is known of somebody when a plan is chosen for them: a few numbers
plan.py          what a reply is asked to be: tone, length, history, items named, a question
plan_bandit.py   which plan for whom: a contextual bandit, the fast half of what replies learn
"""
