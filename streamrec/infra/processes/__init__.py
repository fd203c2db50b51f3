"""Processes of this host: workers, embedded servers, Apache Kafka for drills.

supervisor.py       worker processes of one host: started, restarted when they die, stopped
                    together
server_process.py   one server as a child process: start, wait until it answers, stop, kill, start
                    again
preload.py          imported first by the process that workers are forked from; ties it to its
                    parent
warm_start.py       workers forked from a process that has imported everything: back in
                    milliseconds
embedded.py         the servers that ``pip install`` brought: a Kafka-protocol broker and a Redis
apache_kafka.py     Apache Kafka 4 as one process: broker and KRaft controller, for tests and
                    drills
servers_file.py     where a running ``streamrec up`` says which servers it started:
                    ``servers.json``
telemetry.py        what a process says of itself: log lines, as text or JSON
parent_death.py     runs a command that dies with its parent: ``python parent_death.py PARENT_PID
                    COMMAND ...``
"""
