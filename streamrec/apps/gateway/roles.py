"""Who calls, and whether they may: a parameter of every route but those of health.

Whose key it is, the context says (``GatewayContext.identify``); what a key may do, ``core.access``.
"""

from __future__ import annotations

import logging
from typing import Annotated, Any

from fastapi import Depends, Request

from streamrec.apps.gateway.context import context_of
from streamrec.core.access import ApiKey, Role, check_role
from streamrec.core.printable import one_line

log = logging.getLogger(__name__)


def requires(role: Role) -> Any:
    """A parameter of a route: the key of its caller, who has ``role``. Raises AccessRefused."""

    async def caller(request: Request) -> ApiKey:
        found = context_of(request).identify(request)
        check_role(found, role)
        if role is Role.ADMIN:
            path = one_line(request.url.path)
            log.info("admin %s (%s): %s %s", found.name, found.key_id, request.method, path)
        return found

    return Depends(caller)


Reader = Annotated[ApiKey, requires(Role.READ)]
Writer = Annotated[ApiKey, requires(Role.WRITE)]
Admin = Annotated[ApiKey, requires(Role.ADMIN)]
