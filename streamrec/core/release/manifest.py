"""What a generation says of itself: ``manifest.json``.

Knows the fields and their JSON form. Does not know the other files
(``models.generation`` hashes and checks them) or where generations are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from streamrec.errors import GenerationRefused


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything needed to trust a generation, and to know where it came from."""

    generation: str  # see ``generation_id``
    parent: str | None  # the champion it was trained from
    encoder_version: str
    base_model: str  # as the settings name it
    base_digest: str  # sha256 of the frozen weights
    feature_set: str  # digest of the statistics features the head reads
    created_at_ms: int
    offsets: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Source partition (as text) -> [from, to): events trained on since the parent."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """``batches``: [from, to) of training-batches; ``examples``; ``holes``: partition -> spans of
    the offsets that were never trained; ``quarantine``: ranges, some of one user only, that it
    must not have learned; ``epoch``; ``made_with``: versions and threads; ``inputs``: what the
    head reads, by name, in its order; ``ledger``: of all it had learned; ``restarts``: since the
    parent, where its learner went on from other weights than the parent's."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    gate: Mapping[str, Any] | None = None  # ``gate.to_record``
    files: Mapping[str, str] = field(default_factory=dict)  # name -> sha256

    @property
    def trained_through(self) -> dict[str, int]:
        """Source partition (as text) -> next offset not trained."""
        return {partition: to for partition, (_, to) in self.offsets.items()}

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Raises GenerationRefused when it is no manifest."""
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise GenerationRefused(f"manifest.json is not JSON: {error}") from None
        return cls(**_checked(record))


def generation_id(sequence: int, files: Mapping[str, str]) -> str:
    """``g000012-1a2b3c4d``: sorts by age, and differs when any file does."""
    lines = "".join(f"{name} {digest}\n" for name, digest in sorted(files.items()))
    return f"g{sequence:06d}-{hashlib.sha256(lines.encode()).hexdigest()[:8]}"


def sequence_of(generation: str) -> int:
    """12 of ``g000012-1a2b3c4d``; 0 for a name of another kind."""
    number = generation[1:].split("-", maxsplit=1)[0]
    return int(number) if generation.startswith("g") and number.isdigit() else 0


def last_sequence(generations: Iterable[str]) -> int:
    """The highest one; 0 when there is none."""
    return max(map(sequence_of, generations), default=0)


_TEXT = ("generation", "encoder_version", "base_model", "base_digest", "feature_set")
_MAPS = ("offsets", "training", "settings", "files")


def _checked(record: Any) -> dict[str, Any]:
    """The fields of a decoded manifest, each of the right kind."""
    if not isinstance(record, dict):
        raise GenerationRefused("manifest.json is not an object")
    names = {spec.name for spec in fields(Manifest)}
    if record.keys() != names:
        raise GenerationRefused(
            f"manifest.json: missing {sorted(names - record.keys()) or 'nothing'}, "
            f"unknown {sorted(record.keys() - names) or 'nothing'}"
        )
    texts = all(isinstance(record[name], str) and record[name] for name in _TEXT)
    maps = all(isinstance(record[name], dict) for name in _MAPS)
    if not (
        texts
        and maps
        and isinstance(record["created_at_ms"], int)
        and isinstance(record["parent"], str | None)
        and isinstance(record["gate"], dict | None)
        and all(isinstance(digest, str) for digest in record["files"].values())
        and all(_is_span(span) for span in record["offsets"].values())
    ):
        raise GenerationRefused("manifest.json: a field has the wrong type")
    spans = {partition: tuple(span) for partition, span in record["offsets"].items()}
    return {**record, "offsets": spans}


def _is_span(span: Any) -> bool:
    return (
        isinstance(span, list)
        and len(span) == 2
        and all(isinstance(offset, int) for offset in span)
        and 0 <= span[0] <= span[1]
    )
