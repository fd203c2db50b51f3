"""Replies: which words answer a request, and how.

examples.py   replies' examples: what one reply was written from, with which chance, and what came
              of it
"""
