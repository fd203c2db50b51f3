"""``request`` and ``recommendations tail``: what comes out of the loop."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from streamrec.cli.console import JsonOption, ago, out, print_json, say, table, words
from streamrec.core import topics
from streamrec.core.events import REASONS_IN_WORDS, Filters, Item, Recommendation, Request
from streamrec.errors import UserError

if TYPE_CHECKING:
    from streamrec.infra.wire.follower import Follower
    from streamrec.settings import Settings

FEED = "Feed and ask"


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    app.command("request", rich_help_panel=FEED)(request)
    group = typer.Typer(help="Read what is recommended.", no_args_is_help=True)
    group.command("tail")(tail)
    app.add_typer(group, name="recommendations", rich_help_panel=FEED)


def request(
    user: Annotated[str, typer.Argument(help="Who is asking; may be unknown.")],
    *,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=1000, help="Items wanted.")] = 10,
    query: Annotated[str, typer.Option(help="Text the items should match.")] = "",
    category: Annotated[list[str] | None, typer.Option(help="Any of these categories.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Never these items.")] = None,
    candidate: Annotated[list[str] | None, typer.Option(help="Rank only these items.")] = None,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="Say why in words, a sentence an item.")
    ] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the answer.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Ask for recommendations and print the answer.

    The request goes to the topic `requests`; the answer is read from `recommendations`.

    \b
    streamrec request ann
    streamrec request ann -k 5 --query "a quiet film" --category Drama
    streamrec request ann --candidate 12 --candidate 42
    """
    from streamrec.apps import clients, identities
    from streamrec.apps.answer_fields import as_fields
    from streamrec.infra.clock import SystemClock

    settings = clients.located()
    identities.check_pseudonyms(settings)
    asked = Request(
        request_id=f"cli-{uuid.uuid4().hex[:12]}",
        user_id=clients.known_as(settings, user),
        requested_at_ms=SystemClock().now_ms(),
        k=k,
        query=query or None,
        filters=Filters(categories=tuple(category or ()), exclude_items=tuple(exclude or ())),
        candidates=tuple(candidate or ()),
        reasons=REASONS_IN_WORDS if reasons else "",
    )
    answer = _ask(settings, asked, wait)
    if answer is None:
        raise UserError(
            f"no answer within {wait:g} s; is a serving worker up? `streamrec status` tells"
        )
    refused = answer.reply if (answer.reply or "").startswith("refused: ") else None
    if as_json:
        print_json(as_fields(answer))
    if refused:
        raise UserError(refused)
    if not as_json:
        _show(answer, clients.catalogue_items(settings))


def _ask(settings: Settings, asked: Request, wait_s: float) -> Recommendation | None:
    """Listen, then ask, then wait for the answer: none when it did not come in time."""
    from streamrec.apps import clients
    from streamrec.infra.wire.follower import Follower
    from streamrec.ports import Spans

    codec = clients.codec(settings)
    with (
        closing(clients.tracer(settings)) as tracer,
        closing(clients.publisher(settings, "streamrec-cli")) as publisher,
        Follower(settings.kafka, codec, [topics.RECOMMENDATIONS], "streamrec-cli") as answers,
    ):
        data = codec.encode(topics.REQUESTS, asked)
        with tracer.span(Spans.ASK, request=asked.request_id) as span:
            publisher.publish(topics.REQUESTS, asked.user_id.encode(), data, span.headers)
            publisher.flush()
            return _answer(answers, asked.request_id, wait_s)


def _answer(answers: Follower, request_id: str, wait_s: float) -> Recommendation | None:
    deadline = time.monotonic() + wait_s
    while (left_s := deadline - time.monotonic()) > 0:
        for message in answers.poll(min(left_s, 0.5)):
            found = message.value
            if isinstance(found, Recommendation) and found.trigger_id == request_id:
                return found
    return None


def _show(answer: Recommendation, items: Mapping[str, Item]) -> None:
    rows: list[tuple[object, ...]] = [
        (
            place,
            item.item_id,
            _title(items.get(item.item_id)),
            f"{item.probability:.1%}",
            item.reason_text or item.reason,
        )
        for place, item in enumerate(answer.items, start=1)
    ]
    columns = ["#>", "item", "title", "P(accept)>", "why"]
    if not any(item.reason for item in answer.items):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    title = f"for {answer.user_id} by {answer.generation}"
    out.print(table(title, columns, rows))
    if answer.reply:
        out.print(answer.reply)
    elif not answer.items:
        say("the list is empty, though something could be in it: `streamrec adapters list`")
    waited = ago(answer.served_at_ms - answer.triggered_at_ms)
    say(f"answered in {waited} by {answer.worker_id}; streamrec why {answer.recommendation_id}")


def _title(item: Item | None) -> str:
    return item.title if item else ""


def tail(
    user: Annotated[str, typer.Option(help="Only this user's.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="Stop after so many.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Print recommendations as they are published; Ctrl-C ends it.

    \b
    streamrec recommendations tail --user ann
    streamrec recommendations tail --json | jq .generation
    """
    from streamrec.apps import clients
    from streamrec.infra.wire.follower import Follower

    settings = clients.located()
    user = clients.known_as(settings, user)
    codec, printed = clients.codec(settings), 0
    with Follower(settings.kafka, codec, [topics.RECOMMENDATIONS], "streamrec-cli") as follower:
        while not limit or printed < limit:
            for message in follower.poll(1.0):
                found = message.value
                if not isinstance(found, Recommendation) or user not in ("", found.user_id):
                    continue
                _print_one(found, as_json)
                printed += 1
                if printed == limit:
                    break


def _print_one(found: Recommendation, as_json: bool) -> None:
    if as_json:
        from streamrec.apps.answer_fields import as_fields

        print_json(as_fields(found), one_line=True)
        return
    ids: Sequence[str] = [item.item_id for item in found.items]
    waited_ms = found.served_at_ms - found.triggered_at_ms
    line = (
        f"{found.user_id}  {found.generation}  {waited_ms} ms after {found.trigger} "
        f"{found.trigger_id}:  {' '.join(ids)}"
    )
    out.print(words(line), soft_wrap=True)
