"""Keys, from the files that the settings name. Loads neither torch nor faust."""

from __future__ import annotations

from pathlib import Path

from streamrec.apps import clients
from streamrec.core.tasks import RANKING
from streamrec.models.signing import Signer, Signers, read_signer, read_signers
from streamrec.settings import Settings

MANIFEST = "manifest.json"


def signer(settings: Settings) -> Signer | None:
    """Who signs what this process makes; None where no key is set. Raises UserError."""
    path = settings.trust.signing_keyfile
    return read_signer(Path(path)) if path else None


def signers(settings: Settings) -> Signers:
    """Whose generations this process takes. Raises UserError."""
    names = settings.trust.verify_keyfiles.split(",")
    return read_signers([Path(name.strip()) for name in names if name.strip()])


def check_signature(settings: Settings, generation: str, task: str = RANKING) -> None:
    """Whether a generation in the registry is signed as the settings ask.

    Raises GenerationRefused; UserError for a key that cannot be read.
    """
    trusted = signers(settings)
    if trusted.keys:
        directory = clients.registry_store(settings, task).get(generation)
        trusted.check((directory / MANIFEST).read_bytes(), directory)
