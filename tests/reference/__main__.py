"""Writes docs/reference anew from the code."""

from __future__ import annotations

from tests.reference import FOLDER, PAGES

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")
