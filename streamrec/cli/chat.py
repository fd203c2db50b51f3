"""``chat``: a conversation with the loop, in a terminal or a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from streamrec.cli.console import out, say, table, words

if TYPE_CHECKING:
    from streamrec.apps.conversation import Conversation
    from streamrec.core.events import Item, Recommendation, ReplyMessage

QUIT, YES, NO = "/quit", "+", "-"
HELP = f"{YES} accepts the reply, {NO} rejects it, a number takes that item, {QUIT} ends it"


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    app.command(rich_help_panel="Feed and ask")(chat)


def chat(
    user: Annotated[str, typer.Argument(help="Who is asking; may be unknown.")],
    *,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=9, help="Items wanted.")] = 5,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for an answer.")] = 15.0,
) -> None:
    """Ask in words; get a list, and a reply in words. What you do with it is learned from.

    A line is a question. + accepts the reply, - rejects it, a number takes that item of the list,
    /quit ends it.

    \b
    streamrec chat ann
    printf 'a quiet film\\n+\\n/quit\\n' | streamrec chat ann
    """
    from streamrec.apps import clients, identities
    from streamrec.apps.conversation import Conversation

    settings = clients.located()
    identities.check_pseudonyms(settings)
    read = _reader()
    with Conversation(settings, clients.known_as(settings, user)) as conversation:
        say(HELP)
        chatted = _Chat(conversation, lambda: clients.catalogue_items(settings), k, wait)
        while (line := read()) is not None and line != QUIT:
            if line:
                chatted.hear(line)


def _reader() -> Callable[[], str | None]:
    """The next line; None at the end. In a terminal + and - need no Enter."""
    if not sys.stdin.isatty():
        return lambda: line.strip() if (line := sys.stdin.readline()) else None
    from streamrec.cli.one_key import read_line

    return lambda: read_line("> ", {YES, NO})


class _Chat:
    """The last list and reply of a conversation, and what a line does with them."""

    def __init__(
        self,
        conversation: Conversation,
        items: Callable[[], dict[str, Item]],
        k: int,
        wait_s: float,
    ) -> None:
        self._conversation, self._items, self._k, self._wait_s = conversation, items, k, wait_s
        self._list: Recommendation | None = None
        self._reply: ReplyMessage | None = None

    def hear(self, line: str) -> None:
        if line in (YES, NO):
            self._judge(line)
        elif line.isdecimal() and self._list is not None:
            self._take(int(line))
        else:
            self._ask(line)

    def _ask(self, query: str) -> None:
        self._reply = None
        self._list = self._conversation.ask(query, self._k, self._wait_s)
        if self._list is None:
            say(f"no list within {self._wait_s:g} s; is a serving worker up? `streamrec status`")
            return
        _show(self._list, self._items())
        self._reply = self._conversation.reply(self._list, self._wait_s, _Spoken().hear)
        if self._reply is None:
            say("no reply in words; is a replies worker up? `streamrec worker replies`")
            return
        out.print()
        said_by = self._reply.generation or f"a template ({self._reply.fallback})"
        say(f"said by {said_by}")

    def _judge(self, line: str) -> None:
        from streamrec.core.events import Kind

        if self._reply is None:
            say("there is no reply yet to think something of")
            return
        kind = Kind.ACCEPT if line == YES else Kind.REJECT
        self._conversation.judge(self._reply, kind)
        say("accepted" if kind is Kind.ACCEPT else "rejected")

    def _take(self, number: int) -> None:
        listed = self._list.items if self._list else ()
        if self._list is None or not 1 <= number <= len(listed):
            say(f"there is no item {number}")
            return
        item_id = listed[number - 1].item_id
        self._conversation.take(item_id, self._list, self._reply)
        say(f"took {item_id}")


class _Spoken:
    """What was said so far: a text that goes on is gone on with, on its line."""

    def __init__(self) -> None:
        self._text = ""

    def hear(self, text: str) -> None:
        if not text.startswith(self._text):
            out.print()  # it is taken back: others are said instead
            self._text = ""
        out.print(words(text.removeprefix(self._text)), soft_wrap=True, end="")
        self._text = text


def _show(found: Recommendation, items: dict[str, Item]) -> None:
    rows = [
        (place, items[one.item_id].title if one.item_id in items else one.item_id, one.reason)
        for place, one in enumerate(found.items, 1)
    ]
    if rows:
        out.print(table("", ["#>", "title", "why"], rows))
    if found.understood:
        say(f"understood: {found.understood}")
    if found.reply:
        out.print(words(found.reply))
