"""Weights as immutable directories: made, signed, checked, loaded, swapped.

generation.py       generation directories: writing one, and refusing a bad one before
                    anything is changed
sealing.py          weight files to finished generations, and finished generations to scorers
                    of examples
signing.py          who made a generation: an Ed25519 signature of ``manifest.json``, beside
                    it
hotswap.py          the generations a worker holds in memory, one of them active
served.py           a checked generation as something that ranks: ``ports.ServingModel``
made_with.py        what a computation depends on beside its inputs: versions, processor,
                    threads
weight_changes.py   how far the weights of one generation are from another's, group by group
"""
