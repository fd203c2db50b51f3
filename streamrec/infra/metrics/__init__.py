"""What a process says of itself to monitoring: over HTTP, in the names that monitoring knows.

as_markdown.py   the table of docs/monitoring.md
declared.py      every metric: its name, its labels, who has it, what it means
told.py          what a worker tells the fleet, and which metric each is
meter.py         what stages measure, as Prometheus counts it
beat.py          what a worker tells the fleet, as metrics
server.py        /metrics, /healthz and /readyz of one process, on a port of their own
vitals.py        whether a process is alive, and whether it is ready for its work
"""
