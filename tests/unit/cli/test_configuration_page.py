"""docs/configuration.md lists every setting, as it is."""

from __future__ import annotations

from pathlib import Path

from streamrec import settings
from streamrec.cli.show_settings import as_markdown

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_table_is_up_to_date() -> None:
    """If not: replace the table by the output of ``streamrec settings --markdown``."""
    table = as_markdown(settings.describe(settings.load({})))
    assert PAGE.read_text().endswith(table)
