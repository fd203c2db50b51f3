"""SASRec as an online baseline: learns and ranks at the same moments as our own learner.

Knows the replay protocol (``lab.replay.contest.ReplayLearner``). What it says of an impression
orders the shown items and is no click rate.

Every accepted event, with the history before it, trains once as the last position of a
sequence: the earlier positions were events of their own. Each call of ``learn`` takes a step
on the fresh ones and on a sample of the newest earlier ones; what ranks are averaged weights.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from streamrec.core.examples import FloatArray
from streamrec.core.state.catalogue import UNKNOWN, Catalogue
from streamrec.core.state.user_state import UserState
from streamrec.lab.baselines.sasrec import BEGIN, FIRST_ITEM, PADDING, Sasrec, SasrecSettings
from streamrec.ports import LearnReport
from streamrec.tasks.ranking.examples import ExampleKind, RankingExample

HARD_NEGATIVES = 20
"""Items shown beside an accepted one, and not accepted, that are kept with it."""

CHUNK = 64
"""Sequences of similar length that go through the network together."""

DEFAULTS = SasrecSettings()

_CLIP = 5.0
_UNIFORM_SHARE = 0.5  # of the negatives; the others are drawn as often as they are accepted


class Accepted(NamedTuple):
    """One accepted event as tokens."""

    tokens: list[int]  # the history, then the accepted item
    shown: list[int]  # others shown with it; none for a next click


class SasrecScorer:
    """Frozen weights."""

    def __init__(self, network: Sasrec, catalogue: Catalogue, max_length: int) -> None:
        self.network, self._catalogue, self._max_length = network, catalogue, max_length

    def rank(
        self,
        users: Sequence[UserState],
        now_ms: Sequence[int],  # noqa: ARG002 - the order of clicks is all it knows of time
        features: object,  # noqa: ARG002
        queries: Sequence[str] = (),  # noqa: ARG002
    ) -> FloatArray:
        """Logits of the catalogue's items as the users' next ones: (B, N)."""
        return self.scores([user.history for user in users])

    def scores(self, histories: Sequence[Sequence[str]]) -> FloatArray:
        tokens_BL = _padded([_tokens(self._catalogue, h, self._max_length) for h in histories])
        with torch.no_grad():
            scores: FloatArray = self.network.scores(tokens_BL).numpy()
        return scores

    def score(self, examples: Sequence[RankingExample]) -> list[FloatArray]:
        """Share of each candidate in a softmax over the example's candidates."""
        scores_BN = self.scores([example.history for example in examples])
        out = []
        for example, scores_N in zip(examples, scores_BN, strict=True):
            rows_C = self._catalogue.rows(example.candidates)
            known_C = (rows_C >= 0) & (rows_C < len(scores_N))
            logits_C = np.where(known_C, scores_N[np.where(known_C, rows_C, 0)], scores_N.min())
            weights_C = np.exp(logits_C - logits_C.max())
            out.append((weights_C / weights_C.sum()).astype(np.float32))
        return out


class SasrecLearner:
    """``learn`` and ``snapshot`` of ``lab.replay.replay``; deterministic under its seed."""

    def __init__(self, catalogue: Catalogue, settings: SasrecSettings = DEFAULTS) -> None:
        self._catalogue, self._settings = catalogue, settings
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.network = Sasrec(settings).eval()
            self._dropout_state = torch.get_rng_state()
        self._torch = torch.Generator().manual_seed(settings.seed)
        self._numpy = np.random.default_rng(settings.seed)
        self.optimiser = torch.optim.Adam(self.network.parameters(), settings.learning_rate)
        self._memory: list[Accepted] = []
        self._accepts_N = np.zeros(0)
        self._steps = 0
        self._averaged = {n: p.detach().clone() for n, p in self.network.named_parameters()}

    def snapshot(self) -> SasrecScorer:
        """The averaged weights."""
        self._make_room()
        frozen = copy.deepcopy(self.network)
        frozen.load_state_dict(self._averaged)
        return SasrecScorer(frozen, self._catalogue, self._settings.max_length)

    def learn(self, examples: Sequence[RankingExample]) -> LearnReport:
        """A few steps on what was accepted in these examples; none when nothing was."""
        self._make_room()
        fresh = [accepted for example in examples for accepted in self._accepted(example)]
        for tokens, _ in fresh:
            self._accepts_N[tokens[-1] - FIRST_ITEM] += 1
        with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
            torch.set_rng_state(self._dropout_state)
            batches = fresh_and_replayed(fresh, self._memory, self._settings, self._numpy)
            losses = [self._step(batch) for batch in batches]
            self._dropout_state = torch.get_rng_state()
        self._memory = [*self._memory, *fresh][-self._settings.memory :]
        mean = {"softmax": float(np.mean(losses))} if losses else {}
        return LearnReport(len(examples), len(losses), 0, mean)

    def _make_room(self) -> None:
        """Rows for items that have come since, and the optimiser's memory of the old ones."""
        for old, new in self.network.grow(len(self._catalogue), self._torch).items():
            for group in self.optimiser.param_groups:
                group["params"] = [new if p is old else p for p in group["params"]]
            state = self.optimiser.state.pop(old, {})
            self.optimiser.state[new] = {
                name: _grown(value, len(new)) if value.shape == old.shape else value
                for name, value in state.items()
            }
        for name, weights in self.network.named_parameters():
            kept = len(self._averaged[name])
            self._averaged[name] = torch.cat([self._averaged[name], weights.detach()[kept:]])
        missing = len(self._catalogue) - len(self._accepts_N)
        self._accepts_N = np.pad(self._accepts_N, (0, missing))

    def _accepted(self, example: RankingExample) -> Iterator[Accepted]:
        if example.kind is ExampleKind.VIEW:  # an accepted one comes as NEXT_CLICK too
            return
        past = _tokens(self._catalogue, example.history, self._settings.max_length)
        rows_C = self._catalogue.rows(example.candidates)
        known_C, accepted_C = rows_C != UNKNOWN, example.labels_C > 0
        shown: list[int] = []
        if example.kind is ExampleKind.IMPRESSION:
            shown = (rows_C[known_C & ~accepted_C] + FIRST_ITEM).tolist()[:HARD_NEGATIVES]
        for token in (rows_C[known_C & accepted_C] + FIRST_ITEM).tolist():
            yield Accepted([*past, token], shown)

    def _step(self, batch: list[Accepted]) -> float:
        """One optimiser step; the mean loss of an accepted event."""
        network = self.network.train()
        negatives = self._draw_negatives()
        batch.sort(key=lambda accepted: len(accepted.tokens))
        total = 0.0
        self.optimiser.zero_grad()
        for start in range(0, len(batch), CHUNK):
            tokens, shown = zip(*batch[start : start + CHUNK], strict=True)
            tokens_BL, shown_BS = _padded(tokens), _padded(shown)
            wanted_BD, targets_B = network(tokens_BL[:, :-1])[:, -1], tokens_BL[:, -1]
            loss = network.softmax_loss(wanted_BD, targets_B, *negatives)
            loss = loss + network.shown_loss(wanted_BD, targets_B, shown_BS)
            (loss / len(batch)).backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
        self.optimiser.step()
        self._average(network.eval())
        return total / len(batch)

    @torch.no_grad()
    def _average(self, network: Sasrec) -> None:
        """Exponential, and of all steps so far while there are few (Polyak & Juditsky 1992)."""
        self._steps += 1
        share = max(1.0 - self._settings.averaging, 1.0 / self._steps)
        for name, weights in network.named_parameters():
            self._averaged[name].lerp_(weights, share)

    def _draw_negatives(self) -> tuple[Tensor, Tensor]:
        """Tokens and log of their expected count: half by acceptance, half by chance."""
        items, wanted = len(self._accepts_N), self._settings.negatives
        if wanted >= items:
            return torch.arange(FIRST_ITEM, FIRST_ITEM + items), torch.zeros(items)
        accepted_N = self._accepts_N / self._accepts_N.sum()
        q_N = (1.0 - _UNIFORM_SHARE) * accepted_N + _UNIFORM_SHARE / items
        rows_M = self._numpy.choice(items, size=wanted, p=q_N)
        return torch.from_numpy(rows_M + FIRST_ITEM), torch.from_numpy(
            np.log(wanted * q_N[rows_M]).astype(np.float32)
        )


def fresh_and_replayed(
    fresh: list[Accepted],
    memory: list[Accepted],
    settings: SasrecSettings,
    rng: np.random.Generator,
) -> Iterator[list[Accepted]]:
    """The fresh ones once, and each time others out of memory (none yet: no steps)."""
    earlier, count = len(memory), settings.replayed
    for step in range(settings.steps if fresh else 0):
        ages = earlier * rng.random(count if earlier else 0) ** settings.recency
        drawn = earlier - 1 - ages.astype(int)
        batch = [*(fresh if step == 0 else ()), *(memory[i] for i in drawn)]
        if batch:
            yield batch


def _grown(value: Tensor, rows: int) -> Tensor:
    return torch.cat([value, value.new_zeros(rows - len(value), *value.shape[1:])])


def _tokens(catalogue: Catalogue, history: Sequence[str], max_length: int) -> list[int]:
    rows = catalogue.rows(history)
    known = (rows[rows != UNKNOWN] + FIRST_ITEM).tolist()
    return [BEGIN, *known][-max_length:]


def _padded(sequences: Sequence[Sequence[int]]) -> Tensor:
    """Tokens with ``PADDING`` on the left: (B, L)."""
    longest = max(map(len, sequences))
    padded = [[PADDING] * (longest - len(s)) + list(s) for s in sequences]
    return torch.tensor(padded, dtype=torch.int64)
