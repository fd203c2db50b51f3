"""The pages of docs/reference, made from the code: ``python -m tests.reference`` writes them.

Each function of ``PAGES`` returns one page as Markdown. A test compares them with what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.reference.commands import commands_page
from tests.reference.errors import errors_page
from tests.reference.http import http_page
from tests.reference.schemas import schemas_page
from tests.reference.topics import topics_page

FOLDER = Path(__file__).parents[2] / "docs" / "reference"

PAGES: Mapping[str, Callable[[], str]] = {
    "cli.md": commands_page,
    "topics.md": topics_page,
    "schemas.md": schemas_page,
    "http.md": http_page,
    "errors.md": errors_page,
}
