"""What a process says of itself to monitoring: over HTTP, in the names that monitoring knows.

server.py   /metrics, /healthz and /readyz of one process, on a port of their own
vitals.py   whether a process is alive, and whether it is ready for its work
"""
