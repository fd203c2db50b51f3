"""Where a base language model's weights come from, and their digest.

Knows paths, the hub's cache, the hub and that packages carry some models (``packaged``).
Does not know how a model is built from the files or what it is for.

Only safetensors are ever read; a repository that has nothing but pickles is refused.

Looked at, in this order (nothing waits for a network before the local places are tried):

1. the name as a directory;
2. the hub's cache on this machine;
3. an installed package that carries this model;
4. the hub, unless it is switched off (``HF_HUB_OFFLINE``) or does not answer in seconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from streamrec.errors import EncoderUnavailable
from streamrec.models.packaged import PACKAGES, Package, content_digest, find_packaged

HUB_TIMEOUT_S = 5.0
WANTED = ("*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model")


@dataclass(frozen=True, slots=True)
class Weights:
    """A local directory that ``from_pretrained`` can read.

    ``name`` is what the user asked for; ``digest`` is the sha256 of the weights alone.
    """

    name: str
    directory: Path
    digest: str


def find_weights(
    name: str,
    packages: Mapping[str, Package] = PACKAGES,
    hub: HfApi | None = None,
    setting: str = "STREAMREC_ENCODER",
) -> Weights:
    """The files of the base model ``name`` (a path or a hub id).

    ``packages``: by model, those that may carry one. ``hub``: in place of the real one.
    ``setting``: what asks for it, for a person who must change it.

    Raises:
        EncoderUnavailable: they are nowhere, damaged, or not safetensors.
    """
    hub = hub or HfApi()
    directory = _local(name) or _cached(name, hub) or find_packaged(name, packages)
    if directory is None:
        directory = _downloaded(name, hub, packages.get(name), setting)
    return Weights(name, directory, weights_digest(directory))


def weights_digest(directory: Path) -> str:
    """sha256 of ``model.safetensors``, or of the sorted digests of its shards.

    Raises:
        EncoderUnavailable: the directory has no safetensors.
    """
    files = sorted(p for p in directory.glob("*.safetensors") if p.name.startswith("model"))
    if not files:
        raise EncoderUnavailable(f"{directory} holds no model*.safetensors; pickles are not read")
    digests = [content_digest(p) for p in files]
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def _local(name: str) -> Path | None:
    path = Path(name).expanduser()
    if name and path.is_dir():
        return path
    if name.startswith((".", "/", "~")):
        raise EncoderUnavailable(f"{name} is not a directory with a language model in it")
    return None


def _cached(name: str, hub: HfApi) -> Path | None:
    try:
        directory = hub.snapshot_download(name, allow_patterns=list(WANTED), local_files_only=True)
    except (LocalEntryNotFoundError, ValueError, OSError):
        return None
    complete = any(Path(directory).glob("*.safetensors"))
    return Path(directory) if complete else None


def _downloaded(name: str, hub: HfApi, package: Package | None, setting: str) -> Path:
    advice = f"give {setting} a local directory"
    if package is not None:
        advice += f", or install a package that carries this model: {package.install}"
    try:
        hub.model_info(name, timeout=HUB_TIMEOUT_S)
        return Path(hub.snapshot_download(name, allow_patterns=list(WANTED)))
    except OfflineModeIsEnabled:
        raise EncoderUnavailable(
            f"{name} is not on this machine and HF_HUB_OFFLINE forbids fetching it; {advice}"
        ) from None
    except HfHubHTTPError as error:
        raise EncoderUnavailable(f"the hub refuses {name}: {error}; {advice}") from error
    except (httpx.HTTPError, OSError) as error:
        raise EncoderUnavailable(
            f"{name} is not on this machine and the hub does not answer ({error}); {advice}"
        ) from error
    except ValueError as error:  # not even shaped like a hub id
        raise EncoderUnavailable(f"{name} is neither a directory nor a hub id; {advice}") from error
