"""Texts that somebody has labelled 0 or 1, learned by an adapter.

rows.py          a file's texts and labels, and what is wrong with a line
parts.py         cut in three by a seed: to learn, to stop by, to judge by
probe.py         a logistic head on vectors: what the frozen model is worth
fitting.py       epochs of an adapter and its head, and when they end
checkpoint.py    where it had got to, in one file
judged.py        right answers in the test part, beside the majority's and the frozen model's
written.py       the directory that plain PEFT reads, and its model card
main.py          put together: a file, a language model, a directory
"""
