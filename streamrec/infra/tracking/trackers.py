"""The trackers that settings ask for, told by a thread of their own.

A tracker that is slow, away or broken neither stops nor slows the trainer: what it could not be
told is said and counted, and then let go.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, Full, Queue

from streamrec.errors import UserError
from streamrec.ports import Sealed, Tracker
from streamrec.settings import Settings, TrackerKind

log = logging.getLogger(__name__)

WAITING = 1_000
"""Things to be told, at most: what comes beyond is let go."""
CLOSE_S = 10.0

Telling = Callable[[Tracker], None]


class BackgroundTracker(Tracker):
    """Tells others in a thread. They are made there too: some take seconds to import."""

    def __init__(self, others: Mapping[str, Callable[[], Tracker]]) -> None:
        """``others``: how each is made, by its name for people."""
        self._failures = 0
        self._others = others
        self._waiting: Queue[Telling] = Queue(WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tracker", daemon=True)
        self._thread.start()

    @property
    def failures(self) -> int:
        return self._failures

    def write(self, step: int, values: Mapping[str, float]) -> None:
        points = dict(values)
        self._put(lambda tracker: tracker.write(step, points))

    def made(self, sealed: Sealed, trained: int) -> None:
        self._put(lambda tracker: tracker.made(sealed, trained))

    def settled(self, generation: str, outcome: str) -> None:
        self._put(lambda tracker: tracker.settled(generation, outcome))

    def close(self) -> None:
        """What waits is told, as far as that goes in ``CLOSE_S``."""
        self._closing.set()
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            log.warning("trackers were not told everything in %g s", CLOSE_S)

    def _put(self, telling: Telling) -> None:
        try:
            self._waiting.put_nowait(telling)
        except Full:
            self._fail("trackers are too slow: something is not told to them")

    def _work(self) -> None:
        made = {name: self._made(name, make) for name, make in self._others.items()}
        there = {name: tracker for name, tracker in made.items() if tracker is not None}
        while True:
            try:
                telling = self._waiting.get(timeout=0.1)
            except Empty:
                if self._closing.is_set():
                    break
                continue
            for name, tracker in there.items():
                self._try(name, partial(telling, tracker))
        for name, tracker in there.items():
            self._try(name, tracker.close)

    def _made(self, name: str, make: Callable[[], Tracker]) -> Tracker | None:
        made: list[Tracker] = []
        self._try(name, lambda: made.append(make()))
        return made[0] if made else None

    def _try(self, name: str, step: Callable[[], object]) -> None:
        """The one place where whatever a tracker raises ends."""
        try:
            step()
        except Exception as error:
            told = " ".join(str(error).split())[:500]
            self._fail(f"{name} is not told ({type(error).__name__}: {told}); training goes on")

    def _fail(self, why: str) -> None:
        self._failures += 1
        log.warning("%s", why)


def open_tracker(settings: Settings, *, installed: Callable[[str], object] = find_spec) -> Tracker:
    """Everything that is asked for; one that tells nobody where nothing is.

    Raises UserError when a package is missing.
    """
    others: dict[str, Callable[[], Tracker]] = {}
    if directory := settings.trainer.tensorboard_dir:
        _check(installed, "tensorboard", f"STREAMREC_TRAINER_TENSORBOARD_DIR={directory}")
        others["TensorBoard"] = lambda: _tensorboard(Path(directory))
    kind = settings.trainer.tracker
    if kind is not TrackerKind.NONE:
        _check(installed, kind.value, f"STREAMREC_TRAINER_TRACKER={kind.value}")
        others[kind.value] = _MAKERS[kind]
    return BackgroundTracker(others) if others else Tracker()


def _check(installed: Callable[[str], object], package: str, asked: str) -> None:
    if not installed(package):
        raise UserError(
            f"{asked} is set but {package} is not installed: "
            f"`pip install 'streamrec[{package}]'`, or unset it"
        )


def _tensorboard(directory: Path) -> Tracker:
    from streamrec.infra.tracking.tensorboard_curves import TensorBoardCurves  # noqa: PLC0415

    return TensorBoardCurves(directory)


def _mlflow() -> Tracker:
    from streamrec.infra.tracking.mlflow_runs import MlflowRuns  # noqa: PLC0415 - an extra

    return MlflowRuns()


def _wandb() -> Tracker:
    from streamrec.infra.tracking.wandb_runs import WandbRuns  # noqa: PLC0415 - an extra

    return WandbRuns()


_MAKERS: Mapping[TrackerKind, Callable[[], Tracker]] = {
    TrackerKind.MLFLOW: _mlflow,
    TrackerKind.WANDB: _wandb,
}
