"""What a replay reports, by name: light enough for a command's ``--help``."""

from __future__ import annotations

NEXT_CLICK, IMPRESSIONS, QUERIES = "next_click", "impressions", "queries"
MAIN_METRIC = {NEXT_CLICK: "ndcg@10", IMPRESSIONS: "auc", QUERIES: "ndcg@10"}
"""By kind of prediction: what curves show and slices are compared by."""
