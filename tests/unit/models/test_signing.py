"""Signed generations: ours are taken, and nothing else is, whatever was done to it."""

from __future__ import annotations

import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GenerationRefused, UserError
from streamrec.models.generation import (
    HEAD_FILE,
    MANIFEST_FILE,
    Expectations,
    check_generation,
    expectations,
    file_digest,
    write_manifest,
    write_weights,
)
from streamrec.models.hotswap import encoded_generations
from streamrec.models.signing import (
    SIGNATURE_FILE,
    Signer,
    Signers,
    read_signer,
    read_signers,
    write_key_pair,
)
from tests.fakes.generations import HEAD, draft, head
from tests.fakes.language_models import WIDTH, stir, tiny_encoder

STRANGE = "fits none of the 1 keys"


class Pair:
    def __init__(self, directory: Path) -> None:
        self.private, self.public = write_key_pair(directory)

    @property
    def signer(self) -> Signer:
        return read_signer(self.private)


@pytest.fixture
def ours(tmp_path: Path) -> Pair:
    return Pair(tmp_path / "ours")


@pytest.fixture
def stranger(tmp_path: Path) -> Pair:
    return Pair(tmp_path / "stranger")


@pytest.fixture
def expected(ours: Pair) -> Expectations:
    return expectations(tiny_encoder(), "features-1", HEAD, read_signers([ours.public]))


@pytest.fixture
def directory(tmp_path: Path, ours: Pair) -> Path:
    return write(tmp_path / "candidate", ours.signer)


def write(directory: Path, signer: Signer | None, head_seed: int = 0) -> Path:
    encoder = tiny_encoder()
    encoder.load_adapter_state(stir(encoder))
    write_weights(directory, encoder, head(head_seed), torch.zeros(WIDTH))
    write_manifest(directory, 12, draft(encoder_version=encoder.encoder_version), signer)
    return directory


def test_ours_is_taken(directory: Path, expected: Expectations) -> None:
    assert check_generation(directory, expected).generation.startswith("g000012-")


def test_without_keys_a_signature_is_no_unknown_file(directory: Path) -> None:
    check_generation(directory, expectations(tiny_encoder(), "features-1", HEAD))


def test_without_a_signature(tmp_path: Path, expected: Expectations) -> None:
    unsigned = write(tmp_path / "unsigned", None)
    with pytest.raises(GenerationRefused, match="unsigned is not signed"):
        check_generation(unsigned, expected)


def test_by_a_stranger(tmp_path: Path, stranger: Pair, expected: Expectations) -> None:
    foreign = write(tmp_path / "foreign", stranger.signer)
    with pytest.raises(GenerationRefused, match=STRANGE):
        check_generation(foreign, expected)


def test_signed_again_by_a_stranger(directory: Path, stranger: Pair, expected) -> None:
    manifest = (directory / MANIFEST_FILE).read_bytes()
    (directory / SIGNATURE_FILE).write_bytes(stranger.signer.sign(manifest))
    with pytest.raises(GenerationRefused, match=STRANGE):
        check_generation(directory, expected)


@pytest.mark.parametrize("signature", [b"", b"x", b"\0" * 64, b"\xff" * 1000])
def test_no_signature_at_all(directory: Path, expected: Expectations, signature: bytes) -> None:
    (directory / SIGNATURE_FILE).write_bytes(signature)
    with pytest.raises(GenerationRefused, match=STRANGE):
        check_generation(directory, expected)


def test_a_manifest_changed_afterwards(directory: Path, expected: Expectations) -> None:
    path = directory / MANIFEST_FILE
    path.write_text(path.read_text() + " ")
    with pytest.raises(GenerationRefused, match=STRANGE):
        check_generation(directory, expected)


def test_weights_changed_with_a_manifest_that_agrees(directory: Path, expected) -> None:
    content = bytearray((directory / HEAD_FILE).read_bytes())
    before = file_digest(directory / HEAD_FILE)
    content[-1] ^= 1
    (directory / HEAD_FILE).write_bytes(content)
    path = directory / MANIFEST_FILE
    path.write_text(path.read_text().replace(before, file_digest(directory / HEAD_FILE)))
    with pytest.raises(GenerationRefused, match=STRANGE):
        check_generation(directory, expected)


def test_weights_changed_under_a_good_signature(directory: Path, expected: Expectations) -> None:
    content = bytearray((directory / HEAD_FILE).read_bytes())
    content[-1] ^= 1
    (directory / HEAD_FILE).write_bytes(content)
    with pytest.raises(GenerationRefused, match="is not the file the manifest was written for"):
        check_generation(directory, expected)


def test_the_signature_of_another_generation(tmp_path: Path, ours: Pair, directory, expected):
    other = write(tmp_path / "other", ours.signer, head_seed=1)
    shutil.copy(other / SIGNATURE_FILE, directory / SIGNATURE_FILE)
    with pytest.raises(GenerationRefused, match=STRANGE):
        check_generation(directory, expected)


def test_a_link_is_no_signature(directory: Path, expected: Expectations) -> None:
    (directory / SIGNATURE_FILE).rename(directory.parent / "elsewhere")
    (directory / SIGNATURE_FILE).symlink_to(directory.parent / "elsewhere")
    with pytest.raises(GenerationRefused, match="not signed"):
        check_generation(directory, expected)


def test_old_and_new_keys_together(directory: Path, ours: Pair, stranger: Pair, expected) -> None:
    both = replace(expected, signers=read_signers([stranger.public, ours.public]))
    check_generation(directory, both)


def test_a_refused_one_changes_nothing(tmp_path: Path, directory, stranger, expected) -> None:
    swap = encoded_generations(tiny_encoder(), expected, lambda generation, index: generation)
    good = check_generation(directory, expected).generation
    swap.stage(good, directory, Catalogue())
    swap.activate(good)
    active = swap.active
    foreign = write(tmp_path / "foreign", stranger.signer, head_seed=1)
    with pytest.raises(GenerationRefused, match=STRANGE):
        swap.stage("g000013-00000000", foreign, Catalogue())
    assert swap.active is active
    assert swap.warm == (good,)


def test_a_good_one_under_another_name_is_refused(directory: Path, expected) -> None:
    """An old generation with its good signature, put where a newer one should be."""
    swap = encoded_generations(tiny_encoder(), expected, lambda generation, index: generation)
    with pytest.raises(GenerationRefused, match="says it is g000012-"):
        swap.stage("g000099-00000000", directory, Catalogue())


def test_the_private_key_is_its_owner_s_alone(ours: Pair) -> None:
    assert stat.S_IMODE(ours.private.stat().st_mode) == 0o600
    assert "PRIVATE" not in ours.public.read_text()


def test_keys_are_never_overwritten(ours: Pair) -> None:
    before = ours.private.read_bytes()
    with pytest.raises(UserError, match=r"signing\.key is there already"):
        write_key_pair(ours.private.parent)
    assert ours.private.read_bytes() == before


def test_files_that_are_no_keys_are_named(tmp_path: Path, ours: Pair) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("canary")
    for path, said in ((other, "no unencrypted Ed25519 private key"), (tmp_path / "x", "No such")):
        with pytest.raises(UserError, match=said) as raised:
            read_signer(path)
        assert "canary" not in str(raised.value)
    with pytest.raises(UserError, match="no Ed25519 public key"):
        read_signers([ours.private])


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_others_can_check_it_too(directory: Path, ours: Pair) -> None:
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(ours.public), "-rawin"]
    files = ["-in", str(directory / MANIFEST_FILE), "-sigfile", str(directory / SIGNATURE_FILE)]
    said = subprocess.run([*verify, *files], capture_output=True, text=True, check=False)
    assert "Verified Successfully" in said.stdout


def test_nobody_named_takes_everybody_s(tmp_path: Path) -> None:
    Signers().check(b"anything", tmp_path)
