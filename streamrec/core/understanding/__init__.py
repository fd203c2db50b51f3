"""A query read into what is wanted and what is not, in the catalogue's own words.

spoken.py           a text as the tokens that rules look at
lexicon.py          words that say how: no, like, under, newer; in five languages
synonyms.py         other words for what catalogues call their categories and values
catalogue_words.py  what a catalogue's items can be asked by
understood.py       what was understood: a structure, in words, as filters
quantities.py       amounts, and what they bound
reading.py          one query, from left to right
turns.py            a query after another one: does it correct, or begin anew?
"""
