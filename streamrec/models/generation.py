"""Generation directories: writing one, and refusing a bad one before anything is changed.

    adapter_config.json, adapter_model.safetensors   PEFT's own
    head.safetensors                                 the head, and ``index_centre``
    manifest.sig                                     only where a key is set (``models.signing``)
    manifest.json                                    written last: without it, half-written

Knows the files, their digests and which tensors they must hold. Does not know what the
head's tensors mean (the caller says their shapes), where directories are kept, or which
generation is active.

Reading never unpickles anything: the only tensor format is safetensors, and each file is
parsed from the very bytes whose digest was checked.

Shapes: D dimensions of the encoder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from streamrec.core.release.manifest import Manifest, generation_id
from streamrec.errors import GenerationRefused
from streamrec.models.adapted_model import AdaptedModel, read_adapter
from streamrec.models.lora import CONFIG_FILE, WEIGHTS_FILE, check_tensors
from streamrec.models.signing import EVERYBODY, SIGNATURE_FILE, Signer, Signers
from streamrec.ports import Provenance, Sealed

HEAD_FILE = "head.safetensors"
MANIFEST_FILE = "manifest.json"
CENTRE = "index_centre"
"""(D,) in ``head.safetensors``: what ``ItemIndex`` subtracts for this generation."""

FILES = frozenset({CONFIG_FILE, WEIGHTS_FILE, HEAD_FILE})
SEALS = frozenset({MANIFEST_FILE, SIGNATURE_FILE})
PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz"})
MAX_MANIFEST_BYTES = 4 << 20
NONE = "none"
"""What a manifest says of a language model where there is none."""

PACKAGES = ("streamrec", "torch", "transformers", "peft", "tokenizers", "numpy")

Adapting = TypeVar("Adapting", bound=AdaptedModel)

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Expectations:
    """What this process can run: a generation made for anything else is refused."""

    base_digest: str
    feature_set: str
    adapter: Shapes
    head: Shapes  # without ``index_centre``
    dim: int
    signers: Signers = EVERYBODY  # whose generations are taken
    since: str = ""  # how names of head tensors begin that older generations lack, all of them

    def head_of(self, tensors: Mapping[str, Tensor]) -> Shapes:
        """What a head of these tensors must have."""
        shapes = {**self.head, CENTRE: (self.dim,)}
        if not self.since or any(name.startswith(self.since) for name in tensors):
            return shapes
        return {name: of for name, of in shapes.items() if not name.startswith(self.since)}


@dataclass(frozen=True, slots=True, eq=False)
class Generation:
    """A generation whose every byte was checked, in memory."""

    manifest: Manifest
    adapter: Mapping[str, Tensor]
    head: Mapping[str, Tensor]
    centre: Tensor  # (D,)


def expectations(
    encoder: AdaptedModel, feature_set: str, head: Shapes, signers: Signers = EVERYBODY
) -> Expectations:
    """What ``encoder`` and a head of these shapes can run."""
    adapter = {name: tuple(tensor.shape) for name, tensor in encoder.adapter_state().items()}
    return Expectations(encoder.base_digest, feature_set, adapter, head, encoder.dim, signers)


def write_weights(
    directory: Path, encoder: AdaptedModel, head: Mapping[str, Tensor], centre: Tensor
) -> None:
    """The three weight files of a generation; ``write_manifest`` completes it."""
    encoder.save_adapter(directory)
    tensors = {**head, CENTRE: centre}
    safetensors.torch.save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        str(directory / HEAD_FILE),
    )


def draft(
    provenance: Provenance,
    *,
    feature_set: str,
    encoder_version: str = NONE,
    base_model: str = NONE,
    base_digest: str = NONE,
    settings: Mapping[str, Any] | None = None,
    made_with: Mapping[str, str] | None = None,
    inputs: Sequence[str] = (),
) -> Manifest:
    """A manifest without a name and digests, for ``write_manifest``."""
    spans = {str(p): [list(span) for span in spans] for p, spans in provenance.holes.items()}
    return Manifest(
        generation="",
        parent=provenance.parent,
        encoder_version=encoder_version,
        base_model=base_model,
        base_digest=base_digest,
        feature_set=feature_set,
        created_at_ms=provenance.created_at_ms,
        offsets={str(p): (a, b) for p, (a, b) in provenance.offsets.items()},
        training={
            "batches": list(provenance.training_batches),
            "examples": provenance.examples,
            "holes": spans,
            "quarantine": [asdict(at) for at in provenance.quarantine],
            "epoch": provenance.epoch,
            "made_with": dict(made_with or {}),
            "inputs": list(inputs),
            "ledger": provenance.ledger,
            "restarts": list(provenance.restarts),
        },
        settings=settings or {},
        gate=provenance.gate,
    )


def write_manifest(
    directory: Path,
    sequence: int,
    draft: Manifest,
    signer: Signer | None = None,
    names: frozenset[str] = FILES,
) -> Manifest:
    """Complete a generation directory; its id and file digests are filled in here.

    Order: hash every file; write the signature; write the manifest aside; rename it into place.

    Raises:
        GenerationRefused: a file is missing, or one is there that does not belong.
    """
    _check_names({path.name for path in directory.iterdir()} - SEALS, names)
    files = {name: file_digest(directory / name) for name in sorted(names)}
    manifest = replace(draft, generation=generation_id(sequence, files), files=files)
    content = manifest.to_json().encode()
    if signer is not None:
        (directory / SIGNATURE_FILE).write_bytes(signer.sign(content))
    aside = directory / f".{MANIFEST_FILE}"
    aside.write_bytes(content)
    aside.replace(directory / MANIFEST_FILE)
    return manifest


def seal_adapter(
    directory: Path,
    provenance: Provenance,
    encoder: AdaptedModel,
    signer: Signer | None = None,
    *,
    feature_set: str,
    settings: Mapping[str, Any],
    inputs: Sequence[str] = (),
) -> Sealed:
    """Complete a directory that holds an adapter over ``encoder``'s base, and a head.

    Raises GenerationRefused.
    """
    adapted = encoder.with_adapter(read_adapter(directory))
    made = draft(
        provenance,
        encoder_version=adapted.encoder_version,
        base_model=adapted.base_name,
        base_digest=adapted.base_digest,
        feature_set=feature_set,
        settings=settings,
        made_with=made_with(encoder),
        inputs=inputs,
    )
    sealed = write_manifest(directory, provenance.sequence, made, signer)
    return Sealed(sealed, file_digest(directory / MANIFEST_FILE))


def with_adapter_of(read: Generation, encoder: Adapting) -> Adapting:
    """``encoder`` with a generation's adapter.

    Raises GenerationRefused where that is another encoder version than the manifest names.
    """
    adapted = encoder.with_adapter(read.adapter)
    if adapted.encoder_version != read.manifest.encoder_version:
        raise GenerationRefused(
            f"{read.manifest.generation} was made for encoder version "
            f"{read.manifest.encoder_version}; our settings make {adapted.encoder_version} of "
            "its weights: STREAMREC_ENCODER_* must be the same in every worker"
        )
    return adapted


def file_digest(path: Path) -> str:
    """sha256 of a file, as the manifest and the control log write it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_generation(directory: Path, expected: Expectations) -> Manifest:
    """Raises GenerationRefused, with the reason, for a directory this process cannot run."""
    return read_generation(directory, expected).manifest


def read_generation(directory: Path, expected: Expectations) -> Generation:
    """Everything in the directory, checked.

    Checks, in this order: signature; manifest; names; base model and features; digests; tensors.

    Raises:
        GenerationRefused: with the first check that failed.
    """
    manifest = read_manifest(directory, expected.signers)
    if manifest.base_digest != expected.base_digest:
        raise GenerationRefused(
            f"{manifest.generation} adapts another base model, {manifest.base_model} "
            f"({manifest.base_digest[:8]}, ours {expected.base_digest[:8]})"
        )
    if manifest.feature_set != expected.feature_set:
        raise GenerationRefused(
            f"{manifest.generation} reads feature set {manifest.feature_set}, "
            f"this version computes {expected.feature_set}"
        )
    contents = {name: _verified(directory / name, manifest) for name in sorted(FILES)}
    adapter = _tensors(WEIGHTS_FILE, contents)
    head = _tensors(HEAD_FILE, contents)
    _check(WEIGHTS_FILE, adapter, expected.adapter)
    _check(HEAD_FILE, head, expected.head_of(head))
    centre = head.pop(CENTRE)
    return Generation(manifest, adapter, head, centre)


def read_manifest(
    directory: Path, signers: Signers = EVERYBODY, names: frozenset[str] = FILES
) -> Manifest:
    """The manifest of a directory that holds the right files, their content unchecked.

    Raises:
        GenerationRefused: half-written, signed by none of ``signers``, or files that do not
            belong there.
    """
    if not directory.is_dir():
        raise GenerationRefused(f"{directory} is not a directory")
    path = directory / MANIFEST_FILE
    if not path.is_file():
        raise GenerationRefused(f"{directory} has no {MANIFEST_FILE}: half-written")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise GenerationRefused(f"{path} is larger than {MAX_MANIFEST_BYTES} bytes")
    content = path.read_bytes()
    signers.check(content, directory)
    manifest = Manifest.from_json(content)
    _check_names({file.name for file in directory.iterdir()} - SEALS, names)
    _check_names(set(manifest.files), names)
    return manifest


def read_files(
    directory: Path, names: frozenset[str], feature_set: str, signers: Signers = EVERYBODY
) -> tuple[Manifest, dict[str, bytes]]:
    """Manifest and files of a task's generation, every byte checked.

    ``names``: the files it must hold, and no other. Raises GenerationRefused.
    """
    manifest = read_manifest(directory, signers, names)
    if manifest.feature_set != feature_set:
        raise GenerationRefused(
            f"{manifest.generation} reads feature set {manifest.feature_set}, "
            f"this version computes {feature_set}"
        )
    return manifest, {name: _verified(directory / name, manifest) for name in sorted(names)}


def _check_names(found: set[str], wanted: frozenset[str]) -> None:
    pickles = sorted(name for name in found if Path(name).suffix in PICKLES)
    if pickles:
        raise GenerationRefused(f"pickles are never loaded, and {pickles} may be: safetensors only")
    missing, extra = sorted(wanted - found), sorted(found - wanted)
    if missing or extra:
        raise GenerationRefused(f"files missing: {missing or 'none'}; unknown: {extra or 'none'}")


def _verified(path: Path, manifest: Manifest) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise GenerationRefused(f"{path.name} is not a plain file")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != manifest.files[path.name]:
        raise GenerationRefused(f"{path.name} is not the file the manifest was written for")
    return content


def _tensors(name: str, contents: Mapping[str, bytes]) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load(contents[name])
    except (SafetensorError, ValueError) as error:
        raise GenerationRefused(f"{name} is not safetensors: {error}") from None


def _check(name: str, tensors: Mapping[str, Tensor], shapes: Shapes) -> None:
    try:
        check_tensors(tensors, shapes)
    except GenerationRefused as error:
        raise GenerationRefused(f"{name}: {error}") from None


def made_with(encoder: AdaptedModel) -> dict[str, str]:
    """For a manifest: what a computation depends on beside its inputs (versions, threads …).

    Equal here, and everything else equal: equal to the last bit.
    """
    processor = torch.backends.cpu.get_cpu_capability()
    device = encoder.device.type
    if device == "cuda":
        processor = torch.cuda.get_device_name(encoder.device)
    return {
        **{name: _version(name) for name in PACKAGES},
        "device": device,
        "processor": processor,
        "dtype": str(encoder.frozen_dtype).removeprefix("torch."),
        "threads": str(torch.get_num_threads()),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
