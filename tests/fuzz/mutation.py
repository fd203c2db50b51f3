"""Bad bytes made from good ones, reproducibly.

Half of the mutations know nothing of the format (bits, cuts, copies, splices); the other half
decode the value first, put something odd into a field, and encode it again, so that it gets
past the framing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import fastavro
import orjson

from streamrec.infra.wire.codec import SINGLE_OBJECT
from tests.harness.wire import schemas_of, written

NUMBERS = (0, -1, 1, 2**31 - 1, -(2**31), 2**31, 2**53, 2**63 - 1, -(2**63), 2**64, 10**30)
FLOATS = (float("nan"), float("inf"), -float("inf"), 1e308, -0.0, 5e-324)
TEXTS = (
    "", " ", "\0", "null", "é", "\ud800"[:0] + "\U0001f600", "a" * 300, "../../etc/passwd", "{}",
    "2026-13-45", "1e999", "True", "\u202e", "click", "-1",
)  # fmt: skip
ODD: tuple[Any, ...] = (None, True, [], {}, [[]], {"a": {"b": []}}, *NUMBERS, *FLOATS, *TEXTS)

Mutator = Callable[[random.Random, bytes, Sequence[bytes]], bytes]


def mutated(rng: random.Random, corpus: Sequence[bytes], topic: str | None) -> bytes:
    """One input: usually a good one with one to four faults, now and then noise."""
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(40))
    data = rng.choice(corpus)
    for _ in range(rng.randint(1, 4)):
        if topic is not None and rng.random() < 0.5:
            data = _field(rng, data, topic)
        else:
            data = rng.choice(_BLIND)(rng, data, corpus)
    return data


def _flip(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    changed = bytearray(data or b"\0")
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _byte(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    changed = bytearray(data or b"\0")
    changed[rng.randrange(len(changed))] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, 0x22, 0x7B))
    return bytes(changed)


def _cut(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _drop(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.randrange(1, 9) :]


def _insert(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.randrange(1, 9)) + data[at:]


def _repeat(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    start = rng.randrange(len(data) + 1)
    piece = data[start : start + rng.randrange(1, 33)]
    return data[:start] + piece * rng.randrange(2, 40) + data[start:]


def _splice(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    other = rng.choice(corpus)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _varint(rng: random.Random, data: bytes, corpus: Sequence[bytes]) -> bytes:
    """A huge Avro length or number somewhere."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + b"\xff" * rng.randrange(1, 10) + b"\x01" + data[at + 1 :]


_BLIND: tuple[Mutator, ...] = (_flip, _byte, _cut, _drop, _insert, _repeat, _splice, _varint)


def _field(rng: random.Random, data: bytes, topic: str) -> bytes:
    """Something odd in one field, encoded as it was; the data itself where that cannot be."""
    try:
        if data[:1] == b"{":
            return _dumped(rng, _put(rng, orjson.loads(data)))
        if data[:2] == SINGLE_OBJECT:
            header, body = data[:10], data[10:]
            schema = schemas_of(topic)[header]
            fields = fastavro.schemaless_reader(BytesIO(body), schema, None)
            return header + written(schema, _put(rng, fields))
    except (ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError, OverflowError):
        pass
    return data


def _dumped(rng: random.Random, value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        return repr(value).encode("utf-8", "replace")


def _put(rng: random.Random, value: Any) -> Any:
    """The value with one odd thing in it, at any depth."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        changed = dict(value)
        match rng.randrange(10):
            case 0:
                del changed[key]
            case 1:
                changed[rng.choice(TEXTS)] = changed.pop(key)
            case _:
                changed[key] = _put(rng, value[key])
        return changed
    if isinstance(value, list) and value and rng.random() < 0.6:
        at = rng.randrange(len(value))
        return [*value[:at], _put(rng, value[at]), *value[at + rng.randrange(2) :]]
    if isinstance(value, int) and not isinstance(value, bool) and rng.random() < 0.6:
        return rng.choice(NUMBERS)
    if isinstance(value, str) and rng.random() < 0.6:
        return rng.choice(TEXTS)
    if isinstance(value, bytes):
        return rng.choice(
            (b"", value[:-1], value + b"\xff", bytes(len(value)), b"\xff" * len(value))
        )
    return rng.choice(ODD)
