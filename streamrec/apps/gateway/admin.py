"""``/v1/admin``: what is released, and back. Every change is a control record that names the key.

What is asked of Kafka, Redis and the registry blocks, so it runs in threads, with connections of
its own. A change that is under way goes on when its caller hangs up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Query
from fastapi.security import HTTPBearer
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from streamrec.apps import dead_letter_fields, release_fields, releases
from streamrec.apps.dead_letters import dead_letters as opened
from streamrec.apps.dead_letters import resend_each, resender
from streamrec.apps.gateway.context import Context
from streamrec.apps.gateway.roles import Admin
from streamrec.apps.gateway.schemas import WhyAnswer
from streamrec.core.access import ApiKey
from streamrec.core.dead_letters import DeadLetterRecord, DeadLetterSelection, parse_name
from streamrec.errors import UserError
from streamrec.infra.http.problems import responses

MANY = 1_000
NAMED = 20
"""Dead letters that a control record names one by one."""

KEY = HTTPBearer(scheme_name="key", description="of `streamrec keys api new`", auto_error=False)
"""For OpenAPI alone; who calls is found by ``roles``."""

router = APIRouter(prefix="/v1/admin", tags=["admin"], dependencies=[Depends(KEY)])

Why = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=1000),
    Field(description="the reason, kept in the control log"),
]
Named = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Answer = Mapping[str, Any]


def _letter(name: str) -> str:
    """Raises ValueError for what names no dead letter."""
    try:
        parse_name(name)
    except UserError as error:
        raise ValueError(str(error)) from None
    return name


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid")

    why: Why


class AskedRollback(_Change):
    """Back to the champion before, or to a former one."""

    to: Named | None = None


class AskedPin(_Change):
    """The champion stays; with a name, only if it is that one."""

    generation: Named | None = None


class AskedUnpin(_Change):
    """New generations are activated again."""


class AskedResend(_Change):
    """Refused messages go to their topic again, as they were: these, or all of a code that were not
    yet."""

    ids: Annotated[list[Annotated[str, AfterValidator(_letter)]], Field(max_length=MANY)] = []
    code: str = ""

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.ids) == bool(self.code):
            raise ValueError("give ids, as the list of dead letters names them, or a code")
        return self


class SwapAnswer(BaseModel):
    """A change of what answers, and which serving workers have confirmed it, in milliseconds."""

    generation: str
    revision: int
    confirmed_ms: dict[str, int]
    refused: dict[str, str]
    silent: list[str]
    problem: str


class PinAnswer(BaseModel):
    champion: str | None
    pinned: bool


class ResendAnswer(BaseModel):
    """Where each stands now, and why the others were not sent."""

    resent: list[dict[str, Any]]
    not_resent: list[dict[str, str]]


@router.get("/generations", responses=responses(503))
def generations(context: Context, _: Admin) -> Answer:
    """Every generation, newest first, and what became of each: `streamrec adapters list --json`."""
    return release_fields.slot_fields(releases.slot(context.settings))


@router.get("/generations/{generation}", responses=responses(404, 409, 422, 503))
def generation(generation: Named, context: Context, _: Admin) -> Answer:
    """One: its lineage, its gate's numbers and what was done to it: `adapters show --json`."""
    found = releases.seen(context.settings, generation)
    return release_fields.manifest_fields(found.manifest, found.records)


@router.post("/rollback", responses=responses(404, 409, 422, 503))
def rollback(asked: AskedRollback, context: Context, key: Admin) -> SwapAnswer:
    """Go back, at once, and pin: answers when every serving worker has confirmed."""
    report = releases.rollback(context.settings, asked.why, asked.to or "", actor=actor(key))
    return SwapAnswer(**release_fields.swap_fields(report))


@router.post("/pin", responses=responses(404, 409, 422, 503))
def pin(asked: AskedPin, context: Context, key: Admin) -> PinAnswer:
    """Keep the champion until somebody unpins."""
    state = releases.pin(context.settings, asked.why, asked.generation or "", actor=actor(key))
    return PinAnswer(**release_fields.state_fields(state))


@router.post("/unpin", responses=responses(409, 422, 503))
def unpin(asked: AskedUnpin, context: Context, key: Admin) -> PinAnswer:
    """Let the trainer activate new generations again."""
    state = releases.unpin(context.settings, asked.why, actor=actor(key))
    return PinAnswer(**release_fields.state_fields(state))


@router.get("/why/{recommendation_id}", responses=responses(404, 422, 503))
async def why(recommendation_id: Named, context: Context, _: Admin) -> WhyAnswer:
    """What an answer was made from, whosever it is: `streamrec why --json`."""
    return WhyAnswer(**await context.explanations.why(recommendation_id))


@router.get("/dead-letters", responses=responses(422, 503))
def dead_letters(
    context: Context,
    _: Admin,
    code: str = "",
    limit: Annotated[int, Query(ge=1, le=MANY)] = 20,
) -> Answer:
    """What was refused and why, newest first; all are counted, whatever the limit."""
    with opened(context.settings) as found:
        letters = found.chosen(DeadLetterSelection(code=code))
        newest = list(reversed(deque(letters, limit)))
        return dead_letter_fields.listed(letters, newest, found.ledger.all())


@router.post("/dead-letters/resend", responses=responses(404, 409, 422, 503))
def resend(asked: AskedResend, context: Context, key: Admin) -> ResendAnswer:
    """Send refused messages again; what would be refused again, or was resent before, is not."""
    names = [parse_name(name) for name in asked.ids]
    with opened(context.settings) as found:
        if names:
            letters = [found.find(name) for name in names]
        else:
            letters = found.not_yet(found.chosen(DeadLetterSelection(code=asked.code)))
        if letters:
            releases.note(context.settings, _noted(letters, asked), actor(key))
        with resender(context.settings, found.ledger, actor(key)) as sender:
            sent, problems = resend_each(sender, letters)
    return ResendAnswer(**dead_letter_fields.outcome(sent, problems))


def actor(key: ApiKey) -> str:
    """As the control log names it."""
    return f"key:{key.name}"


def _noted(letters: list[DeadLetterRecord], asked: AskedResend) -> str:
    named = ", ".join(str(letter.position) for letter in letters[:NAMED])
    more = f" and {len(letters) - NAMED} more" if len(letters) > NAMED else ""
    which = f" of code {asked.code}" if asked.code else ""
    return f"resends {len(letters)} dead letters{which} ({named}{more}): {asked.why}"
