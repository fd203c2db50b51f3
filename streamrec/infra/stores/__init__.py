"""What outlives a process: in Redis, in files, on the control log.

redis_client.py     how Redis is reached: one server, a cluster, or whoever its sentinels call the
                    master
redis_diagnosis.py  what can be seen of a Redis beforehand: whether it may lose state, or will soon
                    take none
redis_rights.py     what a Redis user may do, asked without doing it: commands are queued and thrown
                    away
redis_store.py      ``ports.PartitionStore`` on Redis 7 or Valkey: one Lua script commits, all or
                    nothing
fleet.py            who is alive and what they serve, in Redis keys that expire
lease.py            one trainer at a time: a lease in Redis that its holder keeps renewing
explanations.py     ``tasks.ranking.lists.explanations_port.Explanations`` in Redis: one small
                    value a list, gone after a while
reply_store.py      replies that were made, those that wait for a reviewer, and conversations, in
                    Redis
live_board.py       the trainer's report of live outcomes, in one Redis key that expires
resend_ledger.py    ``ports.dead_letters.ResendLedger`` in Redis: one hash, dead letter -> what is
                    remembered of it
dead_letters.py     the dead-letter topic read back, and its messages sent to where they came from
control_log.py      the control log on Kafka: one partition, one key, compacted
registry_store.py   generation directories, kept in a directory or in any object store
checkpoints.py      checkpoints of the trainer: directories written aside, then renamed
durable.py          forcing files and directories to disk: what a rename needs before it may be
                    trusted
datasets.py         a public click stream for the demo: MovieLens 100K, fetched, never shipped
headline_archive.py  recorded tests of headlines for the demo: the Upworthy Research Archive,
                    fetched, never shipped
redis_memory.py     how much memory the state takes in Redis, of whom, and when there is none left
key_file.py         API keys in a file: read again when it changes, written whole or not at all
key_use.py          when each API key was used last, in one Redis hash
layout_store.py     the layout of users' state, in one Redis key: ``<prefix>:layout``
assignments.py      which wording of an item a user has been given, in Redis, for as long as the
                    settings say
"""
