"""A frozen language model that writes, with a small trainable adapter: what it would write, and how
likely what was written is.

Knows prompts as tokens, replies as tokens and their probabilities under a grammar. Does not know
how a reply is drawn (``writing``), what it is about or what it was worth.

Several ``CausalModel`` objects can stand on one frozen base (``with_adapter``): the one in
training, the one it started from, the champion's. They share every frozen weight.

Shapes: B replies, T tokens of a reply (padded on the right), P of a prompt (padded on the left),
N tokens of all replies of a batch, V tokens of the vocabulary.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import peft
import torch
import transformers
from jinja2 import TemplateError
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from streamrec.errors import EncoderUnavailable, SettingsError
from streamrec.models.adapted_model import AdaptedModel, FrozenBase
from streamrec.models.constraint import Constraint, TokenVocabulary
from streamrec.models.loading import device_of, dtype_for, pretrained, quietly
from streamrec.models.lora import Adapted, layer_list, low_rank, put_on, state_digest
from streamrec.models.weights import find_weights
from streamrec.ports import Grammar
from streamrec.settings import Adapter, EncoderSettings

LAYERS, RANK = 10, 8
"""Of the adapter: so many of the last layers, at this rank."""

SETTING = "STREAMREC_REPLIES_MODEL"

MAX_REST = 4_000
"""Characters of what follows the fixed part of a prompt; more are not read."""


@dataclass(frozen=True, slots=True)
class CausalBase(FrozenBase):
    """What all models over one frozen base share. Nothing in it depends on an adapter."""

    tokenizer: Any
    vocabulary: TokenVocabulary
    tokenizer_lock: threading.Lock = field(default_factory=threading.Lock)
    constraints: dict[Grammar, Constraint] = field(default_factory=dict)

    def prompt_ids(self, fixed: str, rest: str) -> tuple[int, ...]:
        """The tokens of a prompt, up to where the reply begins.

        By the model's own chat template, where it has one: ``fixed`` as the system's message,
        ``rest`` as the user's. Marks of the template within them are taken out.
        """
        fixed, rest = self._unmarked(fixed), self._unmarked(rest[:MAX_REST])
        with self.tokenizer_lock:
            text = f"{fixed}\n\n{rest}\n"
            if self.tokenizer.chat_template:
                messages = [
                    {"role": "system", "content": fixed},
                    {"role": "user", "content": rest},
                ]
                text = self.tokenizer.apply_chat_template(
                    messages, tokenize=False, add_generation_prompt=True
                )
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return tuple(ids)

    def text(self, tokens: Sequence[int]) -> str:
        """What a reply's tokens say, without its end."""
        said = [token for token in tokens if token not in self.vocabulary.ends]
        with self.tokenizer_lock:
            return str(self.tokenizer.decode(said))

    def reply_ids(self, text: str, grammar: Grammar) -> tuple[int, ...]:
        """The tokens that a model writes this reply with, and its end: to learn from a text.

        Raises ValueError where the text is not of the grammar.
        """
        constraint = self.constraint(grammar)
        with self.tokenizer_lock:
            return constraint.tokens(text)

    def constraint(self, grammar: Grammar) -> Constraint:
        """Raises SettingsError where the tokenizer cannot write the grammar's slots."""
        with self.tokenizer_lock:
            if grammar not in self.constraints:
                if len(self.constraints) >= KEPT_GRAMMARS:
                    self.constraints.clear()
                self.constraints[grammar] = Constraint(self.vocabulary, grammar)
            return self.constraints[grammar]

    def _unmarked(self, text: str) -> str:
        """Without the tokenizer's special marks, nor any that appear when one is taken out."""
        marks = sorted(self.tokenizer.get_added_vocab(), key=len, reverse=True)
        if not marks:
            return text
        pattern, before = re.compile("|".join(map(re.escape, marks))), ""
        while before != text:
            before, text = text, pattern.sub("", text)
        return text


KEPT_GRAMMARS = 64


@dataclass(frozen=True, slots=True)
class Reply:
    """What was written, to be scored: ``temperature``, above 0, is what it was drawn with."""

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    grammar: Grammar
    temperature: float


@dataclass(frozen=True, slots=True, eq=False)
class ScoredReplies:
    """In nats, 0 where a reply has ended. ``kl_BT``: of this model to the reference."""

    log_probabilities_BT: Tensor
    kl_BT: Tensor


class CausalModel(AdaptedModel):
    """Replies and their probabilities, with one adapter's weights."""

    _base: CausalBase

    @property
    def base(self) -> CausalBase:
        return self._base

    @property
    def encoder_version(self) -> str:
        """Two models with the same version write the same (up to rounding)."""
        parts = [self._base.digest, self.adapted.signature, state_digest(self.adapter_state())]
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]

    def score(
        self, replies: Sequence[Reply], reference: CausalModel | None = None
    ) -> ScoredReplies:
        """How likely each token was among those that its grammar allowed; with gradients.

        ``reference``: what the divergence is measured to, without gradients: exact, summed over
        the vocabulary. Without one it is 0. One batch: the caller chooses its size.

        Raises ValueError for a token that the grammar does not allow.
        """
        mine_NV = self._distribution(replies)
        ids_N = torch.tensor([token for reply in replies for token in reply.token_ids])
        said_N = mine_NV.gather(-1, ids_N.to(mine_NV.device).unsqueeze(-1)).squeeze(-1)
        kl_N = torch.zeros_like(said_N)
        if reference is not None:
            with torch.no_grad():
                theirs_NV = reference._distribution(replies)
            kl_N = (mine_NV.exp() * (mine_NV - theirs_NV)).sum(dim=-1)
        lengths = [len(reply.token_ids) for reply in replies]
        said_BT, kl_BT = (
            pad_sequence(list(torch.split(values_N, lengths)), batch_first=True)
            for values_N in (said_N, kl_N)
        )
        return ScoredReplies(said_BT, kl_BT)

    def _distribution(self, replies: Sequence[Reply]) -> Tensor:
        """log p (N, V) of all tokens of the replies, one reply after the other."""
        logits_NV = self._logits(replies).float()
        rows = [(self._base.constraint(r.grammar).masks(r.token_ids), r) for r in replies]
        warmth_N = torch.tensor([r.temperature for masks_TV, r in rows for _ in masks_TV])
        allowed_NV = torch.cat([masks_TV for masks_TV, _ in rows])
        warm_NV = logits_NV / warmth_N.to(logits_NV.device).unsqueeze(-1)
        return warm_NV.masked_fill(~allowed_NV.to(logits_NV.device), LOWEST).log_softmax(-1)

    def _logits(self, replies: Sequence[Reply]) -> Tensor:
        """(N, V). What all prompts begin with is read once, with gradients like the rest; prompts
        end and replies begin in one column, so the head sees no more than those tokens."""
        begun, device = _common([reply.prompt_ids for reply in replies]), self.device
        prompts = [torch.tensor(reply.prompt_ids[begun:]) for reply in replies]
        said = [torch.tensor(reply.token_ids) for reply in replies]
        P, T = max(map(len, prompts)), max(map(len, said))
        ids_BS = torch.zeros(len(replies), P + T, dtype=torch.long)
        mask_BS = torch.zeros_like(ids_BS)
        for row, (prompt, reply) in enumerate(zip(prompts, said, strict=True)):
            ids_BS[row, P - len(prompt) : P + len(reply)] = torch.cat([prompt, reply])
            mask_BS[row, P - len(prompt) : P + len(reply)] = 1
        read = None
        if begun:
            ids = torch.tensor([replies[0].prompt_ids[:begun]], device=device)
            read = self.adapted.root(input_ids=ids, use_cache=True, logits_to_keep=1)
            read.past_key_values.batch_repeat_interleave(len(replies))
        positions_BS = (mask_BS.cumsum(dim=1) - 1).clamp(min=0) + begun
        whole_BS = torch.cat([torch.ones(len(replies), begun, dtype=torch.long), mask_BS], dim=1)
        out = self.adapted.root(
            input_ids=ids_BS[:, :-1].to(device),
            attention_mask=whole_BS[:, :-1].to(device),
            position_ids=positions_BS[:, :-1].to(device),
            past_key_values=None if read is None else read.past_key_values,
            logits_to_keep=torch.arange(P - 1, P + T - 1, device=device),
            use_cache=read is not None,
        )
        logits_NV: Tensor = out.logits[mask_BS[:, P:].bool().to(device)]
        return logits_NV


def _common(prompts: Sequence[Sequence[int]]) -> int:
    """With how many tokens all of them begin; of each, one is left."""
    shortest = min(map(len, prompts)) - 1
    for place in range(shortest):
        if any(prompt[place] != prompts[0][place] for prompt in prompts):
            return place
    return shortest


PLAIN = "eager"
"""Attention on a CPU: for some hundred tokens, torch's fused one takes twice as long to learn by
(docs/adr/0041)."""

LOWEST = -1e30
"""Of what is not allowed: no probability, and still a number to compute with."""


def reply_model(encoder: EncoderSettings, model: str) -> EncoderSettings:
    """Settings of the model that writes: on the encoder's machine, with an adapter of its own."""
    return EncoderSettings(
        model=model,
        device=encoder.device,
        dtype=encoder.dtype,
        threads=encoder.threads,
        adapter=Adapter.LORA,
        layers=LAYERS,
        rank=RANK,
    )


def load_causal(settings: EncoderSettings) -> CausalModel:
    """The language model of the settings with a fresh adapter, ready to write.

    Raises:
        EncoderUnavailable: the weights cannot be found or read; says how to get them.
        SettingsError: it cannot be adapted, or cannot write.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    quietly()
    device = device_of(settings.device)
    weights = find_weights(settings.model, setting=SETTING)
    try:
        model = pretrained(
            transformers.AutoModelForCausalLM,
            weights.directory,
            _dtype(settings.dtype, device),
            attn_implementation=PLAIN if device.type == "cpu" else None,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            weights.directory, local_files_only=True
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise EncoderUnavailable(f"{settings.model} cannot be read: {error}") from error
    return build_causal(
        model, tokenizer, settings, name=weights.name, digest=weights.digest, device=device
    )


def build_causal(
    model: Any,
    tokenizer: Any,
    settings: EncoderSettings,
    *,
    name: str,
    digest: str,
    device: torch.device | None = None,
) -> CausalModel:
    """Around a loaded transformer with a language model's head, which it takes over.

    Raises SettingsError: it cannot be adapted, or does not say how a reply ends.
    """
    device = device or torch.device("cpu")
    ends = _ends(model, tokenizer)
    if not ends:
        raise SettingsError([f"{name} does not say how a reply ends: no eos_token_id"])
    adapted = _adapted(model.eval().to(device), settings)
    adapted.root.eval()
    base = CausalBase(
        name=name,
        digest=digest,
        dim=int(model.config.hidden_size),
        device=device,
        tokenizer=tokenizer,
        vocabulary=TokenVocabulary(tokenizer, int(model.config.vocab_size), ends),
    )
    try:
        base.prompt_ids("system", "user")
    except TemplateError as error:
        raise SettingsError([f"{name}'s chat template refuses our prompt: {error}"]) from error
    return CausalModel(base, adapted)


def _dtype(wish: str, device: torch.device) -> torch.dtype:
    """float32 on a CPU unless asked for otherwise: one token at a time, bfloat16 is no faster
    there, and what was likely when it was written is then as likely when it is learned."""
    return dtype_for("float32" if (wish, device.type) == ("auto", "cpu") else wish, device)


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """What ends a reply. A tokenizer out of a GGUF file may name another token as its end."""
    said = getattr(model.generation_config, "eos_token_id", None)
    if said is None:
        said = tokenizer.eos_token_id
    return frozenset([said] if isinstance(said, int) else said or ())


def _adapted(model: Any, settings: EncoderSettings) -> Adapted:
    """LoRA on the last layers; fewer than the settings say where the model has fewer."""
    model.requires_grad_(False)
    name, layers = layer_list(model)
    settings = replace(settings, layers=min(settings.layers, len(layers)))
    config = peft.LoraConfig(
        **{**low_rank(settings, model, name, layers), "task_type": peft.TaskType.CAUSAL_LM}
    )
    first = len(layers) - settings.layers
    return put_on(model, config, settings, Adapter.LORA, first)
