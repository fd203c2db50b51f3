"""The frozen values that travel on the topics.

Knows what an interaction, an item, a request and a recommendation are.
Does not know how they are encoded (``infra.wire.codec``), stored or scored.

Units: every ``*_ms`` is milliseconds since the Unix epoch. ``occurred_at_ms`` is event
time, said by the producer; ``produced_at_ms`` is the Kafka record's timestamp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What a user did: with an item, with words, or with what is known of them."""

    VIEW = "view"
    CLICK = "click"
    LIKE = "like"
    DISLIKE = "dislike"
    PURCHASE = "purchase"
    PLAY = "play"
    FORGET = "forget"
    """What is known of the user is to be forgotten (``core.state.fold``)."""
    SEARCH = "search"
    """Asked in words: ``query``."""
    REPLY = "reply"
    """Was answered in words: ``reply_id``, and what its writer logged. Only we write it."""
    ACCEPT = "accept"
    REJECT = "reject"
    """What the user thought of the reply ``reply_id``."""


WITH_ITEM = frozenset({Kind.VIEW, Kind.CLICK, Kind.LIKE, Kind.DISLIKE, Kind.PURCHASE, Kind.PLAY})
"""Done with an item. The others name none, and count for none."""
WITH_REPLY = frozenset({Kind.REPLY, Kind.ACCEPT, Kind.REJECT})
NOT_FROM_OUTSIDE = frozenset({Kind.FORGET, Kind.REPLY})
"""Kinds that streamrec itself writes."""
POSITIVE_KINDS = frozenset({Kind.CLICK, Kind.LIKE, Kind.PURCHASE})
PLAY_THRESHOLD = 0.5
"""A play counts as accepted from this fraction on."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """One thing one user did. Topic ``events``, key user_id."""

    event_id: str
    user_id: str
    item_id: str  # "" when the kind is none of WITH_ITEM
    kind: Kind
    occurred_at_ms: int
    value: float | None = None  # play fraction in [0, 1], or a rating
    impression_id: str | None = None  # shared by the views shown together, and their clicks
    position: int | None = None  # 0-based slot in the impression
    recommendation_id: str | None = None  # the recommendation it came from, if any
    query: str | None = None  # the words that led to it; of a search, those it asked with
    reply_id: str | None = None  # the reply that it is about, or came from
    conversation_id: str | None = None
    reply_log: str | None = None  # of a reply: what it can be learned from (``tasks.replies``)

    @property
    def with_item(self) -> bool:
        """Whether it was done with an item."""
        return self.kind in WITH_ITEM

    @property
    def accepted(self) -> bool:
        """Whether this is a positive outcome: click, like, purchase, or a long enough play."""
        if self.kind is Kind.PLAY:
            return (self.value or 0.0) >= PLAY_THRESHOLD
        return self.kind in POSITIVE_KINDS


@dataclass(frozen=True, slots=True)
class Variant:
    """A wording of an item: it may be shown with this title and text instead."""

    variant_id: str
    title: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One catalogue entry. Topic ``items``, key item_id; a null value removes it."""

    item_id: str
    title: str
    text: str = ""
    categories: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    available: bool = True
    variants: tuple[Variant, ...] = ()  # wordings that are tried; the first is as good as any


class Source(NamedTuple):
    """One partition of one source topic. ``topic`` is the short name: "events" or "items"."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


@dataclass(frozen=True, slots=True)
class UserUpdate:
    """ "This user's state changed": topic ``user-updates``, key user_id."""

    user_id: str
    item_id: str
    kind: Kind
    partition: int  # source partition and offset of the event
    offset: int
    occurred_at_ms: int
    produced_at_ms: int
    applied_at_ms: int


@dataclass(frozen=True, slots=True)
class Filters:
    """Hard constraints of a request: an item failing one is never returned."""

    categories: tuple[str, ...] = ()  # any of these, when given
    exclude_items: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)  # all of these, exactly


@dataclass(frozen=True, slots=True)
class Request:
    """An explicit request for recommendations. Topic ``requests``, key user_id."""

    request_id: str
    user_id: str
    requested_at_ms: int
    k: int = 10
    query: str | None = None
    filters: Filters = Filters()
    candidates: tuple[str, ...] = ()  # rank only these, when given
    reply: bool = False  # whether words about the list are wanted, too
    context: tuple[str, ...] = ()  # what was said before in the conversation, oldest first
    conversation_id: str | None = None
    reasons: str = ""  # REASONS_IN_WORDS: a sentence beside each item
    unknown: tuple[str, ...] = field(default=(), compare=False)  # fields that nobody knows here


REASONS_IN_WORDS = "text"

EXPLORED = "explore"
"""Reason of an item that was drawn, not ranked, into its slot."""


@dataclass(frozen=True, slots=True)
class RecommendedItem:
    item_id: str
    probability: float  # calibrated P(accept | shown)
    propensity: float = 1.0  # probability that the policy shows it in this list
    reason: str = ""
    variant_id: str | None = None  # the wording it is to be shown with; None: as it is
    variant_propensity: float = 1.0  # probability that this wording was drawn
    reason_text: str | None = None  # one sentence, where that was asked for and one is true


class Trigger(StrEnum):
    USER_UPDATE = "user-update"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A ranked list and everything needed to say where it came from.

    Topic ``recommendations``, key user_id. ``recommendation_id`` is made from the trigger,
    so a repeated delivery carries the same id and a consumer can drop it.
    """

    recommendation_id: str
    user_id: str
    items: tuple[RecommendedItem, ...]
    generation: str
    trained_through: Mapping[str, int]  # source partition (as text) -> next offset not trained
    trigger: Trigger
    trigger_id: str  # "<partition>-<offset>" of the event, or the request_id
    triggered_at_ms: int  # Kafka timestamp of the event or request
    state_position: int  # next event offset of the user's partition that the state includes
    served_at_ms: int
    worker_id: str
    reply: str | None = None
    query: str | None = None  # of the request, where a reply is wanted
    conversation_id: str | None = None
    wants_reply: bool = False  # words about it follow on the topic ``replies``
    understood: str | None = None  # what the query was read as, in words


@dataclass(frozen=True, slots=True)
class ReplyMessage:
    """What is said about a list. Topic ``replies``, key user_id.

    ``reply_id`` is made from the recommendation_id, so a repeated delivery carries the same. Each
    message replaces those of its ``reply_id`` with a smaller ``sequence``: it has the whole text
    so far.
    """

    reply_id: str
    user_id: str
    recommendation_id: str
    trigger_id: str  # the request_id
    conversation_id: str | None
    sequence: int
    final: bool
    text: str
    items: tuple[str, ...]  # of the list, those that the text names
    history_items: tuple[str, ...]  # of the user's history, likewise
    triggered_at_ms: int  # Kafka timestamp of the request
    written_at_ms: int
    worker_id: str
    generation: str | None = None  # who wrote it; None: a template
    fallback: str | None = None  # why a template speaks
    plan: str | None = None  # how it was to be said
    understood: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A refused input, whole. Topic ``dead-letter``, key: the original key."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    code: str
    reason: str
    refused_at_ms: int
