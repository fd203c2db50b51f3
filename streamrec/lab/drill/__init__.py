"""Breaking the loop on purpose, and counting what it cost.

own_loop.py        a loop on a state directory of its own, with everything due more often
stream.py          what is sent: seeded users, impressions, clicks, requests, bad messages
sender.py          sends it at a steady rate, whatever happens to the broker
strikes.py         whom to kill, when; how long each took to be back
servers.py         killing Redis and the broker, as far as what they promise allows
evidence.py        what logs, Redis and the checkpoint say afterwards
kill.py            the kill drill in its order
report.py          its numbers, for people and as JSON
swap.py            the swap drill: rolling back and forward, timed
poison.py          the poison drill in its order
poison_world.py    people with known tastes, and those who attack them
poisoned.py        a generation that ranks upside down
poison_report.py   its numbers, for people and as JSON
wild.py            the drill of producers as they are: is what they mean what is known in the end?
wild_report.py     the wild drill's numbers: one dictionary, and the same for people
wild_world.py      producers as they are found in the wild, and what each of them means to say
transactions.py    a producer of transactions that takes one in five back, and sends the same
                   again
wild_evidence.py   what is known after the wild drill: users and examples, refusals, catalogue,
                   answers
soak.py            the soak drill in its order: nothing may grow while items and people come and go
soak_report.py     its numbers, for people and as JSON; what may be added to each
soak_world.py      a catalogue that turns over, people who come and leave for good

What is compared, and with what, is ``lab.measures.drill_check``; what grew, ``soak_check``.
"""
