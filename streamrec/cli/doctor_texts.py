"""What ``doctor`` says of the catalogue's language and the language model that reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from streamrec.cli.doctor import CheckResult, Finding
from streamrec.core.events import Item
from streamrec.settings import EncoderSettings, Settings

SAMPLED = 300
MOST = 0.5


def language(settings: Settings) -> Iterator[Finding]:
    """Nothing while there are no items. Raises EncoderUnavailable, Unavailable."""
    from streamrec.apps import clients

    named = (item for item in clients.catalogue_items(settings).values() if item.title)
    yield from language_of(settings.encoder, list(islice(named, SAMPLED)))


def language_of(encoder: EncoderSettings, items: Sequence[Item]) -> Iterator[Finding]:
    """The same, of these. Raises EncoderUnavailable."""
    from streamrec.models.item_index import item_text
    from streamrec.models.tokenizer_fit import poorly_read

    if not items:
        return
    share, model = poorly_read(encoder, [item_text(item) for item in items]), encoder.model
    if share < MOST:
        yield Finding("language", CheckResult.OK, f"{model} knows the words of the catalogue")
        return
    detail = f"{model} spells {share:.0%} of the catalogue's texts in single or unknown letters"
    remedy = "take a model of that language: docs/languages.md"
    yield Finding("language", CheckResult.NOTE, detail, remedy)
