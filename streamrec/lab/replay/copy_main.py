"""The replay of recorded tests, put together: a file, the language model, what it is compared to.

Loads torch and the language model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from streamrec.core.tasks import COPY
from streamrec.errors import UserError
from streamrec.lab.baselines.word_scores import WordLearner, length_inputs, word_inputs
from streamrec.lab.replay.copy_plan import BASELINES, FROZEN, LENGTH, OURS, TFIDF, CopyPlan
from streamrec.lab.replay.copy_replay import Foreteller, replay_tests
from streamrec.lab.replay.copy_report import measured, report_of, rows_of
from streamrec.lab.replay.headline_tests import read_tests
from streamrec.models.loading import load_encoder
from streamrec.settings import Adapter, EncoderSettings, Settings
from streamrec.tasks.copy.model.learner import CopyConfig, CopyLearner, copy_encoder

CACHE_MB = 1_024
"""Some 40,000 headlines stay warm."""


def run_copy_replay(
    settings: Settings,
    plan: CopyPlan,
    on_progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> dict[str, Any]:
    """The report of one pass.

    Raises:
        UserError: a file or a line in it cannot be used, an unknown baseline.
        EncoderUnavailable, SettingsError: the language model cannot be made.
    """
    unknown = [name for name in plan.compare if name not in BASELINES]
    if unknown:
        raise UserError(f"--compare {', '.join(unknown)}: there is {', '.join(BASELINES)}")
    tests, started_s = read_tests(plan.tests), time.perf_counter()
    names = dict.fromkeys((OURS, *plan.compare))
    texts = sorted({text for test in tests for text in test.example.texts})
    contestants = {name: Foreteller(_learner(name, settings, plan.seed, texts)) for name in names}
    replay_tests(tests, contestants, on_progress)
    found = measured(tests, contestants, plan.seed)
    opened_T = np.array([test.opened_at for test in tests])
    ours = contestants[OURS]
    report = {
        "task": COPY,
        "seed": plan.seed,
        **report_of(found, OURS, opened_T > -np.inf, plan.seed),
        "second_half": report_of(found, OURS, np.arange(len(tests)) >= len(tests) // 2, plan.seed),
        "learning": {
            "tests": ours.learned,
            "steps": ours.steps,
            "seconds": time.perf_counter() - started_s,
        },
    }
    if plan.score_from is not None:
        report["scored"] = report_of(found, OURS, opened_T >= plan.score_from, plan.seed)
    if plan.rows is not None:
        lines = "".join(json.dumps(row) + "\n" for row in rows_of(tests, found))
        try:
            plan.rows.write_text(lines, encoding="utf-8")
        except OSError as error:
            raise UserError(f"{plan.rows} cannot be written: {error.strerror}") from None
    return report


def _learner(
    name: str, settings: Settings, seed: int, texts: Sequence[str]
) -> CopyLearner | WordLearner:
    """``texts``: that it will meet; reading them ahead tells it nothing of what was clicked."""
    if name == LENGTH:
        return WordLearner(length_inputs, seed, rare=False)
    if name == TFIDF:
        return WordLearner(word_inputs, seed, rare=True)
    encoder = replace(settings.encoder, cache_mb=CACHE_MB)
    wanted = _frozen(encoder) if name == FROZEN else copy_encoder(encoder)
    learner = CopyLearner(load_encoder(wanted), CopyConfig(), seed)
    learner.warm(texts)
    return learner


def _frozen(settings: EncoderSettings) -> EncoderSettings:
    """Nothing of it is trained."""
    plain = EncoderSettings()
    return copy_encoder(
        replace(settings, adapter=Adapter.NONE, rank=plain.rank, layers=plain.layers)
    )
