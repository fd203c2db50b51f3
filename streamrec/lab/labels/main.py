"""Learning from labelled texts, put together: a file, a language model, a directory.

Order: everything that can be refused is looked at; rows are cut in three; the frozen model reads
all of them, and a logistic head on its vectors is its best; adapter and head go on from there,
epoch after epoch, kept as they go; the best epoch is judged on the test part and written.

Loads torch and the language model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from streamrec.errors import SettingsError, UserError
from streamrec.lab.labels import checkpoint
from streamrec.lab.labels.fitting import FitPlan, FitProgress, FitState, Fitting
from streamrec.lab.labels.judged import judged
from streamrec.lab.labels.parts import LabelParts, cut
from streamrec.lab.labels.probe import Floats, Probe, fitted
from streamrec.lab.labels.rows import LabelledText, read_labels
from streamrec.lab.labels.written import read_report, write
from streamrec.models.encoder import TextEncoder
from streamrec.models.loading import load_encoder
from streamrec.models.weights import find_weights
from streamrec.settings import Adapter, EncoderSettings, Pooling, Settings

CACHE_MB = 2048
ENCODED_AT_ONCE = 256
OPTIONS = {
    "STREAMREC_ENCODER_RANK=": "--rank ",
    "STREAMREC_ENCODER_LAYERS=": "--layers ",
    "STREAMREC_ENCODER_MAX_TOKENS=": "--max-tokens ",
}


@dataclass(frozen=True, slots=True)
class LabelsPlan:
    """What the command line asks for. ``model``: empty, the one of the settings."""

    labels: str
    out: Path
    model: str = ""
    fit: FitPlan = FitPlan()
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    rank: int = 8
    layers: int = 2
    max_tokens: int = 128
    resume: bool = False


Say = Callable[[str], None]
Advance = Callable[[str, int, int, float], None]
"""What is being done, done, of so many, texts a second."""


def run_labels(
    settings: Settings,
    plan: LabelsPlan,
    say: Say = lambda _: None,
    advance: Advance = lambda *_: None,
) -> dict[str, Any]:
    """The report; the adapter is in ``plan.out``.

    Raises:
        BadFile: a line of the file cannot be used.
        UserError: one label only, too few rows, a directory with something else in it.
        EncoderUnavailable, SettingsError: the language model cannot be made.
    """
    rows = read_labels(plan.labels)
    parts = cut(rows, plan.shares, plan.fit.seed)
    wanted = _encoder_settings(settings.encoder, plan)
    made_with = _made_with(rows, wanted, plan)
    if (ended := _ready(plan, made_with)) is not None:
        say(f"{plan.out} holds the whole of this run already")
        return ended
    encoder = _load(wanted)
    told = parts.counted()
    say(
        f"{told['train']['rows']:,} texts to learn from, {told['dev']['rows']:,} to stop by, "
        f"{told['test']['rows']:,} to judge by"
    )
    if parts.contradicted:
        say(f"{parts.contradicted:,} texts have both labels: nobody can be right about both")
    frozen = [_vectors(encoder, part, advance) for part in (parts.train, parts.dev, parts.test)]
    start, penalty = fitted(frozen[0], _labels(parts.train), frozen[1], _labels(parts.dev))
    fitting = Fitting(encoder, start, penalty, parts, plan.fit)
    _go_on(fitting, plan, made_with, say)
    state = _fit(fitting, plan, made_with, advance, say)
    report = _report(plan, parts, state, made_with)
    report |= {"pooling": encoder.pooling.value, "prompt": wanted.prompt, "penalty": penalty}
    report["test"] = _test(parts, fitting.logits(parts.test), start, frozen[2], plan.fit.seed)
    report = write(plan.out, encoder, fitting.head.plain(), report)
    (plan.out / checkpoint.CHECKPOINT).unlink(missing_ok=True)
    return report


def _encoder_settings(settings: EncoderSettings, plan: LabelsPlan) -> EncoderSettings:
    """Those of the loop, as far as they are about another model not."""
    other = plan.model not in ("", settings.model)
    if other:
        settings = replace(settings, model=plan.model, prompt="", pooling=Pooling.AUTO)
    return replace(
        settings,
        adapter=Adapter.LORA,
        rank=plan.rank,
        alpha=2.0 * plan.rank,
        layers=plan.layers,
        max_tokens=plan.max_tokens,
        cache_mb=CACHE_MB,
    )


def _made_with(
    rows: Sequence[LabelledText], settings: EncoderSettings, plan: LabelsPlan
) -> dict[str, Any]:
    """What the same bits need. More epochs or patience only go on."""
    text = json.dumps([asdict(row) for row in rows])
    fit = asdict(plan.fit)
    return {
        "labels": hashlib.sha256(text.encode()).hexdigest(),
        "model": settings.model,
        "weights": find_weights(settings.model).digest,
        "prompt": settings.prompt,
        "shares": list(plan.shares),
        "rank": plan.rank,
        "layers": plan.layers,
        "max_tokens": plan.max_tokens,
        **{name: fit[name] for name in ("batch", "rate", "seed")},
    }


def _ready(plan: LabelsPlan, made_with: dict[str, Any]) -> dict[str, Any] | None:
    """Of a run that has ended in this directory: its report. Raises UserError."""
    out = plan.out
    try:
        out.mkdir(parents=True, exist_ok=True)
        there = {path.name for path in out.iterdir()} - {checkpoint.ASIDE}
    except OSError as error:
        raise UserError(f"--out {out}: {error.strerror}") from None
    ended = read_report(out)
    if ended is not None and plan.resume:
        checkpoint.check_same(out, ended["made_with"], made_with)
        return ended
    if ended is not None:
        raise UserError(f"{out} holds an adapter already: another --out, or delete it")
    if checkpoint.CHECKPOINT in there:
        if not plan.resume:
            raise UserError(f"{out} holds a run that has not ended: --resume, or another --out")
    elif there:
        raise UserError(f"--out {out} is not empty, and nothing of a run is in it")
    return None


def _load(settings: EncoderSettings) -> TextEncoder:
    """Raises SettingsError in the words of the command line."""
    try:
        return load_encoder(settings)
    except SettingsError as error:
        raise SettingsError([_as_option(problem) for problem in error.problems]) from None


def _as_option(problem: str) -> str:
    for name, option in OPTIONS.items():
        problem = problem.replace(name, option)
    return problem


def _vectors(encoder: TextEncoder, rows: Sequence[LabelledText], advance: Advance) -> Floats:
    """Of the frozen model, (N, D): the adapter is still none."""
    vectors_ND = np.zeros((len(rows), encoder.dim))
    order = sorted(range(len(rows)), key=lambda n: len(rows[n].text))  # of one length: faster
    for start in range(0, len(rows), ENCODED_AT_ONCE):
        places = order[start : start + ENCODED_AT_ONCE]
        texts = [rows[n].text for n in places]
        encoder.warm(texts)
        vectors_ND[places] = encoder.encode(texts).numpy()
        advance("the frozen model reads", start + len(texts), len(rows), 0.0)
    return vectors_ND


def _labels(rows: Sequence[LabelledText]) -> Floats:
    return np.array([row.label for row in rows], dtype=np.float64)


def _go_on(fitting: Fitting, plan: LabelsPlan, made_with: dict[str, Any], say: Say) -> None:
    found = checkpoint.kept(plan.out) if plan.resume else None
    if found is None:
        if plan.resume:
            say(f"{plan.out} holds no checkpoint: it begins at the beginning")
        return
    then, state, tensors = found
    checkpoint.check_same(plan.out, then, made_with)
    fitting.restore(FitState.of(state), tensors)
    say(f"going on in epoch {fitting.state.epoch}, {fitting.state.step:,} steps into it")


def _fit(
    fitting: Fitting, plan: LabelsPlan, made_with: dict[str, Any], advance: Advance, say: Say
) -> FitState:
    told = 0

    def keep(fitting: Fitting) -> None:
        nonlocal told
        checkpoint.keep(plan.out, made_with, fitting.state.as_dict(), fitting.tensors())
        for epoch in fitting.state.epochs[told:]:
            say(_told(epoch))
        told = len(fitting.state.epochs)

    def on_progress(at: FitProgress) -> None:
        doing = f"epoch {at.epoch} of at most {at.epochs}, loss {at.loss:.4f}"
        advance(doing, at.done, at.of, at.rate)

    return fitting.run(on_progress, keep)


def _told(epoch: Any) -> str:
    if not epoch.number:
        return f"frozen model: dev loss {epoch.dev_loss:.4f}, dev accuracy {epoch.dev_accuracy:.1%}"
    return (
        f"epoch {epoch.number}: loss {epoch.loss:.4f}, dev loss {epoch.dev_loss:.4f}, "
        f"dev accuracy {epoch.dev_accuracy:.1%}, {epoch.seconds:,.0f} s"
    )


def _report(
    plan: LabelsPlan, parts: LabelParts, state: FitState, made_with: dict[str, Any]
) -> dict[str, Any]:
    assert state.best is not None  # noqa: S101 - one epoch at least has run
    return {
        "made_with": made_with,
        "parts": parts.counted(),
        "repeated": parts.repeated,
        "contradicted": parts.contradicted,
        "epochs": [asdict(epoch) for epoch in state.epochs],
        "best_epoch": state.best.number,
        "stopped_early": len(state.epochs) <= plan.fit.epochs,
    }


def _test(
    parts: LabelParts, adapter_N: Floats, start: Probe, frozen_ND: Floats, seed: int
) -> dict[str, Any]:
    counted = parts.counted()["train"]
    majority = float(np.log(counted["ones"] / (counted["rows"] - counted["ones"])))
    answers = {"adapter": adapter_N, "frozen": start.logits(frozen_ND)}
    labels_N = np.array([row.label for row in parts.test])
    return judged(labels_N, parts.units, answers, majority, seed)
