"""Imported first by the process that workers are forked from; ties it to its parent.

Collects no garbage from here on: what is imported stays, and looking through it again and again
is a fifth of the time that importing takes. Does not end when everybody is told to (systemd tells
all processes of a service): its workers would be killed with it, instead of finishing what they
hold. A worker does both again (``infra.processes.warm_start``).

Knows nothing of streamrec, and is imported nowhere else: importing it has this effect.
"""

import gc
import signal

from streamrec.infra.processes.parent_death import die_with_parent

die_with_parent()
gc.disable()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
