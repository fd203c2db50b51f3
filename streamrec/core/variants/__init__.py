"""Wordings of one item: what is believed of each, who counts them, and who is shown which.

beta.py   Beta arithmetic of one item's wordings: what is believed of each, and who should be
          shown which
"""
