"""``keys``: the pair that signs generations, and the keys that the gateway takes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamrec.cli.console import JsonOption, ago, out, print_json, say, table

if TYPE_CHECKING:
    from streamrec.core.access import ApiKey

FileOption = Annotated[
    Path | None,
    typer.Option("--file", help="The keys file; default: STREAMREC_GATEWAY_KEYS_FILE."),
]


def register(app: typer.Typer) -> None:
    """Add this command to ``app``."""
    keys = typer.Typer(
        help="Keys that sign generations, and keys of the gateway.", no_args_is_help=True
    )
    keys.command("new")(new)
    api = typer.Typer(help="API keys of the gateway, by role.", no_args_is_help=True)
    api.command("new")(api_new)
    api.command("list")(api_list)
    api.command("revoke")(api_revoke)
    keys.add_typer(api, name="api")
    app.add_typer(keys, name="keys", rich_help_panel="Release")


def new(
    directory: Annotated[Path, typer.Argument(help="Where; made when missing.", metavar="DIR")],
    as_json: JsonOption = False,
) -> None:
    """Make a key pair (Ed25519): the trainer signs with it, everybody else checks.

    Nothing is overwritten. To change keys without a stop, name both public files in
    STREAMREC_TRUST_VERIFY_KEYFILES first, then give the trainer the new private one.

    \b
    streamrec keys new /etc/streamrec/keys
    """
    from streamrec.models.signing import write_key_pair

    private, public = write_key_pair(directory)
    if as_json:
        print_json({"private": str(private), "public": str(public)})
        return
    say(f"the trainer alone:  STREAMREC_TRUST_SIGNING_KEYFILE={private.absolute()}")
    say(f"every process:      STREAMREC_TRUST_VERIFY_KEYFILES={public.absolute()}")


def api_new(
    *,
    roles: Annotated[
        list[str], typer.Option("--role", help="read, write or admin; repeat for more.")
    ],
    name: Annotated[str, typer.Option(help="Whose it is; the control log names it.")],
    users: Annotated[
        str, typer.Option(metavar="PREFIX", help="Only users whose ids begin so.")
    ] = "",
    expires: Annotated[str, typer.Option(help="It ends after 12h or 30d; default: never.")] = "",
    file: FileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an API key, and print its secret: this once, it is kept nowhere.

    The file keeps its SHA-256. A running gateway takes it within a second. To change a
    secret, make a second key of the same name, hand it out, then revoke the first.

    \b
    streamrec keys api new --role read --role write --name shop
    streamrec keys api new --role read --name acme --users acme: --expires 30d
    KEY=$(streamrec keys api new --role admin --name ops)
    """
    from streamrec import settings as reader
    from streamrec.apps import access

    settings = reader.load()
    path = access.path(settings, file)
    key, secret = access.make(settings, path, access.NewKey(name, tuple(roles), users, expires))
    if as_json:
        print_json(_fields(key) | {"secret": secret, "file": str(path)})
        return
    out.print(secret, soft_wrap=True)
    say(f"{key.key_id} ({key.name}: {_roles(key)}) is in {path}; its secret is shown this once")
    if not key.scope.installation:
        say(
            "nothing runs here that could say which installation this is: the key is good for "
            f"any with topics {key.scope.topics}* and Redis keys {key.scope.redis}:*"
        )


def api_list(file: FileOption = None, as_json: JsonOption = False) -> None:
    """List the keys that the gateway takes, and when each was used last (to ten seconds).

    \b
    streamrec keys api list
    """
    from streamrec import settings as reader
    from streamrec.apps import access
    from streamrec.infra.clock import SystemClock
    from streamrec.infra.stores.key_file import read_keys

    settings = reader.load()
    path = access.path(settings, file)
    keys = read_keys(path) if path.exists() else ()
    used = access.last_used(settings) if keys else None
    if as_json:
        shown = [_fields(key) | {"used_at_ms": (used or {}).get(key.key_id)} for key in keys]
        print_json({"file": str(path), "keys": shown})
        return
    if not keys:
        say(f"no keys in {path}: `streamrec keys api new`")
        return
    now_ms = SystemClock().now_ms()
    rows = [
        (
            key.key_id,
            key.name,
            _roles(key),
            f"{key.users}*" if key.users else "all",
            _day(key.created_at_ms),
            _end(key, now_ms),
            _used(key, used, now_ms),
        )
        for key in keys
    ]
    out.print(table("", ["key", "name", "roles", "users", "made", "ends", "used"], rows))


def api_revoke(
    key: Annotated[str, typer.Argument(help="Its id, or its name where only one has it.")],
    file: FileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a key out of the file: a running gateway refuses it within a second.

    \b
    streamrec keys api revoke k1a2b3c4d
    """
    from streamrec import settings as reader
    from streamrec.apps import access

    path = access.path(reader.load(), file)
    gone = access.revoke(path, key)
    if as_json:
        print_json({"revoked": _fields(gone), "file": str(path)})
    else:
        say(f"{gone.key_id} ({gone.name}) is revoked")


def _fields(key: ApiKey) -> dict[str, Any]:
    from streamrec.core.access import to_record

    return {name: value for name, value in to_record(key).items() if name != "sha256"}


def _roles(key: ApiKey) -> str:
    return ", ".join(sorted(key.roles))


def _day(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def _end(key: ApiKey, now_ms: int) -> str:
    if key.expires_at_ms is None:
        return "never"
    return ("ended " if key.expired(now_ms) else "") + _day(key.expires_at_ms)


def _used(key: ApiKey, used: Mapping[str, int] | None, now_ms: int) -> str:
    if used is None:
        return "not known"
    return f"{ago(now_ms - used[key.key_id])} ago" if key.key_id in used else "not yet"
