"""A run for each generation in MLflow, nested in its parent's. Needs the extra ``mlflow``.

Where the store is, MLflow reads itself: ``MLFLOW_TRACKING_URI``, and the experiment's name from
``MLFLOW_EXPERIMENT_NAME``. A generation has one run, however often a trainer is started again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.environment_variables import MLFLOW_EXPERIMENT_NAME

from streamrec.core.release.manifest import Manifest
from streamrec.infra.tracking.run_record import (
    GENERATION,
    OUTCOME,
    PROJECT,
    numbers,
    parameters,
    tags,
)
from streamrec.ports import Sealed, Tracker

NESTED = "mlflow.parentRunId"
AT_ONCE = 100
"""Parameters of one call; MLflow takes no more."""


class MlflowRuns(Tracker):
    """``client``: of the store; connects when the first generation is made."""

    def __init__(self) -> None:
        _as_others_log()
        self._client = MlflowClient()
        self._experiment = ""
        self._latest: dict[str, float] = {}

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Where the curves stand when a generation is judged is part of its run."""
        del step
        self._latest |= values

    def made(self, sealed: Sealed, trained: int) -> None:
        manifest = sealed.manifest
        run = self._find(manifest.generation) or self._created(manifest)
        now_ms = manifest.created_at_ms
        said = [RunTag(name, text) for name, text in tags(sealed).items()]
        points = [
            Metric(name, value, now_ms, trained)
            for name, value in numbers(manifest, self._latest).items()
        ]
        self._client.log_batch(run, metrics=points, tags=said)
        given = [Param(name, text) for name, text in parameters(manifest).items()]
        for at in range(0, len(given), AT_ONCE):
            self._client.log_batch(run, params=given[at : at + AT_ONCE])
        self._client.set_terminated(run, "FINISHED")

    def settled(self, generation: str, outcome: str) -> None:
        run = self._find(generation)
        if run is not None:
            self._client.set_tag(run, OUTCOME, outcome)

    def _created(self, manifest: Manifest) -> str:
        parent = self._find(manifest.parent) if manifest.parent else None
        nested = {NESTED: parent} if parent else {}
        made: Any = self._client.create_run(
            self._place(),
            start_time=manifest.created_at_ms,
            run_name=manifest.generation,
            tags={GENERATION: manifest.generation, **nested},
        )
        return str(made.info.run_id)

    def _find(self, generation: str) -> str | None:
        wanted = f"tags.`{GENERATION}` = '{generation}'"
        found = self._client.search_runs([self._place()], wanted, max_results=1)
        return str(found[0].info.run_id) if found else None

    def _place(self) -> str:
        """The experiment's id."""
        if not self._experiment:
            variable: Any = MLFLOW_EXPERIMENT_NAME
            name = variable.get() or PROJECT
            known: Any = self._client.get_experiment_by_name(name)
            found = known.experiment_id if known else self._client.create_experiment(name)
            self._experiment = str(found)
        return self._experiment


def _as_others_log() -> None:
    """When it is imported MLflow gives itself and Alembic handlers of their own."""
    for name in ("mlflow", "alembic"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)
