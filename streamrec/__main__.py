"""``python -m streamrec``: the same as the ``streamrec`` command."""

from __future__ import annotations

from streamrec.cli import main

main()
