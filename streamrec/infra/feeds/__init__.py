"""What each kind of worker consumes, and from where on.

faust_app.py      the feature worker's consumer: faust's group membership, our positions, our
                  delivery
feed.py           moves fetched records into the ingest stage, partition by partition
batch_feed.py     the topic ``training-batches`` as the trainer reads it: assigned, sought, never
                  committed
answer_feed.py    ``recommendations`` as it grows, for many who each wait for one answer
trigger_feed.py   ``user-updates`` and ``requests`` as one serving worker's share of them
"""
