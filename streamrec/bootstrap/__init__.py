"""The composition root: which real part stands behind which port.

One module per process, so that each loads only what it needs:

    clients.py    what operators' commands and several processes share
    features.py   the feature worker
    trainer.py    the trainer
    serving.py    the serving worker
    replay.py     learning and evaluation without Kafka
"""
