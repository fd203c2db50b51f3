"""An encoder version on its way: its index is built aside while learning goes on.

Knows one encoder, the catalogue as it was when the encoder was copied, and the step of the
slow lane at which the index is asked for. That step is fixed beforehand, not when the
building happens to end: what the learner knows stays a function of the batches it was given,
whatever the machine was doing (docs/adr/0048). Does not know the head or who waits.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from streamrec.models.encoder import TextEncoder
from streamrec.models.item_index import ItemIndex, Rows, RowsThen


class Publication:
    """Begins to encode the catalogue at once, in a thread of its own."""

    def __init__(self, encoder: TextEncoder, catalogue: Rows, flip_step: int) -> None:
        """``encoder`` must not change any more."""
        self.encoder = encoder
        self.flip_step = flip_step
        self._index = ItemIndex(encoder)
        self._stop = threading.Event()
        with_thread = ThreadPoolExecutor(1, thread_name_prefix="index")
        self._built = with_thread.submit(self._index.ensure, RowsThen(catalogue), self._stop)
        with_thread.shutdown(wait=False)  # no further work; this one goes on

    def index(self) -> ItemIndex:
        """The finished index; waits for it.

        Raises:
            GenerationRefused: the encoder gives values that are not finite.
        """
        self._built.result()
        return self._index

    def abandon(self) -> None:
        """Nobody will ask for the index: its thread ends soon."""
        self._stop.set()
