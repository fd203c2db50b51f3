"""Lists that need no model and nobody else: similar, popular, latest. They always answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query

from streamrec.apps.gateway.context import Context, GatewayContext
from streamrec.apps.gateway.roles import requires
from streamrec.apps.gateway.schemas import FallbackItems, ShelfItem
from streamrec.apps.gateway.shelf import Picked
from streamrec.core.access import Role
from streamrec.infra.http.problems import responses
from streamrec.infra.wire.checks import MAX_K

router = APIRouter(prefix="/v1", tags=["fallbacks"], dependencies=[requires(Role.READ)])

Wanted = Annotated[int, Query(ge=1, le=MAX_K, description="items wanted")]
Category = Annotated[str, Query(description="only items of it; empty: any")]
_ANSWERS = responses(422)


@router.get("/similar/{item_id}", responses=_ANSWERS)
async def similar(
    item_id: Annotated[str, Path(min_length=1)], context: Context, k: Wanted = 10
) -> FallbackItems:
    """Items like this one: chosen together with it, then of its categories and words, then popular
    ones."""
    return await _picked(context, lambda: context.shelf.similar(item_id, k))


@router.get("/popular", responses=_ANSWERS)
async def popular(context: Context, k: Wanted = 10, category: Category = "") -> FallbackItems:
    """What most people choose now."""
    return await _picked(context, lambda: context.shelf.popular(k, category))


@router.get("/latest", responses=_ANSWERS)
async def latest(context: Context, k: Wanted = 10, category: Category = "") -> FallbackItems:
    """What came into the catalogue, or changed there, last."""
    return await _picked(context, lambda: context.shelf.latest(k, category))


async def _picked(context: GatewayContext, pick: Callable[[], Picked]) -> FallbackItems:
    found = await asyncio.to_thread(pick)
    items = [
        ShelfItem(item_id=one.item_id, title=one.title, categories=list(one.categories))
        for one in found.items
    ]
    return FallbackItems(items=items, source=found.source, stale=bool(context.shelf.away))
