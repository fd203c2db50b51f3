"""Tests of wordings for the command line: what runs, how it stands, and ending one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from streamrec.apps import clients
from streamrec.core import topics
from streamrec.core.events import Item
from streamrec.core.variants.stopping import ArmsReport, report_of
from streamrec.core.variants.traffic import arms_of
from streamrec.core.variants.wording_rules import WordingRules
from streamrec.errors import UserError
from streamrec.infra.wire.kafka_topics import partition_counts
from streamrec.settings import CopySettings, Settings
from streamrec.tasks.ranking.lists.state_mirror import Mirror


class RunningTest(NamedTuple):
    """An item with several wordings, and how they do."""

    item: Item
    report: ArmsReport


def wording_rules(settings: CopySettings) -> WordingRules:
    """Raises UserError when the list of words cannot be read."""
    blocked: tuple[str, ...] = ()
    if settings.blocked_file:
        try:
            lines = Path(settings.blocked_file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"STREAMREC_COPY_BLOCKED_FILE={settings.blocked_file} cannot be read: {error}"
            ) from None
        blocked = tuple(line.strip() for line in lines if line.strip())
    return WordingRules(settings.max_chars, blocked)


def running(settings: Settings) -> list[RunningTest]:
    """Every item that carries variants, the most shown first. Raises Unavailable, UserError."""
    partitions = partition_counts(settings.kafka)
    if not partitions.get(topics.EVENTS) or not partitions.get(topics.ITEMS):
        raise UserError("there are no topics yet; `streamrec topics create` makes them")
    with clients.redis(settings) as redis:
        mirror = Mirror(clients.partition_store(settings, redis), partitions)
        mirror.refresh()
    found = []
    with mirror.view() as view:
        for row in range(len(view.catalogue)):
            item = view.catalogue.item(row)
            if len(item.variants) > 1:
                found.append(RunningTest(item, report_of(arms_of(item, view.tables(row)))))
    return sorted(found, key=lambda one: -sum(arm.views for arm in one.report.arms))


def running_of(settings: Settings, item_id: str) -> RunningTest:
    """Raises UserError when the item has no wordings to choose from."""
    found = next((one for one in running(settings) if one.item.item_id == item_id), None)
    if found is None:
        raise UserError(f"{item_id}: no such item, or it has fewer than two variants")
    return found


def stop(settings: Settings, item_id: str, winner: str) -> Item:
    """End a test: the item is published again with the winner's words and no variants.

    Raises UserError when there is no such variant.
    """
    item = running_of(settings, item_id).item
    chosen = next((one for one in item.variants if one.variant_id == winner), None)
    if chosen is None:
        known = ", ".join(one.variant_id for one in item.variants)
        raise UserError(f"{item_id} has no variant {winner!r}; it has {known}")
    ended = replace(item, title=chosen.title, text=chosen.text or item.text, variants=())
    publisher = clients.publisher(settings, "streamrec-cli")
    try:
        data = clients.codec(settings).encode(topics.ITEMS, ended)
        publisher.publish(topics.ITEMS, item_id.encode(), data)
        publisher.flush()
    finally:
        publisher.close()
    return ended
