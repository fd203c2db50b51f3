"""Writes anew what the Helm chart copies from the code."""

from __future__ import annotations

from tests.chart import CHART, MADE

if __name__ == "__main__":
    for name, made in MADE.items():
        (CHART / name).write_text(made(), "utf-8")
