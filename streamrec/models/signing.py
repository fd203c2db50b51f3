"""Who made a generation: an Ed25519 signature of ``manifest.json``, beside it.

Knows keys, PEM files and the 64 bytes of ``manifest.sig``. The manifest holds the digest of
every other file, so one signature covers the directory. Does not know what a manifest says
(``models.generation``), nor who should be trusted (the settings name the files).

The signature is over the file's bytes as they are, so that others can check it too::

    openssl pkeyutl -verify -pubin -inkey signing.pub -rawin -in manifest.json -sigfile manifest.sig
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from streamrec.errors import GenerationRefused, UserError

SIGNATURE_FILE = "manifest.sig"
PRIVATE_FILE, PUBLIC_FILE = "signing.key", "signing.pub"


@dataclass(frozen=True, slots=True)
class Signer:
    """The private key of whoever makes generations."""

    key: Ed25519PrivateKey

    def sign(self, manifest: bytes) -> bytes:
        return self.key.sign(manifest)


@dataclass(frozen=True, slots=True)
class Signers:
    """The public keys whose generations are taken; without any, everybody's are."""

    keys: tuple[Ed25519PublicKey, ...] = ()

    def check(self, manifest: bytes, directory: Path) -> None:
        """Whether one of us signed these bytes. Raises GenerationRefused."""
        if not self.keys:
            return
        path = directory / SIGNATURE_FILE
        if path.is_symlink() or not path.is_file():
            raise GenerationRefused(
                f"{directory.name} is not signed, and STREAMREC_TRUST_VERIFY_KEYFILES asks for it"
            )
        with path.open("rb") as file:
            signature = file.read(128)
        if not any(_fits(key, signature, manifest) for key in self.keys):
            raise GenerationRefused(
                f"{directory.name}: {SIGNATURE_FILE} fits none of the {len(self.keys)} keys of "
                "STREAMREC_TRUST_VERIFY_KEYFILES: changed since, or signed by a stranger"
            )


EVERYBODY = Signers()


def _fits(key: Ed25519PublicKey, signature: bytes, manifest: bytes) -> bool:
    try:
        key.verify(signature, manifest)
    except InvalidSignature:
        return False
    return True


def read_signer(path: Path) -> Signer:
    """A private key in PEM. Raises UserError."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise UserError(f"STREAMREC_TRUST_SIGNING_KEYFILE: {path}: {error.strerror}") from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(
            f"STREAMREC_TRUST_SIGNING_KEYFILE: {path} is no unencrypted Ed25519 private key in "
            "PEM; `streamrec keys new DIR` makes one"
        )
    return Signer(key)


def read_signers(paths: list[Path]) -> Signers:
    """Public keys in PEM, one a file. Raises UserError."""
    return Signers(tuple(_public_key(path) for path in paths))


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UserError(f"STREAMREC_TRUST_VERIFY_KEYFILES: {path}: {error.strerror}") from None
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UserError(
            f"STREAMREC_TRUST_VERIFY_KEYFILES: {path} is no Ed25519 public key in PEM; "
            f"`streamrec keys new DIR` makes a {PUBLIC_FILE}"
        )
    return key


def write_key_pair(directory: Path) -> tuple[Path, Path]:
    """A new pair: the private file (only its owner may read it), and the public one.

    Raises UserError when one is there already, or the directory cannot be written.
    """
    private, public = directory / PRIVATE_FILE, directory / PUBLIC_FILE
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    shown = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, content, mode in ((private, secret, 0o600), (public, shown, 0o644)):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
    except FileExistsError as error:
        raise UserError(f"{error.filename} is there already: name another directory") from None
    except OSError as error:
        raise UserError(f"{directory}: {error.strerror}") from None
    return private, public
