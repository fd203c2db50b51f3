"""What reads a compressed message here: producers and brokers choose the compression, we do not.

Knows which package each of our two Kafka clients needs for a compression. The lock has them all;
an installation that left one out is told its name, and does not wait for what will never come.
"""

from __future__ import annotations

from kafka import codec as kafka_python

from streamrec.errors import UserError

_PACKAGES = {"snappy": "python-snappy", "lz4": "lz4", "zstd": "zstandard"}
_OF_AIOKAFKA = "cramjam"  # all three
COMPRESSIONS = ("gzip", *_PACKAGES)


def packages_missing(compression: str) -> list[str]:
    """What must be installed before every client of ours reads ``compression``."""
    from aiokafka import codec as aiokafka  # noqa: PLC0415 - only feature workers load it else

    package = _PACKAGES.get(compression)
    if package is None:  # the standard library's, or none
        return []
    lacking = [] if getattr(kafka_python, f"has_{compression}")() else [package]
    return lacking if getattr(aiokafka, f"has_{compression}")() else [*lacking, _OF_AIOKAFKA]


def cannot_read(doing: str, error: Exception) -> UserError:
    """What to do about a client's ``UnsupportedCodecError``: waiting does not help."""
    named = [compression for compression in _PACKAGES if compression in str(error)]
    if not named:
        return UserError(f"{doing}: {error}; no client here knows that compression")
    packages = " ".join(packages_missing(named[0])) or "what streamrec requires"
    return UserError(
        f"{doing}: there are messages compressed with {named[0]}, which this installation cannot "
        f"read: pip install {packages}"
    )


def check_can_write(compression: str) -> None:
    """Raises UserError where kafka-python cannot compress so."""
    if not getattr(kafka_python, f"has_{compression}")():
        packages = _PACKAGES[compression]
        raise UserError(f"messages cannot be compressed with {compression}: pip install {packages}")
