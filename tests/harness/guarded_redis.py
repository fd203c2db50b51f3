"""Redis users with the rights that docs/operating.md names, and no others."""

from __future__ import annotations

from dataclasses import replace

import redis

from streamrec.settings import RedisSettings
from tests.harness.guarded_kafka import DOCUMENT
from tests.harness.servers import REPOSITORY

PASSWORD = "hush-redis-role"


def documented_keys() -> dict[str, dict[str, str]]:
    """The table of docs/operating.md: user -> keys -> what may be done with them."""
    text = DOCUMENT.read_text().split("## Rights in Redis")[1].split("\n## ")[0]
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    )
    return {
        user: {row[0].strip("`"): row[column] for row in rows if row[column]}
        for column, user in enumerate(head[1:], 1)
    }


def documented_commands() -> set[str]:
    """Those of deploy/redis.acl, as an ACL names them."""
    line = (REPOSITORY / "deploy" / "redis.acl").read_text().splitlines()[1]
    return {word.removeprefix("+") for word in line.split() if word.startswith("+")}


def grant(settings: RedisSettings, user: str, *without: str) -> RedisSettings:
    """The settings of a user that has the rights of ``user`` ``without`` some keys or commands."""
    name = f"{settings.key_prefix}-{user}-{len(without)}"
    keys = [
        f"%{'RW' if 'write' in rights else 'R'}~{settings.key_prefix}:{pattern}"
        for pattern, rights in documented_keys()[user].items()
        if pattern not in without
    ]
    commands = [f"+{command}" for command in documented_commands() - set(without)]
    rules = ["reset", "on", f">{PASSWORD}", "resetchannels", *keys, "-@all", *commands]
    with redis.Redis.from_url(settings.url) as client:
        client.execute_command("ACL", "SETUSER", name, *rules)
    return replace(settings, username=name, password=PASSWORD)
