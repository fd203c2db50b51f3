"""From a candidate to the whole fleet, and back when it does harm.

release.py          releases and rollbacks: one control record, then the whole fleet confirms
fleet_watch.py      watching the serving workers follow the control log
guard.py            two guards: a new champion that serves worse, or is clicked less, than the one
                    before is rolled back by itself
live_watch.py       telling everybody how the generations do with their users
outcomes.py         following what users do with the lists of each generation, in the trainer's
                    process
levels.py           service levels by generation: measured in a serving worker, read from the
                    fleet
attested.py         generations are what the control log says they are, or they are not loaded
canary_rollout.py   watching a canary until it is clear what becomes of it
release_queue.py    finished generations on their way out, in the background, so that training
                    goes on
"""
