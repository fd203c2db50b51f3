"""The gateway: the loop over HTTP. Loads neither torch nor faust.

app.py               the routes put together
context.py           what every route works with
roles.py             who may do what
doorkeeper.py        whose key a request carries, and when none is needed
admin.py             what is released, and back; dead letters
overview.py          how the loop does, and its generations: what the page shows
loop_view.py         what it is shown from, gathered beside the requests
static_page.py       the files of the page, and what a browser may do with them
schemas.py           what is asked and answered, as OpenAPI has it
metrics.py           ``/metrics`` on the gateway's own port
health.py            ``/healthz`` and ``/readyz``
recommendations.py   asking for a list, over the topics
replies.py           a reply in words, as soon as it is there
ingest.py            events and items in, with a verdict for each
users.py             what is known of a user, the last list, and lists as they are made
fallbacks.py         similar, popular, latest: lists that need nobody else
why_process.py       why an answer is as it is, by a process of its own
shelf.py             what it knows by itself: catalogue and statistics, as of the last time that
                     Redis answered
lifetime.py          the process: its connections, its server, and their end

The page at ``/`` is the plain files in ``page``; no step builds them.
"""

from __future__ import annotations

from streamrec.apps.gateway.lifetime import run, run_gateway

__all__ = ["run", "run_gateway"]
