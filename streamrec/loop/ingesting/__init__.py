"""From records on the topics to committed state, mini-batches and dead letters.

ingest.py           the feature worker's use case: raw records of source partitions in, state and
                    messages out
ingest_events.py    one partition of the events topic: decode, fold, commit, publish
ingest_items.py     one partition of the items topic: catalogue records into shared rows
admissible.py       which readable events may be folded where they were found, and when their
                    records were made
raw.py              raw records as they come from a source topic, and what happens to bad ones
one_line.py         one line that somebody wants to have sent: what would go to the topic, or why
                    not
send.py             lines of JSON from a file onto a topic, each checked the way its consumer will
                    check it
resend.py           sending a dead letter again, at most once unless somebody insists
example_stream.py   one task's examples of one events partition, on their way to Kafka
event_traces.py     which trace events belong to, until what they caused is on its way
item_keys.py        which item a record of the items topic is about: what its key says, and what
                    its value says
"""
