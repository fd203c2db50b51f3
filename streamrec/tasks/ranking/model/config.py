"""From settings to a config of learning, or every reason why there is none.

Knows which settings of learning exclude each other. Does not know how a step is taken, nor
which adapter fits which model (``models.lora.problems``).
"""

from __future__ import annotations

from dataclasses import fields, replace

from streamrec.errors import SettingsError
from streamrec.models.encoder import TextEncoder
from streamrec.models.loading import native_bfloat16
from streamrec.settings import Adapter, LearningSettings, Precision, Settings
from streamrec.tasks.ranking.model.adapter_trainer import LEARNING_RATE, AdapterConfig
from streamrec.tasks.ranking.model.encoder_rollout import RolloutSchedule
from streamrec.tasks.ranking.model.head_trainer import HeadConfig
from streamrec.tasks.ranking.model.learner import LearnerConfig
from streamrec.tasks.ranking.quota import QuotaRules

PREFIX = "STREAMREC_LEARNING_"


def learner_config(settings: Settings, encoder: TextEncoder) -> LearnerConfig:
    """How a learner over ``encoder`` learns.

    Raises:
        SettingsError: a combination that cannot work, with every reason.
    """
    found = problems(settings, native=native_bfloat16(encoder.device))
    if found:
        raise SettingsError(found)
    learning = settings.learning
    adapter = AdapterConfig(
        learning_rate=learning.rate or LEARNING_RATE,
        examples=learning.examples,
        clip_norm=learning.clip_norm,
        weight_decay=learning.weight_decay,
        chunks=learning.accumulate,
        bfloat16=learning.precision is Precision.BFLOAT16,
        seed=settings.trainer.seed,
    )
    trainer = settings.trainer
    quota = QuotaRules(trainer.quota_window, trainer.quota_user_share, trainer.quota_item_share)
    head = settings.head
    head_config = HeadConfig(learning_rate=head.rate)
    return replace(
        LearnerConfig(),
        replayed=head.replayed,
        recent=head.recent,
        reservoir=head.reservoir,
        quota=quota,
        head=head_config,
        adapter=adapter,
        schedule=RolloutSchedule() if learning.challenge else RolloutSchedule(shadow_steps=0),
    )


def problems(settings: Settings, *, native: bool) -> list[str]:
    """Why these settings of learning cannot work; ``native``: the device multiplies bfloat16."""
    learning, adapter = settings.learning, settings.encoder.adapter
    found = []
    if learning.precision is Precision.BFLOAT16 and not native:
        found.append(
            f"{PREFIX}PRECISION=bfloat16, but this device does not multiply it; emulated, it is "
            "slower and less exact than float32"
        )
    if adapter is Adapter.NONE:
        changed = _changed(learning)
        found += [
            f"{PREFIX}{name.upper()} with STREAMREC_ENCODER_ADAPTER=none: nothing of the encoder "
            "is trained; the head learns as it always does"
            for name in changed
        ]
    return found


def _changed(learning: LearningSettings) -> list[str]:
    """Settings that are not as they were."""
    usual = LearningSettings()
    names = [spec.name for spec in fields(LearningSettings)]
    return [name for name in names if getattr(learning, name) != getattr(usual, name)]
