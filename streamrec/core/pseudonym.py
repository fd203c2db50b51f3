"""Other names for people: a keyed hash of a user id.

Knows one formula. Ids become pseudonyms where they enter (the command line, a producer), so
that no topic, no store and no model ever holds a real one, and no worker needs the key.
"""

from __future__ import annotations

import hashlib
import hmac

DIGITS = 32


def pseudonym(key: str, user_id: str) -> str:
    """The first 128 bits of HMAC-SHA256 (RFC 2104) of the id, in hexadecimal.

    The same from a shell: ``printf %s ann | openssl dgst -sha256 -hmac "$KEY" -r | cut -c1-32``.
    """
    return hmac.new(key.encode(), user_id.encode(), hashlib.sha256).hexdigest()[:DIGITS]
