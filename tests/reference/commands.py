"""Every command, with its options, as typer knows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import typer

from streamrec.cli.app import app
from tests.reference.markdown import code, page, plain, table

INTRO = """\
`streamrec COMMAND --help` says the same in a terminal. Exit codes: 0, it was done; 1, it could not
be done, and one line on stderr says why; 2, the command line, a setting or a file is wrong; others
are named at their command. Settings: [configuration](../configuration.md).
"""


def commands_page() -> str:
    """docs/reference/cli.md"""
    return page("Commands", INTRO, *(section(*found) for found in leaves(tree(), "streamrec")))


def tree() -> Any:
    return typer.main.get_command(app)


def leaves(command: Any, name: str) -> Iterator[tuple[Any, str]]:
    """Commands that do something, with their whole names, in the order of ``--help``."""
    for short, below in getattr(command, "commands", {}).items():
        if hasattr(below, "commands"):
            yield from leaves(below, f"{name} {short}")
        elif not below.hidden:
            yield below, f"{name} {short}"


def section(command: Any, name: str) -> str:
    usage = " ".join([name, *(argument(p) for p in command.params if is_argument(p)), "[OPTIONS]"])
    rows = [row(parameter) for parameter in command.params if not parameter.hidden]
    return "\n".join(
        [
            f"## {name}\n",
            f"`{usage}`\n",
            *(paragraph(text) for text in (command.help or "").split("\n\n")),
            table(("option", "default", "meaning"), rows),
        ]
    )


def paragraph(text: str) -> str:
    """As it is; examples, which typer is told not to wrap, as code."""
    lines = text.strip("\n")
    if not lines.startswith("\b"):
        return f"{plain(lines)}\n"
    return (
        "```sh\n" + "\n".join(line.rstrip() for line in lines[1:].splitlines() if line) + "\n```\n"
    )


def is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def argument(parameter: Any) -> str:
    shown = (parameter.metavar or parameter.name).upper()
    repeated = f"{shown}..." if parameter.nargs != 1 else shown
    return repeated if parameter.required else f"[{repeated}]"


def row(parameter: Any) -> tuple[str, str, str]:
    if is_argument(parameter):
        names = code(argument(parameter))
    else:
        names = ", ".join(code(name) for name in (*parameter.opts, *parameter.secondary_opts))
        names += f" {kind(parameter)}" if kind(parameter) else ""
    return names, default(parameter), plain(parameter.help or "")


def kind(parameter: Any) -> str:
    """What follows the option; nothing after a switch."""
    if parameter.is_flag:
        return ""
    if parameter.metavar:
        return str(parameter.metavar)
    annotation = parameter.type_descriptor.annotation
    inner = get_args(annotation)[0] if get_origin(annotation) is list else annotation
    names = {str: "TEXT", int: "INTEGER", float: "NUMBER"}
    return names.get(inner, getattr(inner, "__name__", str(inner)).upper())


def default(parameter: Any) -> str:
    given = parameter.default
    if parameter.required or given in (None, "", False) or callable(given):
        return ""
    return code(given)
