"""Where the catalogue is too large to score every item: candidates, then exact scores.

generators.py   where candidates come from: statistics, the head's item part, texts, queries, what
                a request leaves
item_order.py   items by what the head thinks of them whoever asks, made once a refresh
pooling.py      all candidates of a micro-batch, scored exactly
ranking.py      exact scores of some rows, and an account of them
recall.py       how many of the exact ten best are among the candidates, on a sample of lists
switch.py       whether every item is scored, or candidates
"""
