"""What the Helm chart copies from the code: ``python -m tests.chart`` writes it, a test compares.

files.py    topics, rights and alerts, as the templates read them
schema.py   values.schema.json, of which settings are streamrec's own
table.py    the table of values in the chart's README
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.chart.files import CHART, alerts_file, rights_file, topics_file
from tests.chart.schema import schema_file
from tests.chart.table import readme_file

MADE: Mapping[str, Callable[[], str]] = {
    "files/topics.yaml": topics_file,
    "files/rights.yaml": rights_file,
    "files/alerts.yaml": alerts_file,
    "values.schema.json": schema_file,
    "README.md": readme_file,
}
"""By its place in the chart."""

__all__ = ["CHART", "MADE"]
