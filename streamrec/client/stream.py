"""Server-sent events, line by line. Knows the format alone; comments are heartbeats."""

from __future__ import annotations


class EventLines:
    """Fed with lines; gives the data of each ``recommendation`` that is complete."""

    def __init__(self, wanted: str = "recommendation") -> None:
        self._wanted = wanted
        self._name, self._data = "", list[str]()

    def take(self, line: str) -> str:
        """The data that this line completes, mostly empty."""
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            self._name = value
        elif name == "data":
            self._data.append(value)
        return ""

    def _complete(self) -> str:
        name, data = self._name, "\n".join(self._data)
        self._name, self._data = "", []
        return data if name == self._wanted else ""
