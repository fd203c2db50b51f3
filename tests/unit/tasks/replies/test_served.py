"""Generations of replies where they are written with: checked, placed, told apart."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamrec.core.events import Item
from streamrec.core.replies.brief import Brief
from streamrec.core.replies.context import context_of
from streamrec.core.replies.plan import PLANS
from streamrec.core.state.catalogue import Catalogue
from streamrec.errors import GenerationRefused, Unavailable
from streamrec.infra.inference.openai_server import ServedGenerator
from streamrec.models.causal import CausalModel
from streamrec.models.generation import FILES
from streamrec.models.writer import CausalWriter
from streamrec.ports import Provenance
from streamrec.tasks.replies.model.generations import RepliesGenerations
from streamrec.tasks.replies.model.learner import RepliesLearner
from streamrec.tasks.replies.model.served import served_replies
from streamrec.tasks.replies.reply_model import TEMPLATES, ReplyModel, TemplatesFirst, wanted
from tests.fakes.causal_models import stirred, tiny_writer
from tests.fakes.inference_server import FakeInferenceServer

BRIEF = Brief("a film", (Item("i1", "One"), Item("i2", "Two")), (), PLANS[0])


@pytest.fixture(scope="module")
def model() -> CausalModel:
    return tiny_writer()


@pytest.fixture(scope="module")
def sealed(model: CausalModel, tmp_path_factory) -> dict[str, Path]:
    """Five generations, each with an adapter of its own."""
    generations = RepliesGenerations(model, {})
    found = {}
    for number in range(1, 6):
        learner = RepliesLearner(model.with_adapter(stirred(model, number)), seed=number)
        directory = tmp_path_factory.mktemp(f"g{number}")
        learner.write_generation(learner.snapshot(), directory)
        manifest = generations.seal(directory, provenance(number)).manifest
        found[manifest.generation] = directory
    return found


def provenance(number: int) -> Provenance:
    return Provenance(number, None, {0: (0, number)}, {}, (0, 1), 1, None, 1)


def said(model: ReplyModel, seed: int = 3) -> str:
    assert model.write is not None
    (written,) = model.write([wanted(BRIEF, model.generation, seed)], None)
    return written.text


def test_more_are_warm_than_have_a_place_and_each_writes_as_itself(model, sealed) -> None:
    swap = served_replies(model.with_adapter)
    for name, directory in sealed.items():
        swap.stage(name, directory, Catalogue())
    models = [swap.model(name) for name in sealed]
    texts = [said(one) for one in models]
    assert len(set(texts)) > 1, "other adapters, other words"
    assert [said(one) for one in models] == texts, "whoever had to make room in between"
    first = models[0]
    assert first.trained_through == {"0": 1}
    assert 0 <= first.choose(context_of("a film", ()), 1).index < len(PLANS)


@pytest.fixture
def server(model) -> Iterator[FakeInferenceServer]:
    made = FakeInferenceServer(CausalWriter(model))
    yield made
    made.close()


@pytest.fixture
def client(server) -> Iterator[ServedGenerator]:
    made = ServedGenerator(server.url)
    yield made
    made.close()


def test_a_server_writes_what_the_worker_would(model, sealed, server, client) -> None:
    (name, directory), *_ = sealed.items()
    here, there = (served_replies(model.with_adapter, server=one) for one in (None, client))
    for swap in (here, there):
        swap.stage(name, directory, Catalogue())
    assert server.writer.status().loaded == (name,)
    assert said(there.model(name)) == said(here.model(name))


def test_a_server_that_is_away_is_given_the_adapter_when_it_is_back(model, sealed, server, client):
    (name, directory), *_ = sealed.items()
    swap = served_replies(model.with_adapter, server=client)
    server.busy.append(503)
    swap.stage(name, directory, Catalogue())
    server.busy.append(503)
    with pytest.raises(Unavailable, match="503"):
        said(swap.model(name))
    assert said(swap.model(name))


@pytest.fixture(params=["in process", "server"])
def swap(request, model, client) -> TemplatesFirst:
    server = client if request.param == "server" else None
    return TemplatesFirst(served_replies(model.with_adapter, server=server), lambda: True)


@pytest.mark.parametrize("file", sorted(FILES))
def test_a_tampered_generation_never_speaks(swap, sealed, tmp_path, client, file) -> None:
    (name, directory), *_ = sealed.items()
    changed = shutil.copytree(directory, tmp_path / name)
    content = bytearray((changed / file).read_bytes())
    content[-1] ^= 1
    (changed / file).write_bytes(content)
    with pytest.raises(GenerationRefused):
        swap.stage(name, changed, Catalogue())
    assert swap.active.generation == TEMPLATES
    assert client.status().loaded == ()
    swap.stage(name, directory, Catalogue())
    swap.activate(name)
    assert swap.active.generation == name


def test_one_that_calls_itself_otherwise_is_refused(model, sealed) -> None:
    one, other, *_ = sealed
    with pytest.raises(GenerationRefused, match="not"):
        served_replies(model.with_adapter).stage(one, sealed[other], Catalogue())


def test_no_model_is_loaded_before_there_is_a_generation() -> None:
    def never() -> CausalModel:
        raise AssertionError("nobody has asked for it")

    swap = TemplatesFirst(served_replies(never), lambda: True)
    assert swap.ensure(Catalogue()) == 0
    assert swap.is_warm(TEMPLATES)
    assert swap.model(TEMPLATES).write is None
