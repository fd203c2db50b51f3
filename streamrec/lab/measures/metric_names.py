"""What a replay reports, by name: light enough for a command's ``--help``."""

from __future__ import annotations

NEXT_CLICK, IMPRESSIONS = "next_click", "impressions"
MAIN_METRIC = {NEXT_CLICK: "ndcg@10", IMPRESSIONS: "auc"}
"""By kind of prediction: what curves show and slices are compared by."""
