"""Who calls, and whether they may: a parameter of every route but those of health.

Whose key it is, the context says (``GatewayContext.identify``); what a key may do, ``core.access``.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from streamrec.apps.gateway.context import context_of
from streamrec.core.access import ApiKey, Role, check_role


def requires(role: Role) -> Any:
    """A parameter of a route: the key of its caller, who has ``role``. Raises AccessRefused."""

    async def caller(request: Request) -> ApiKey:
        found = context_of(request).identify(request)
        check_role(found, role)
        return found

    return Depends(caller)


Reader = Annotated[ApiKey, requires(Role.READ)]
Writer = Annotated[ApiKey, requires(Role.WRITE)]
Admin = Annotated[ApiKey, requires(Role.ADMIN)]
