"""What is learned: exactly once, from whom, how much, and what never again.

watermarks.py   which examples of a mini-batch are new, and the ledger of what was trained
quarantine.py   examples that must never be learned: ranges of source offsets, of everybody or
                of one user
quota.py        what any one source may weigh in what is learned: weights of examples, in
                their order
traffic.py      a window of recent traffic in a few numbers, as its training examples show it
shift.py        is this still the traffic we know? Raises an alarm when it is not, and takes
                it back
time_split.py   a recorded stream cut in time: what is learned, what decides when to stop,
                what judges
lessons.py      who learned from a person: lessons by their place, and the generations behind
                them
undo.py         which generation to go back to, so that nothing of a bad range stays learned
"""
