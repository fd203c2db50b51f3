"""The laboratory: demo, drills, replays, baselines and what measures them. Only ``cli`` imports it.

baselines/   other people's models, learned at the same moments, to be compared with
demo/        the demo: a real stream played through the real loop, watched from outside
drill/       breaking the loop on purpose, and counting what it cost
labels/      texts that somebody has labelled 0 or 1, learned by an adapter
measures/    (to be said)
replay/      the same fold and the same learner over a recorded stream
replies/     replies: the first words, and simulated people who are told things
recipes/     what the evidence took out of the loop, still reachable: ``streamrec train --recipe
             NAME``
"""
