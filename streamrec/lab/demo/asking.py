"""The demo's last act: one question, its list, and a reply in words."""

from __future__ import annotations

from streamrec.apps import clients
from streamrec.apps.conversation import Conversation
from streamrec.errors import Unavailable
from streamrec.settings import Settings

QUESTION = "a comedy for tonight"
ITEMS, WAIT_S = 5, 10.0


def asked(settings: Settings, user: str) -> dict[str, str]:
    """Who asked what, what was said, and by whom; empty where no answer came."""
    try:
        with Conversation(settings, clients.known_as(settings, user)) as conversation:
            about = conversation.ask(QUESTION, ITEMS, WAIT_S)
            reply = conversation.reply(about, WAIT_S) if about else None
    except Unavailable:
        return {}
    if reply is None:
        return {}
    by = reply.generation or f"a template: {reply.fallback}"
    return {"user": user, "question": QUESTION, "reply": reply.text, "by": by}
