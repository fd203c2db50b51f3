"""The ``streamrec`` command: what a person types, and what they see.

One module per group of commands. Modules import what they need when a command runs, so that
``streamrec --help`` stays quick. A person's mistake is one clear line on stderr and exit
code 1 (2: the command line or a setting is wrong); a stack trace is always our mistake.
"""

from __future__ import annotations

from streamrec.cli.app import main

__all__ = ["main"]
