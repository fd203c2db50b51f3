"""From mini-batches to candidates, with everything needed to resume and to repeat.

train.py               the trainer: learn from mini-batches, judge candidates, release them, never
                       stop
learn.py               a mini-batch, learned: what is new in it, once it has been scored by a
                       candidate on trial
candidates.py          candidates, one at a time: frozen, on trial, judged, sent out, and what
                       came of it
training_worker.py     the trainer as a worker: waits its turn, trains round after round, says how
                       it goes
training_progress.py   how far a trainer has come: what a checkpoint keeps, and what this process
                       has done
trial.py               a candidate on trial: fresh examples scored by it and champions before
                       anyone learns them
champion.py            the champion, as the control log has it, with weights to compare candidates
                       to
save_points.py         what the trainer can go back to: its newest checkpoint, and a snapshot for
                       each generation
alarm.py               the alarm on the population: other traffic than usual pauses promotion, not
                       learning
reproduce.py           a generation made again: from its parent, over exactly the mini-batches it
                       learned
dependencies.py        what a trainer is made of, and its schedule
freshness.py           how old an event is when a generation that has learned it begins to
                       answer
generation_traces.py   one trace for each candidate: what it learned, its gate, its release
restart.py             A trainer that cannot go on from a checkpoint of its own: where it begins
                       instead
"""
