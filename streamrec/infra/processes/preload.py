"""Imported first by the process that workers are forked from; ties it to its parent.

Knows nothing of streamrec, and is imported nowhere else: importing it has this effect.
"""

from streamrec.infra.processes.parent_death import die_with_parent

die_with_parent()
