"""Is this still the traffic we know? Raises an alarm when it is not, and takes it back.

Knows windows of traffic as numbers (``core.training.traffic``), what was usual over the last
calm ones, and a rule. Does not know what follows from an alarm (``stages.training.alarm``).

Every ``window`` examples make a window. A number is *strange* when it lies further from the
median of the reference windows than ``z`` times their scale (1.4826 × the median absolute
deviation, which a few odd windows do not move) and than what matters at all (``MATTERS``). A
stream that is full of bursts has a large scale; a quiet one a small one.

The alarm is raised when the same number is strange in ``confirm`` windows of the last three:
one burst is no attack. It ends after ``calm`` windows in a row with nothing
strange. While it lasts no window becomes reference: an attack does not become usual by going
on. What does become usual, a person can say (``accept``).

Until there are ``least`` reference windows nothing is strange.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from streamrec.core.examples import Example
from streamrec.core.training.traffic import CategoriesOf, Traffic

MATTERS = {
    "top_item": 0.06,
    "top_user": 0.10,
    "new_users": 0.15,
    "click_rate": 0.15,
    "agreement": 0.2,
    "categories": 0.04,
}
"""A smaller difference from the usual is nobody's business."""
DOWNWARD = frozenset({"click_rate", "agreement"})
"""Numbers of which more is no danger: that is what learning is for. Of the others, less."""
LOOK_BACK = 3


@dataclass(frozen=True, slots=True)
class ShiftRules:
    """``window`` in examples, the others in windows. ``window`` 0: no alarm."""

    window: int = 200
    reference: int = 50
    least: int = 8
    z: float = 6.0
    confirm: int = 2
    calm: int = 5


@dataclass(frozen=True, slots=True)
class Strange:
    """One number out of the usual."""

    name: str
    value: float
    usual: float
    scale: float

    def __str__(self) -> str:
        return f"{self.name} {self.value:.3f} instead of {self.usual:.3f} ±{self.scale:.3f}"


@dataclass(slots=True)
class _Window:
    numbers: dict[str, float]
    categories: Mapping[str, float]
    strange: tuple[Strange, ...] = ()


@dataclass(slots=True)
class ShiftWatch:
    """See the module."""

    rules: ShiftRules
    categories_of: CategoriesOf
    alarm: tuple[Strange, ...] = ()  # why, while there is one
    windows: int = 0
    calm: int = 0  # windows in a row with nothing strange
    newest: dict[str, float] = field(default_factory=dict)  # the numbers of the last window
    _traffic: Traffic = field(default_factory=Traffic)
    _reference: deque[_Window] = field(default_factory=deque)
    _recent: deque[_Window] = field(default_factory=deque)

    def observe(self, examples: Sequence[Example]) -> bool:
        """Take in examples, in order; whether the alarm was raised or ended by them."""
        before = bool(self.alarm)
        for example in examples if self.rules.window else ():
            self._traffic.add(example, self.categories_of)
            if self._traffic.examples >= self.rules.window:
                self._close()
        return bool(self.alarm) != before

    def accept(self) -> None:
        """Somebody says that this is usual now: the last windows are the reference."""
        self.alarm, self.calm = (), 0
        self._reference.clear()
        self._reference.extend(self._recent)
        self._recent.clear()

    def _close(self) -> None:
        traffic, self._traffic = self._traffic, Traffic()
        usual = self._usual_categories()
        window = _Window(traffic.numbers(usual), traffic.categories)
        window.strange = tuple(self._strange(window.numbers))
        self.windows += 1
        self.newest = window.numbers
        self.calm = 0 if window.strange else self.calm + 1
        self._recent.append(window)
        if self.alarm:
            self._maybe_end()
        else:
            self._maybe_raise()

    def _maybe_raise(self) -> None:
        newest = self._recent[-1].strange
        seen = Counter(s.name for window in list(self._recent)[-LOOK_BACK:] for s in window.strange)
        confirmed = tuple(s for s in newest if seen[s.name] >= self.rules.confirm)
        if confirmed:
            self.alarm = confirmed
            return
        while len(self._recent) >= LOOK_BACK:
            self._reference.append(self._recent.popleft())
        while len(self._reference) > self.rules.reference:
            self._reference.popleft()

    def _maybe_end(self) -> None:
        while len(self._recent) > self.rules.reference:
            self._recent.popleft()
        if self.calm >= self.rules.calm:
            self.alarm = ()
            calm = list(self._recent)[-self.rules.calm :]
            self._recent.clear()
            self._reference.extend(calm)

    def _usual_categories(self) -> dict[str, float]:
        total: Counter[str] = Counter()
        for window in self._reference:
            total.update(window.categories)
        return dict(total)

    def _strange(self, numbers: Mapping[str, float]) -> list[Strange]:
        if len(self._reference) < self.rules.least:
            return []
        found = []
        for name, value in numbers.items():
            before = [w.numbers[name] for w in self._reference if name in w.numbers]
            if len(before) < self.rules.least:
                continue
            usual = median(before)
            scale = 1.4826 * median(abs(x - usual) for x in before)
            away = usual - value if name in DOWNWARD else value - usual
            if away > max(self.rules.z * scale, MATTERS[name]):
                found.append(Strange(name, value, usual, scale))
        return found

    # -- resuming ---------------------------------------------------------------------

    def to_record(self) -> dict[str, Any]:
        """JSON-able; no user's name is in it. The window being filled is not kept."""
        return {
            "alarm": [[s.name, s.value, s.usual, s.scale] for s in self.alarm],
            "windows": self.windows,
            "calm": self.calm,
            "reference": [[w.numbers, dict(w.categories)] for w in self._reference],
        }

    def load(self, record: Mapping[str, Any]) -> None:
        """As ``to_record`` gave it."""
        self.alarm = tuple(Strange(*fields) for fields in record["alarm"])
        self.windows, self.calm = record["windows"], record["calm"]
        self._reference = deque(_Window(*fields) for fields in record["reference"])
