"""Whose a state is: what Kafka, Redis, the registry and the trainer's checkpoints must agree on.

An installation has a name, made once and kept in the control log; each place where state is kept
carries a copy. What a place does not know (version 0.1 wrote nothing) it is told when it is first
seen. Pure; who reads and writes the places is ``apps.identities``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import combinations

from streamrec.errors import UserError


@dataclass(frozen=True, slots=True)
class Identity:
    """What a place says of whose it is; empty: it does not say."""

    installation: str = ""  # made once
    cluster: str = ""  # Kafka's own id
    topics: str = ""  # their prefix
    pseudonyms: str = ""  # of the key of pseudonyms, so that keys can be told apart

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()

    @staticmethod
    def from_json(data: bytes | None) -> Identity:
        """Empty where there is nothing, or nothing that can be read."""
        try:
            record = json.loads(data or b"{}")
            known = {spec.name for spec in fields(Identity)}
            return Identity(**{n: str(v) for n, v in record.items() if n in known})
        except (ValueError, AttributeError):
            return Identity()

    def filled(self, other: Identity) -> Identity:
        """With what the other says where this one says nothing."""
        missing = {n: v for n, v in asdict(other).items() if not getattr(self, n)}
        return replace(self, **missing)


SAID = {
    "installation": "installation {}",
    "cluster": "the Kafka cluster {}",
    "topics": "the topics {}*",
    "pseudonyms": "the pseudonym key with fingerprint {}",
}


def agreed(places: Mapping[str, Identity]) -> Identity:
    """What all places together say, by the name of each.

    Raises UserError when two contradict each other; it names both, and what they say.
    """
    for (one, ours), (two, theirs) in combinations(places.items(), 2):
        for name, said in SAID.items():
            mine, other = getattr(ours, name), getattr(theirs, name)
            if mine and other and mine != other:
                raise UserError(
                    f"{one} and {two} do not belong together: {one} is of {said.format(mine)}, "
                    f"{two} of {said.format(other)}. Nothing was changed. One of the addresses, "
                    "prefixes or directories in the settings is another installation's, or was "
                    "restored from it: docs/operating.md, Restoring"
                )
    whole = Identity()
    for said_there in places.values():
        whole = whole.filled(said_there)
    return whole
