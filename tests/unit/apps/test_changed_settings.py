"""Settings that shape weights, compared with what a champion was made with: for status, doctor."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from streamrec.apps import clients
from streamrec.apps.live import without_canary
from streamrec.cli.doctor import CheckResult, shape
from streamrec.core.release.manifest import Manifest
from streamrec.core.tasks import COPY
from streamrec.settings import Adapter, CanarySettings, EncoderSettings, Settings

MADE = Manifest(
    "g000004-00000000", None, "v", EncoderSettings().model, "d" * 64, "f", 1,
    settings={"encoder": asdict(EncoderSettings())},
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"dropout": 0.1, "cache_mb": 1}, []),  # of learning and of memory: not of the shape
        ({"rank": 16}, ["STREAMREC_ENCODER_RANK 8, now 16"]),
        ({"prompt": "query: "}, ["STREAMREC_ENCODER_PROMPT empty, now query: "]),
        (
            {"adapter": Adapter.DORA, "max_tokens": 64},
            ["STREAMREC_ENCODER_MAX_TOKENS 32, now 64", "STREAMREC_ENCODER_ADAPTER lora, now dora"],
        ),
        ({"model": "me/mine"}, [f"STREAMREC_ENCODER_MODEL {MADE.base_model}, now me/mine"]),
    ],
)
def test_what_is_other_now_is_named_by_its_setting(change, said: list[str]) -> None:
    settings = Settings(encoder=replace(EncoderSettings(), **change))
    assert clients.changed_since(settings, MADE) == said
    findings = list(shape(settings, "champion", MADE))
    assert [found.verdict for found in findings] == [CheckResult.NOTE] * bool(said)
    for found in findings:
        assert all(setting in found.detail for setting in said)
        assert "it answers until" in found.remedy


def test_a_manifest_without_settings_contradicts_nothing() -> None:
    assert clients.changed_since(Settings(), replace(MADE, settings={})) == []


def test_of_copy_only_what_it_takes_from_the_settings_is_compared() -> None:
    wanted = replace(EncoderSettings(), max_tokens=48, layers=3, rank=16, alpha=32.0)
    made = replace(MADE, settings={"encoder": asdict(wanted)})
    assert clients.changed_since(Settings(), made, COPY) == []
    assert len(clients.changed_since(Settings(), made)) == 4, "ranking would learn another shape"
    mine = Settings(encoder=replace(EncoderSettings(), prompt="query: "))
    assert clients.changed_since(mine, made, COPY) == [
        "STREAMREC_ENCODER_PROMPT empty, now query: "
    ]


@pytest.mark.parametrize(("share", "told"), [(0.0, False), (0.1, True)])
def test_a_canary_that_a_task_cannot_have_is_said(share: float, *, told: bool) -> None:
    said = without_canary(Settings(canary=CanarySettings(share)), COPY)
    assert bool(said) is told
    assert not told or ("STREAMREC_CANARY_SHARE" in said and COPY in said)
