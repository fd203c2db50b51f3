"""What is asked and answered, as OpenAPI has it. Limits of fields are the topics' own."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from streamrec.infra.wire.checks import MAX_ID_BYTES, MAX_K

MAX_WAIT_S = 30.0

Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID_BYTES)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AskedFilters(_Body):
    """An item that fails one is never returned."""

    categories: list[str] = Field(default=[], description="any of these, when given")
    exclude_items: list[Id] = []
    attributes: dict[str, str] = Field(default={}, description="all of these, exactly")


class AskedList(_Body):
    """A wish for recommendations."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user_id": "ann", "k": 5, "query": "a quiet film"}]}
    )

    user_id: Id = Field(description="who is asking; may be unknown")
    k: int = Field(10, ge=1, le=MAX_K, description="items wanted")
    query: str | None = Field(None, description="text the items should match")
    filters: AskedFilters = AskedFilters()
    candidates: list[Id] = Field([], description="rank only these, when given")
    wait_s: float = Field(2.0, ge=0, le=MAX_WAIT_S, description="seconds to wait for the answer")


class AnsweredItem(BaseModel):
    item_id: str
    title: str
    probability: float
    propensity: float
    reason: str
    variant_id: str | None
    variant_propensity: float


class AnsweredList(BaseModel):
    """A ranked list and where it came from."""

    recommendation_id: str
    user_id: str
    items: list[AnsweredItem]
    generation: str
    trained_through: dict[str, int]
    trigger: str
    trigger_id: str
    triggered_at_ms: int
    state_position: int
    served_at_ms: int
    worker_id: str
    reply: str | None


class Health(BaseModel):
    status: str
    worker_id: str
