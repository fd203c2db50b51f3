"""A trainer of two processes, as ``torchrun`` starts them: one reads, both take encoder steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.language_models import save_tiny_model
from tests.harness.training_worker import Stream, installation
from tests.integration.test_trainer_worker import (
    assert_exactly_once,
    learned_everything,
    settings_of,
)

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(400)]


def test_two_processes_are_one_trainer(
    embedded_kafka: str, embedded_redis: str, fresh_prefix, tmp_path: Path
) -> None:
    model = save_tiny_model("bert", tmp_path / "model")
    settings = settings_of(embedded_kafka, embedded_redis, fresh_prefix, model, tmp_path)
    stream = Stream()
    with installation(settings, tmp_path) as place:
        trainer = place.trainer("trainer-1", ranks=2)
        trainer.until(lambda: place.state.champion)
        assert "process 2 of 2: learning with the first" in trainer.log
        place.send(stream.next_batches(20))
        trainer.until(lambda: learned_everything(place, stream))
        trainer.until(lambda: (s := place.status("trainer-1")) and s.gauges["candidates"] >= 1)
        trainer.terminate()  # torchrun's own exit code is 1 then
        assert "shut down" in trainer.log, "the second process was let go, not killed"
        assert place.status("trainer-1") is None
        assert_exactly_once(place, stream)
