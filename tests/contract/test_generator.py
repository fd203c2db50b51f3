"""One contract for whoever writes replies: in this process, and a server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamrec.errors import GenerationRefused
from streamrec.infra.inference.openai_server import ServedGenerator
from streamrec.models.writer import CausalWriter
from streamrec.ports import Generator, Grammar, Wanted
from tests.fakes.causal_models import stirred, tiny_writer
from tests.fakes.inference_server import FakeInferenceServer

SLOT = re.compile(r"\[\[(\w+)\]\]")
MODEL = tiny_writer()


class World:
    """A generator with a model of random weights, and adapters to load."""

    def __init__(self, kind: str, scratch: Path) -> None:
        self.scratch = scratch
        self.server = FakeInferenceServer(CausalWriter(MODEL)) if kind == "server" else None
        self.generator: Generator = (
            ServedGenerator(self.server.url) if self.server else CausalWriter(MODEL)
        )

    def close(self) -> None:
        if self.server and isinstance(self.generator, ServedGenerator):
            self.generator.close()
            self.server.close()
            assert not self.server.mismatched

    def adapter(self, name: str) -> Path:
        directory = self.scratch / name
        seed = sum(map(ord, name))
        MODEL.with_adapter(stirred(MODEL, seed)).save_adapter(directory)
        return directory

    def load(self, *names: str) -> None:
        for name in names:
            self.generator.load(name, self.adapter(name))


def wanted(generation: str, seed: int = 0, rest: str = "Something funny?", **how) -> Wanted:
    return Wanted("Answer.", rest, generation, Grammar(("1", "2", "A"), **how), seed)


@pytest.fixture(params=["in process", "server"])
def world(request, tmp_path) -> Iterator[World]:
    world = World(request.param, tmp_path)
    yield world
    world.close()


def test_nothing_is_loaded_at_first(world) -> None:
    assert world.generator.status().loaded == ()
    with pytest.raises(GenerationRefused, match="g1"):
        world.generator.generate([wanted("g1")])


def test_what_is_loaded_writes_by_the_grammar(world) -> None:
    world.load("g1")
    world.generator.load("g1", world.scratch / "g1")  # free
    assert world.generator.status().loaded == ("g1",)
    for one in world.generator.generate([wanted("g1", seed) for seed in range(4)]):
        named = SLOT.findall(one.text)
        assert 1 <= len(named) <= 3
        assert set(named) <= {"1", "2", "A"}
        assert not set(SLOT.sub("", one.text)) & set("[]<>{}\n")


def test_equal_seeds_give_equal_replies_and_others_others(world) -> None:
    world.load("g1")
    texts = [world.generator.generate([wanted("g1", seed)])[0].text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_a_stream_is_the_text_in_pieces(world) -> None:
    world.load("g1")
    pieces: list[tuple[int, str]] = []
    written = world.generator.generate(
        [wanted("g1", 3), wanted("g1", 4, "A story")], lambda i, piece: pieces.append((i, piece))
    )
    for row, one in enumerate(written):
        mine = [piece for i, piece in pieces if i == row]
        assert "".join(mine) == one.text
        assert len(mine) > 3
        assert all(piece.count("[[") == piece.count("]]") for piece in mine)


def test_each_row_is_written_by_its_own_generation(world) -> None:
    world.load("g1", "g2")
    alone = [
        world.generator.generate([wanted(generation, 5)])[0].text for generation in ("g1", "g2")
    ]
    together = world.generator.generate([wanted("g2", 5), wanted("g1", 5)])
    assert [one.text for one in together] == alone[::-1]
    assert alone[0] != alone[1]


def test_a_damaged_adapter_is_refused_and_nothing_changes(world) -> None:
    world.load("g1")
    before = world.generator.generate([wanted("g1")])[0].text
    (world.adapter("g2") / "adapter_model.safetensors").write_bytes(b"nothing")
    with pytest.raises(GenerationRefused):
        world.generator.load("g2", world.scratch / "g2")
    assert world.generator.status().loaded == ("g1",)
    assert world.generator.generate([wanted("g1")])[0].text == before


def test_a_retired_generation_begins_nothing_new(world) -> None:
    world.load("g1", "g2")
    world.generator.retire("g1")
    world.generator.retire("nobody")
    assert world.generator.status().loaded == ("g2",)
    with pytest.raises(GenerationRefused, match="g1"):
        world.generator.generate([wanted("g2"), wanted("g1")])


def test_a_swap_in_the_middle_of_a_reply_changes_nothing_in_it(world) -> None:
    world.load("g1")
    alone = world.generator.generate([wanted("g1", 7)])[0].text
    swapped = []

    def swap(_: int, __: str) -> None:
        if not swapped:
            swapped.append(world.generator.status().writing)
            world.generator.retire("g1")
            world.load("g2")

    assert world.generator.generate([wanted("g1", 7)], swap)[0].text == alone
    assert swapped == [1]
    assert world.generator.status().loaded == ("g2",)
    assert world.generator.status().writing == 0
