"""``dead-letter …``: what consumers refused, why, and sending it again."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamrec.cli.console import JsonOption, out, print_errors, print_json, say
from streamrec.core.dead_letters import (
    DeadLetterPosition,
    DeadLetterRecord,
    DeadLetterSelection,
    parse_age_ms,
    parse_name,
)
from streamrec.errors import UserError

if TYPE_CHECKING:
    from streamrec.apps.dead_letters import DeadLetters
    from streamrec.core.dead_letters import Resent

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="LETTER", help="PARTITION:OFFSET of the dead letter, or TOPIC:PARTITION:OFFSET."
    ),
]
TopicOption = Annotated[str, typer.Option(help="Only messages of this topic.")]
CodeOption = Annotated[str, typer.Option(help="Only dead letters of this code.")]
SinceOption = Annotated[str, typer.Option(help="Only the last 30s, 15m, 2h or 7d.")]


def register(app: typer.Typer) -> None:
    """Add these commands to ``app``."""
    group = typer.Typer(
        help="See what was refused and why, and send it again.", no_args_is_help=True
    )
    group.command("list")(list_letters)
    for command in (show, resend):
        group.command()(command)
    app.add_typer(group, name="dead-letter", rich_help_panel="Feed and ask")


def list_letters(
    *,
    topic: TopicOption = "",
    code: CodeOption = "",
    since: SinceOption = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Dead letters shown.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List what was refused, newest first, and count it by topic and code.

    All dead letters that fit are counted, whatever the limit. The column `resent` says where a
    dead letter's message stands now, or which dead letter this one is the second refusal of.

    \b
    streamrec dead-letter list --since 2h
    streamrec dead-letter list --topic events --code invalid-field --json
    """
    from streamrec.apps import dead_letter_fields as fields
    from streamrec.apps.clients import located
    from streamrec.apps.dead_letters import dead_letters
    from streamrec.cli import dead_letter_view as view
    from streamrec.infra.clock import SystemClock

    now_ms = SystemClock().now_ms()
    with dead_letters(located()) as found:
        letters = _chosen(found, topic, code, since, now_ms)
        ledger = found.ledger.all()
    newest = list(reversed(deque(letters, limit)))
    if as_json:
        print_json(fields.listed(letters, newest, ledger))
        return
    if not letters:
        narrowed = topic or code or since
        say("no dead letter fits" if narrowed else "no dead letters: nothing was refused")
        return
    out.print(view.listing(newest, ledger, now_ms))
    out.print(view.tally(letters))
    if len(newest) < len(letters):
        say(f"{len(newest):,} of {len(letters):,} shown; --limit shows more")


def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show one dead letter: the reason, the value, and what to do about it.

    \b
    streamrec dead-letter show 0:17
    streamrec dead-letter show events:2:1044
    """
    from streamrec.apps import dead_letter_fields as fields
    from streamrec.apps.clients import located
    from streamrec.apps.dead_letters import dead_letters
    from streamrec.cli import dead_letter_view as view
    from streamrec.infra.clock import SystemClock

    wanted = parse_name(name)
    with dead_letters(located()) as found:
        letter, ledger = found.find(wanted), found.ledger.all()
    if as_json:
        print_json(fields.fields(letter, ledger))
    else:
        out.print(view.detail(letter, ledger, SystemClock().now_ms()), soft_wrap=False)


def resend(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[LETTER]…", help="As `list` names them.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that fit and were not yet.")] = False,
    topic: TopicOption = "",
    code: CodeOption = "",
    since: SinceOption = "",
    edit: Annotated[bool, typer.Option("--edit", help="Open the value in $EDITOR first.")] = False,
    value_file: Annotated[Path | None, typer.Option(help="Send this file's bytes instead.")] = None,
    key: Annotated[str | None, typer.Option(help="Send with this key instead.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Even if it was resent before.")] = False,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Even if it would be refused again.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send refused messages to their topic again, as they were or mended.

    What would be refused again is not sent, and nothing is sent twice unless you insist.
    A message sent again says so in its headers; if it is refused again, `list` and `show`
    link the two dead letters.

    \b
    streamrec dead-letter resend 0:17
    streamrec dead-letter resend events:2:1044 --edit
    streamrec dead-letter resend 0:17 --value-file mended.json --key ann
    streamrec dead-letter resend --all --code unknown-schema --yes
    """
    from streamrec.apps.clients import located
    from streamrec.apps.dead_letters import dead_letters, resend_each, resender
    from streamrec.infra.clock import SystemClock
    from streamrec.loop.ingesting.resend import Change

    mends = edit or value_file is not None or key is not None
    if bool(names) == every:
        raise UserError("name the letters to resend, or say --all (and which: --code, --topic)")
    if mends and (every or len(names or []) != 1):
        raise UserError("--edit, --value-file and --key mend one letter: name exactly one")
    settings, wanted = located(), [parse_name(name) for name in names or []]
    with dead_letters(settings) as found:
        if every:
            letters = found.not_yet(_chosen(found, topic, code, since, SystemClock().now_ms()))
        else:
            letters = [found.find(name) for name in wanted]
        change = Change(
            _mended(letters[0], edit, value_file) if mends else None,
            None if key is None else key.encode(),
        )
        if every and not yes and not _confirmed(letters):
            say("nothing was sent")
            raise typer.Exit(1)
        with resender(settings, found.ledger) as sender:
            sent, problems = resend_each(sender, letters, change, again=again, check=not unchecked)
    _tell(sent, problems, as_json)


def _chosen(
    found: DeadLetters, topic: str, code: str, since: str, now_ms: int
) -> list[DeadLetterRecord]:
    choice = DeadLetterSelection(topic, code, now_ms - parse_age_ms(since) if since else 0)
    return found.chosen(choice)


def _mended(letter: DeadLetterRecord, edit: bool, value_file: Path | None) -> bytes | None:
    from streamrec.apps.dead_letter_fields import as_text
    from streamrec.cli.dead_letter_view import body
    from streamrec.cli.editor import edited

    if value_file is not None:
        try:
            return value_file.read_bytes()
        except OSError as error:
            raise UserError(f"{value_file}: {error.strerror}") from None
    if not edit:
        return None
    if as_text(letter.value.value) is None:
        raise UserError(f"{letter.position}: its value is not text; mend it with --value-file")
    before = body(letter.value.value)
    after = edited(before, ".json")
    if after.strip() == before.strip():
        raise UserError("the editor was left without a change: nothing was sent")
    return after.strip().encode()


def _confirmed(letters: list[DeadLetterRecord]) -> bool:
    from streamrec.cli.dead_letter_view import tally

    if not letters:
        return True
    out.print(tally(letters))
    return typer.confirm(f"resend {len(letters):,} messages?", err=True)


def _tell(sent: list[Resent], problems: dict[DeadLetterPosition, str], as_json: bool) -> None:
    from streamrec.apps.dead_letter_fields import outcome

    if as_json:
        print_json(outcome(sent, problems))
    else:
        print_errors(problems.values())
        for one in sent:
            out.print(f"{one.letter} is now {one.to}")
        if not sent and not problems:
            say("nothing to resend: no letter fits that was not resent before")
    if problems:
        raise typer.Exit(1)
