"""Where the demo is seen: a live panel in a terminal, plain lines anywhere else."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

LINE_EVERY_S = 5.0
PANEL_EVERY_S = 0.25


class Screen:
    """A context manager around the time the panel is up; lines can be said at any time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._shown_s = float("-inf")

    def say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    @property
    def is_live(self) -> bool:
        """Whether a panel can be drawn."""
        return self._console.is_terminal

    def due(self, elapsed_s: float) -> bool:
        """Whether it is time to show something again."""
        every_s = PANEL_EVERY_S if self._live else LINE_EVERY_S
        if elapsed_s - self._shown_s < every_s:
            return False
        self._shown_s = elapsed_s
        return True

    def show(self, panel: RenderableType, line: str) -> None:
        """The panel where there is one, else the line."""
        if self._live:
            self._live.update(panel, refresh=True)
        else:
            self.say(line)

    def __enter__(self) -> Self:
        if self.is_live:
            self._live = Live(console=self._console, auto_refresh=False, transient=False)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()
            self._live = None
