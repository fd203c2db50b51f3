"""The encoder's LoRA steps against a bare PEFT loop on the same tensors; re-indexing.

    python -m benchmarks.encoder [--steps 30] [--texts 2000] [--dtype auto] [--batch 64]
                                [--compile]

    bare    PEFT's model on prepared token tensors: forward, pool, loss, backward, AdamW
    compiled  with --compile: the same, through torch.compile; a minute or two to compile
    cold    the same step by TextEncoder, texts never seen before: tokenizer and lower layers
    cached  the same step on texts seen before: the adapted layers only

    index   a catalogue encoded for the first time, and again with new adapter weights
    flip    the reference change of a hot swap

Figures are CPU seconds of this process on one thread, so that a busy machine blurs them
less; each ratio says how many times cheaper than its baseline. Titles are made up.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import peft
import psutil
import torch
import transformers
from torch import Tensor
from torch.nn import functional

from streamrec.core.events import Item
from streamrec.core.release.manifest import Manifest
from streamrec.core.state.catalogue import Catalogue
from streamrec.models.encoder import TextEncoder
from streamrec.models.generation import expectations, write_manifest, write_weights
from streamrec.models.hotswap import encoded_generations
from streamrec.models.loading import load_encoder
from streamrec.models.weights import find_weights
from streamrec.settings import EncoderSettings

WORDS = tuple(
    word
    for line in (
        "the of a in night day love war house river last first dark blue city king queen girl man",
        "stranger story return secret winter summer dead life road island heart stone fire garden",
    )
    for word in line.split()
)
GENRES = ("Drama", "Comedy", "Crime", "Horror", "Romance", "Documentary", "Adventure", "Thriller")


def titles(count: int, seed: int) -> list[str]:
    """Film-like texts of about a dozen tokens, all different."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(most: int, words: Sequence[str]) -> list[str]:
        length = int(torch.randint(1, most + 1, (1,), generator=generator))
        picks = torch.randint(len(words), (length,), generator=generator).tolist()
        return [words[pick] for pick in picks]

    return [
        f"{' '.join(drawn(6, WORDS)).title()} {seed}{n} ({1930 + n % 95}). "
        f"{', '.join(drawn(3, GENRES))}"
        for n in range(count)
    ]


def contrast(vectors_BD: Tensor) -> Tensor:
    """A step's loss: the second half of the batch are the first half's targets."""
    queries, targets = vectors_BD.chunk(2)
    return functional.cross_entropy(20 * queries @ targets.T, torch.arange(len(queries)))


def train(
    embed: Callable[[int], Tensor], parameters: Sequence[torch.nn.Parameter], steps: int
) -> float:
    """CPU seconds per step, after three to warm up."""
    optimiser = torch.optim.AdamW(parameters, lr=2e-4)
    start = 0.0
    for step in range(steps + 3):
        if step == 3:
            start = time.process_time()
        loss = contrast(embed(step))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return (time.process_time() - start) / steps


def bare_step_s(
    settings: EncoderSettings, batches: list[list[str]], steps: int, *, compiled: bool = False
) -> float:
    directory = find_weights(settings.model).directory
    encoder_dtype = torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    model = peft.get_peft_model(
        transformers.AutoModel.from_pretrained(directory, dtype=encoder_dtype),
        peft.LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            target_modules=["query", "value"],
            layers_to_transform=[4, 5],
        ),
    ).eval()
    tensors = [
        tokenizer(
            batch, padding=True, truncation=True, max_length=settings.max_tokens,
            return_tensors="pt",
        )
        for batch in batches
    ]  # fmt: skip

    run = torch.compile(model, dynamic=True) if compiled else model

    def embed(step: int) -> Tensor:
        batch = tensors[step % len(tensors)]
        hidden_BTD = run(**batch).last_hidden_state.float()
        mask_BT1 = batch["attention_mask"].unsqueeze(-1)
        return functional.normalize((hidden_BTD * mask_BT1).sum(1) / mask_BT1.sum(1), dim=-1)

    return train(embed, [p for p in model.parameters() if p.requires_grad], steps)


def encoder_step_s(encoder: TextEncoder, batches: list[list[str]], steps: int) -> float:
    return train(
        lambda step: encoder.embed(batches[step % len(batches)]),
        encoder.trainable_parameters(),
        steps,
    )


def index_s(encoder: TextEncoder, texts: list[str]) -> tuple[float, float]:
    """CPU seconds: first encoding, and encoding again under other adapter weights."""
    start = time.process_time()
    encoder.encode(texts)
    middle = time.process_time()
    state = {name: tensor + 0.01 for name, tensor in encoder.adapter_state().items()}
    encoder.with_adapter(state).encode(texts)
    return middle - start, time.process_time() - middle


def flip_us(encoder: TextEncoder, directory: Path, flips: int = 10_000) -> list[float]:
    """Microseconds of each of many flips between two warm generations, sorted."""
    catalogue = Catalogue()
    catalogue.put(Item(f"i{n}", title) for n, title in enumerate(titles(100, 7)))
    swap = encoded_generations(encoder, expectations(encoder, "none", {"w": (1,)}), lambda g, _: g)
    names = []
    for sequence in (1, 2):
        place = directory / str(sequence)
        head = {"w": torch.full((1,), float(sequence))}
        write_weights(place, encoder, head, torch.zeros(encoder.dim))
        draft = Manifest(
            generation="", parent=None, encoder_version=encoder.encoder_version,
            base_model=encoder.base_name, base_digest=encoder.base_digest,
            feature_set="none", created_at_ms=0,
        )  # fmt: skip
        names.append(write_manifest(place, sequence, draft).generation)
        swap.stage(names[-1], place, catalogue)
    took = []
    for flip in range(flips):
        start = time.perf_counter_ns()
        swap.activate(names[flip % 2])
        took.append((time.perf_counter_ns() - start) / 1000)
    return sorted(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--compile", action="store_true")
    wish = parser.parse_args()
    torch.set_num_threads(1)
    encoder = load_encoder(EncoderSettings(dtype=wish.dtype))
    dtype = str(encoder.frozen_dtype).removeprefix("torch.")
    settings = EncoderSettings(dtype=dtype)
    fresh = titles(wish.batch * (wish.steps + 3), 1)
    batches = [fresh[at : at + wish.batch] for at in range(0, len(fresh), wish.batch)]
    print(
        f"{platform.machine()}, {os.cpu_count()} CPUs, torch {torch.__version__}, {dtype}, one "
        f"thread; {wish.steps} steps of {wish.batch} texts, {wish.texts} texts indexed"
    )
    bare = bare_step_s(settings, batches, wish.steps)
    steps = {"bare": bare}
    if wish.compile:
        steps["compiled"] = bare_step_s(settings, batches, wish.steps, compiled=True)
    steps |= {"cold": encoder_step_s(encoder, batches, wish.steps)}
    steps["cached"] = encoder_step_s(encoder, batches, wish.steps)
    for name, each_s in steps.items():
        print(f"{name:8} {1000 * each_s:8.1f} ms a step   {bare / each_s:5.2f} times bare's rate")
    first, again = index_s(encoder, titles(wish.texts, 2))
    print(f"index   {first:8.1f} s first, {again:.1f} s again   {first / again:5.2f} times faster")
    with tempfile.TemporaryDirectory() as directory:
        took = flip_us(encoder, Path(directory))
    p50, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
    print(f"flip    {p50:8.2f} us median, {p99:.2f} us p99")
    print(f"memory  {psutil.Process().memory_info().rss >> 20:8} MiB resident")


if __name__ == "__main__":
    main()
