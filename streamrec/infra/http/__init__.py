"""HTTP, apart from what is said over it.

measured.py      requests, counted and timed for monitoring: by route, never by path
problems.py      what went wrong, as RFC 9457 has it: one form for every error, and its place in
                 OpenAPI
request_ids.py   a name for each request: the caller's own or ours, in every answer
limits.py        how much one caller may ask: bytes of a body, and requests a second
sse.py           server-sent events: what is made, as it is made, and a sign of life
server.py        uvicorn on a socket that is ours beforehand, ended from outside
"""
