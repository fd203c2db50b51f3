"""The demo: a real stream played through the real loop, watched from outside.

stage.py      what every play needs around it: the loop looked after, the screen kept up to date
play.py       the acts of films, in their order; and how any play begins
headlines.py  the acts of headlines
newsroom.py   recorded tests played again: which run, who is shown what, and who clicks
headline_watch.py    the topics, where headlines are played
headline_panel.py    what is seen of headlines, and what is left
ready.py      the catalogue in, every worker ready
waiting.py    until nothing is missing, while somebody looks after the loop
player.py     events onto the topic at a steady rate
watcher.py    the topics followed, in the order of time, into ``lab.measures.loop_watch``
rollback.py   the champion back and forward, by the code of the command line
memory.py     peak memory by process
swaps.py      pauses that swaps cost, as the workers measured them
cleaning.py   configured servers left as they were
screen.py     a live panel in a terminal, plain lines elsewhere
panel.py      what is seen while it runs
asking.py     one question, answered in words
summary.py    what is left when it ends

The watcher reads the same topics as anybody else; no worker knows that it is in a demo.
"""
