"""From a candidate to a champion and back: judged, registered, tried out, watched.

gate.py              candidate against champion on examples neither was trained on: Accept, or
                     Reject with reasons
gate_report.py       the numbers of a trial: what two models did on the same fresh examples, and
                     how sure that is
manifest.py          what a generation says of itself: ``manifest.json``
lineage.py           what lies between two generations, by their manifests
registry.py          the adapter registry: which generation answers, as readers of one log agree
                     on it
transitions.py       the steps of a release and back: what each makes of the registry, and when it
                     is possible
canary.py            who gets the new generation first: a share of the users, always the same ones
live_metric.py       how often the lists of each generation are clicked, as the stream tells it
live_report.py       what the trainer's process knows of live outcomes, as others read it
sequential_test.py   is the canary worse than the champion, or better? An answer that may be asked
                     for at any time
off_policy.py        what a generation would be worth without exploring, from lists that were made
                     exploring
service_levels.py    whether a generation serves worse than it may: slow, empty or failing lists
generation_walk.py   whether each recommendation names a generation that could rightly answer it
weight_shape.py      which weights fit: the settings that a generation's tensors, or their
                     meaning, depend on
"""
