"""Pseudonyms: the same from a shell, another with another key."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import subprocess

import pytest

from streamrec.apps.clients import known_as
from streamrec.core.pseudonym import pseudonym
from streamrec.settings import Settings, TrustSettings, describe


def test_it_is_an_hmac() -> None:
    wanted = hmac.new(b"key", "ann é".encode(), hashlib.sha256).hexdigest()[:32]
    assert pseudonym("key", "ann é") == wanted
    assert pseudonym("another key", "ann é") != wanted


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
def test_the_shell_line_of_the_docs_says_the_same() -> None:
    line = 'printf %s ann | openssl dgst -sha256 -hmac "$KEY" -r | cut -c1-32'
    said = subprocess.run(
        ["sh", "-c", line],
        env={"KEY": "k1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == pseudonym("k1", "ann")


def test_without_a_key_people_keep_their_ids() -> None:
    assert known_as(Settings(), "ann") == "ann"
    settings = Settings(trust=TrustSettings(pseudonym_key="hush"))
    assert known_as(settings, "ann") == pseudonym("hush", "ann")
    assert known_as(settings, "") == ""  # of an option not given


def test_the_key_is_shown_nowhere() -> None:
    settings = Settings(trust=TrustSettings(pseudonym_key="hush"))
    assert "hush" not in repr(settings) + repr(describe(settings))
