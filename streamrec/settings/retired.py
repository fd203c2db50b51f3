"""Settings of earlier versions: where they went, and the value that each has now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Retired:
    """No setting any more: ``value`` is what it always is, unless a ``recipe`` does otherwise."""

    value: Any
    recipe: str = ""
    instead: str = ""

    def __str__(self) -> str:
        if self.recipe:
            return f"no longer a setting: now a recipe, streamrec train --recipe {self.recipe}"
        also = f"; {self.instead}" if self.instead else ""
        return f"no longer a setting: it is always {self.value}{also}"


RENAMED: Mapping[str, str] = {"trainer_stage_timeout_s": "trainer_swap_timeout_s"}

RETIRED: Mapping[str, Retired] = {
    "ingest_run_events": Retired(500),
    "ingest_sampled_negatives": Retired(100),
    "ingest_repeated_clicks": Retired(3),
    "ingest_batch_examples": Retired(64),
    "ingest_batch_age_s": Retired(0.5),
    "ingest_future_tolerance_s": Retired(86_400.0),
    "ingest_statistics_refresh_s": Retired(1.0),
    "encoder_alpha": Retired(16.0),
    "encoder_dropout": Retired(0.0),
    "encoder_cache_mb": Retired(256),
    "learning_optimiser": Retired("adamw", recipe="sgd, or adafactor"),
    "learning_weight_decay": Retired(0.0),
    "learning_clip_norm": Retired(1.0),
    "learning_hide_tokens": Retired(0.0, recipe="hidden-tokens"),
    "learning_shuffle_text": Retired(False, recipe="shuffled-text"),
    "learning_fgm": Retired(0.0, recipe="fgm"),
    "learning_average": Retired(1, recipe="adapter-averaging"),
    "learning_challenge": Retired(True),
    "head_rate": Retired(0.005),
    "head_replayed": Retired(200),
    "head_recent": Retired(2_048),
    "head_reservoir": Retired(2_048),
    "head_proximal": Retired(0.0, recipe="proximal"),
    "head_proximal_kl": Retired(0.0, recipe="proximal-kl"),
    "head_cycle_steps": Retired(0, recipe="rate-cycles"),
    "head_judged_steps": Retired(0, recipe="early-stopping"),
    "trainer_gate_ranking_limit": Retired(0.05),
    "trainer_gate_loss_limit_ratio": Retired(0.15),
    "trainer_gate_max_update_norm": Retired(10.0),
    "trainer_gate_max_kl": Retired(1.0),
    "trainer_gate_min_coverage_ratio": Retired(0.5),
    "trainer_gate_max_calibration": Retired(0.35),
    "trainer_gate_floor_tolerance": Retired(0.02),
    "trainer_seed": Retired(0, instead="streamrec replay and train take --seed"),
    "serving_batch_users": Retired(64),
    "serving_statistics_refresh_s": Retired(1.0),
    "serving_keep_generations": Retired(2),
    "serving_explore_shortlist": Retired(20),
    "serving_explain_per_s": Retired(
        20.0, instead="STREAMREC_SERVING_EXPLAIN_S=0 keeps nothing to be explained"
    ),
    "canary_min_s": Retired(10.0),
    "canary_alpha": Retired(0.05),
    "canary_user_lists": Retired(20),
    "guard_looks": Retired(5, instead="STREAMREC_GUARD_WATCH_S=0 turns the guard off"),
    "guard_min_lists": Retired(20),
    "guard_max_fault_ratio": Retired(0.05),
    "alarm_z": Retired(6.0),
}
"""By the name it had, without its prefix, in lower case."""

RETIRED_VALUES: Mapping[str, tuple[str, ...]] = {
    "encoder_adapter": ("adalora", "ia3", "last-layers", "prefix")
}
"""Of settings that are still there: what is a recipe of the same name now."""


def known_now(group: str, recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that an earlier version wrote down, as this one calls them.

    Retired ones are left out where they had the value that they always have now.
    """
    named = {}
    for name, value in recorded.items():
        key = f"{group}_{name}"
        if key not in RETIRED or RETIRED[key].value != value:
            named[RENAMED.get(key, key).removeprefix(f"{group}_")] = value
    return named
