"""Codes of dead letters with what to do, and every error that is raised on purpose."""

from __future__ import annotations

import inspect
import re

from streamrec import errors
from streamrec.core.dead_letters import ADVICE
from streamrec.errors import Refused
from tests.reference.markdown import code, page, table

LETTERS = """\
## Codes of dead letters

A message that no retry makes good stands on `dead-letter` with one of these codes and a reason in
words. More: [dead letters](../dead-letters.md).
"""
TREE = """\
## Errors in Python

All are in `streamrec.errors`, as a tree: catch one to catch what stands below it.
"""


def errors_page() -> str:
    """docs/reference/errors.md"""
    rows = [
        (code(kind.code), code(kind.__name__), MEANING[kind.__name__], ADVICE[kind.code])
        for kind in refusals()
    ]
    return page(
        "Errors",
        LETTERS,
        table(("code", "error", "meaning", "what to do"), rows),
        TREE,
        f"```text\n{drawn_tree()}\n```",
    )


def refusals() -> list[type[Refused]]:
    """Those with a code of their own, in the order of the module."""
    found = [kind for kind in vars(errors).values() if inspect.isclass(kind)]
    return [kind for kind in found if issubclass(kind, Refused) and own_code(kind)]


def own_code(kind: type[Refused]) -> bool:
    return kind is not Refused and "code" in vars(kind)


def drawn_tree() -> str:
    text = inspect.getdoc(errors) or ""
    return "\n".join(line[4:] for line in text.splitlines() if re.match(r" {4}\S|    [│├└]", line))


MEANING = dict(re.findall(r"[├└]── (\w+) +(.+)", errors.__doc__ or ""))
