"""Which item a record of the items topic is about: what its key says, and what its value says.

Knows that both must agree: a null value removes the item that the key names, so a key that names
another would remove nothing, or the wrong one. Does not know how keys are written.
"""

from __future__ import annotations

from collections.abc import Callable

from streamrec.core import topics
from streamrec.core.events import Item
from streamrec.errors import InvalidField, Malformed
from streamrec.ports import Codec

Known = Callable[[str], bool]
"""Whether the catalogue has an item of this id."""


def item_of(codec: Codec, known: Known, key: bytes | None, value: bytes | None) -> Item:
    """The item as it is now; not available when it is removed.

    Raises Refused: one of both cannot be read, or they do not agree.
    """
    item = None if value is None else codec.decode(topics.ITEMS, value)
    ids = codec.ids(key) if key else ()
    if isinstance(item, Item) and item.item_id:
        if ids and item.item_id not in ids:
            raise InvalidField(
                f"the key is {ids[-1]!r} but item_id {item.item_id!r}; expected the key to be the "
                "item's id: a null value removes the item that its key names"
            )
        return item
    if not ids:
        raise Malformed("neither key nor value; a null value removes the item named by the key")
    return Item(ids[0] if known(ids[0]) else ids[-1], "", available=False)
