"""What the gateway knows by itself: catalogue and statistics, as of the last time that Redis
answered. Whatever else is away, it answers from here.
"""

from __future__ import annotations

from collections.abc import Iterable

from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import Unavailable
from streamrec.tasks.ranking.lists.state_mirror import Mirror


class Shelf:
    """One thread calls ``refresh``, any other the rest.

    ``away``: why what is here may be old; empty: it is not.
    """

    def __init__(self) -> None:
        self.away = "the catalogue has not been read yet"
        self._mirror: Mirror | None = None

    def filled_by(self, mirror: Mirror) -> None:
        """Before the first ``refresh``."""
        self._mirror = mirror

    def refresh(self) -> None:
        """Raises Unavailable; what was known stays."""
        if self._mirror is None:
            return
        try:
            self._mirror.refresh()
        except Unavailable as error:
            self.away = str(error)
            raise
        self.away = ""

    @property
    def catalogue(self) -> Catalogue:
        return self._mirror.catalogue if self._mirror else Catalogue()

    def titles(self, item_ids: Iterable[str]) -> dict[str, str]:
        """By id; empty for an item that nobody has described. Never waits."""
        catalogue, found = self.catalogue, {}
        for item_id in item_ids:
            row = catalogue.row(item_id)
            item = None if row is None else catalogue.item(row)
            # a row may have been given to another item just now
            found[item_id] = item.title if item and item.item_id == item_id else ""
        return found
