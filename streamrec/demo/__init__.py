"""The demo: a real stream played through the real loop, watched from outside.

    play.py      the acts in their order
    player.py    events onto the topic at a steady rate
    watcher.py   the topics followed, in the order of time, into core.loop_watch
    memory.py    peak memory by process
    panel.py     what is seen while it runs
    summary.py   what is left when it ends

The watcher reads the same topics as anybody else; no worker knows that it is in a demo.
"""
