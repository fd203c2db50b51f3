"""The composition root: which real part stands behind which port.

One module per process, so that each loads only what it needs:

    clients.py    what operators' commands and several processes share
    process.py    what every worker does before it works
    features.py   the feature worker
    trainer.py    the trainer
    serving.py    the serving worker
    replay.py     learning and evaluation without Kafka
    local_loop.py all of them on this host, with servers of their own (`up`, `demo`)

The three workers' modules each have ``run(settings, worker_id)``: it works until SIGTERM or
SIGINT, then finishes what it holds and returns. ``streamrec worker <role>`` and
``workers/<role>.py`` call it.
"""
