"""Replies in the loop, on Apache Kafka and a real Redis: asked, answered once, joined once.

A replies worker is killed in the middle; what people think of its replies becomes examples.
"""

from __future__ import annotations

import subprocess
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path

import pytest

from streamrec.apps import clients
from streamrec.apps.replies_task import replies_generations, writing_settings
from streamrec.core import topics
from streamrec.core.events import (
    Interaction,
    Item,
    Kind,
    Recommendation,
    RecommendedItem,
    ReplyMessage,
    Trigger,
)
from streamrec.core.release import transitions
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.core.replies.refusals import Refusal
from streamrec.core.tasks import RANKING, REPLIES
from streamrec.infra.clock import SystemClock
from streamrec.infra.wire.follower import Follower
from streamrec.infra.wire.kafka_topics import create_topics
from streamrec.models.causal import load_causal
from streamrec.settings import (
    EncoderSettings,
    KafkaSettings,
    RedisSettings,
    RepliesSettings,
    Settings,
    TrainerSettings,
    child_environment,
)
from tests.fakes.causal_models import save_tiny_writer
from tests.harness.command_line import COMMAND, CommandLine
from tests.harness.waiting import eventually
from tests.harness.worker_process import WorkerProcess

pytestmark = [pytest.mark.apache_kafka, pytest.mark.redis_server, pytest.mark.slow]

ASKED = 48
FOLLOWED = (topics.REPLIES, topics.EVENTS, topics.TRAINING_BATCHES, topics.DEAD_LETTER)


class Replying:
    """An installation whose lists are asked for words, and what it says."""

    def __init__(self, settings: Settings, root: Path) -> None:
        self.settings, self.root = settings, root
        self.codec, self.clock = clients.codec(settings), SystemClock()
        self.publisher = clients.publisher(settings, "test")
        self.log = Follower(settings.kafka, self.codec, FOLLOWED, "test", from_start=True)
        self.seen = defaultdict(list)

    def worker(self, role: str, name: str) -> WorkerProcess:
        worker = WorkerProcess(role, name, self.settings, self.root / f"{name}.log")
        worker.start()
        return worker

    def send(self, topic: str, key: str, value: object) -> None:
        self.publisher.publish(topic, key.encode(), self.codec.encode(topic, value))

    def ask(self, number: int) -> None:
        user = f"u{number % 7}"
        about = Recommendation(
            recommendation_id=f"request:q{number}",
            user_id=user,
            items=tuple(RecommendedItem(f"i{(number + n) % 9}", 0.5) for n in range(5)),
            generation="g000001-11111111",
            trained_through={},
            trigger=Trigger.REQUEST,
            trigger_id=f"q{number}",
            triggered_at_ms=self.clock.now_ms(),
            state_position=0,
            served_at_ms=self.clock.now_ms(),
            worker_id="test",
            query=f"words{number} and more{number}",
            conversation_id=f"c{number}",
            wants_reply=number % 4 != 3,
        )
        self.send(topics.RECOMMENDATIONS, user, about)

    def judge(self, reply: ReplyMessage, number: int) -> None:
        kind = Kind.ACCEPT if number % 3 else Kind.REJECT
        event = Interaction(
            f"thumb-{reply.reply_id}", reply.user_id, "", kind, self.clock.now_ms(),
            reply_id=reply.reply_id,
        )  # fmt: skip
        self.send(topics.EVENTS, reply.user_id, event)

    def look(self) -> None:
        for found in self.log.poll(0.2):
            self.seen[found.topic].append(found.value)

    def replies(self) -> dict[str, list[ReplyMessage]]:
        self.look()
        found = defaultdict(list)
        for reply in self.seen[topics.REPLIES]:
            found[reply.recommendation_id].append(reply)
        return found

    def examples(self) -> list[object]:
        self.look()
        batches = self.seen[topics.TRAINING_BATCHES]
        return [e for batch in batches for e in batch.examples if hasattr(e, "reply_id")]

    def champion(self) -> str:
        with clients.control_log(self.settings, task=REPLIES) as control:
            latest = control.latest()
        return (latest.state.champion if latest else None) or ""

    def active(self) -> str | None:
        """Of the replies worker that is alive."""
        with clients.redis(self.settings) as redis:
            workers = clients.fleet(self.settings, redis, REPLIES).workers()
        return next((one.active for one in workers if one.role == "serving"), None)

    def relearned(self) -> float | None:
        """How often the learner of the trainer that is alive was taken back."""
        with clients.redis(self.settings) as redis:
            workers = clients.fleet(self.settings, redis, REPLIES).workers()
        return next(
            (one.gauges.get("relearned", 0.0) for one in workers if one.role == "trainer"), None
        )

    @contextmanager
    def trainer(self) -> Iterator[None]:
        command = [*COMMAND, "worker", "trainer", "--task", REPLIES]
        environment = child_environment(self.settings) | {"OMP_NUM_THREADS": "1"}
        with (self.root / "trainer.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture
def world(apache_kafka, redis_url, fresh_prefix, tmp_path: Path) -> Iterator[Replying]:
    settings = Settings(
        state_dir=tmp_path / "state",
        kafka=KafkaSettings(apache_kafka, fresh_prefix.topic, partitions=2),
        redis=RedisSettings(url=redis_url, key_prefix=fresh_prefix.redis),
        encoder=EncoderSettings(device="cpu", dtype="float32", threads=1),
        trainer=TrainerSettings(
            release_examples=16, release_s=2.0, gate_examples=8, gate_s=2.0,
            swap_timeout_s=5.0, checkpoint_s=1.0,
        ),
        replies=RepliesSettings(model=str(save_tiny_writer(tmp_path / "model")), max_wait_s=60.0),
    )  # fmt: skip
    create_topics(settings.kafka)
    world = Replying(settings, tmp_path)
    with ExitStack() as stack:
        stack.callback(world.publisher.close)
        stack.enter_context(world.log)
        stack.callback(world.worker("features", "features-1").end)
        for n in range(9):
            world.send(topics.ITEMS, f"i{n}", Item(f"i{n}", f"The Film of {n} Stones"))
        world.publisher.flush()
        yield world


def latest(settings: Settings, task: str) -> RegistryState:
    with clients.control_log(settings, task=task) as control:
        record = control.latest()
    assert record is not None
    return record.state


def crowned_ranking(settings: Settings) -> RegistryState:
    """What ranking's slot holds, of a trainer that is not there."""
    state = transitions.activate(RegistryState(), "g000001-11111111")
    with clients.control_log(settings, task=RANKING) as control:
        control.append(ControlRecord(Action.ACTIVATE, "test", "", 1, state))
    return latest(settings, RANKING)


def answered(world: Replying, wanted: set[str]) -> bool:
    return wanted <= world.replies().keys()


@pytest.mark.timeout(240)
def test_every_question_is_answered_once_though_the_worker_is_killed(world: Replying) -> None:
    eventually(lambda: len(clients.catalogue_items(world.settings)) == 9, 60, "the catalogue")
    wanted = {f"request:q{n}" for n in range(ASKED) if n % 4 != 3}
    first = world.worker("replies", "replies-1")
    for number in range(ASKED):
        world.ask(number)
        if number == ASKED // 3:
            world.publisher.flush()
            eventually(world.replies, 60, "a first reply")
            first.kill()
    world.publisher.flush()
    second = world.worker("replies", "replies-2")
    eventually(lambda: answered(world, wanted), 60, "a reply to every question")
    time.sleep(1.0)
    found = world.replies()
    assert found.keys() == wanted, "no list is answered that nobody wanted words about"
    for replies in found.values():
        assert len(set(replies)) == 1, "made again, it is the same"
        (reply,) = set(replies)
        assert reply.final
        assert reply.fallback == "no-model"
        assert reply.items
        assert all(f"The Film of {item[1:]} Stones" in reply.text for item in reply.items)

    for number, replies in enumerate(found.values()):
        world.judge(replies[0], number)
        world.judge(replies[0], number)
    world.publisher.flush()
    eventually(lambda: len(world.examples()) >= len(wanted), 60, "an example of every reply")
    time.sleep(1.0)
    joined = Counter(example.reply_id for example in world.examples())
    assert joined == Counter(replies[0].reply_id for replies in found.values())
    assert {example.reward for example in world.examples()} == {0.0, 1.0}
    assert not world.seen[topics.DEAD_LETTER]
    with clients.redis(world.settings) as redis:
        (worker,) = [
            w
            for w in clients.fleet(world.settings, redis, REPLIES).workers()
            if w.worker_id == "replies-2"
        ]
    assert worker.active == "template"
    second.end()


@pytest.mark.timeout(400)
def test_what_people_say_of_replies_makes_the_next_champion(world: Replying) -> None:
    eventually(lambda: len(clients.catalogue_items(world.settings)) == 9, 60, "the catalogue")
    worker, numbers, judged = world.worker("replies", "replies-1"), count(), set()

    def people_judge() -> None:
        for number in islice(numbers, 12):
            world.ask(number)
        world.publisher.flush()
        for replies in world.replies().values():
            if replies[0].reply_id not in judged:
                judged.add(replies[0].reply_id)
                world.judge(replies[0], len(judged))
        world.publisher.flush()

    with world.trainer():
        eventually(world.champion, 120, "an untrained champion")
        first = world.champion()
        eventually(lambda: world.active() == first, 60, "a worker that writes with it")

        def trained() -> bool:
            people_judge()
            return world.champion() > first

        eventually(trained, 180, "a champion that has learned", every_s=1.0)
        champion = world.champion()
        eventually(lambda: world.active() >= champion, 60, "the swap")
    people_judge()
    found = [reply for replies in world.replies().values() for reply in replies]
    by_model = [reply for reply in found if reply.fallback != "no-model"]
    assert by_model, "the model wrote, whatever became of its noise"
    assert {reply.fallback for reply in by_model} & {None, *Refusal}
    model = load_causal(writing_settings(world.settings).encoder)
    generations = replies_generations(writing_settings(world.settings), model)
    store = clients.registry_store(world.settings, REPLIES)
    assert generations.scorer(store.get(champion)).bandit.answers > 0

    shell = CommandLine(child_environment(world.settings), world.root)
    again = shell.json("adapters", "reproduce", champion, "--task", REPLIES)
    assert again["identical"] is True, again
    assert len(again["digests"]) == 3

    ranking = crowned_ranking(world.settings)
    before = world.champion()
    done = shell.run_here("adapters", "rollback", "--task", REPLIES, "-m", "odd words since noon")
    assert done.returncode == 0, done.stderr
    eventually(lambda: world.active() == world.champion() != before, 60, "the one before")
    for undone in (("unpin",), ("activate", champion)):
        assert shell.run_here("adapters", *undone, "--task", REPLIES).returncode == 0
    with world.trainer():
        eventually(lambda: world.relearned() == 0.0, 120, "a trainer")
        back = ("--relearn", "--since", "1h", "--task", REPLIES, "-m", "thumbs by a bot")
        done = shell.run_here("adapters", "rollback", *back)
        assert done.returncode == 0, done.stderr
        eventually(lambda: world.relearned() == 1.0, 120, "the learner taken back")
    assert latest(world.settings, REPLIES).quarantine
    assert world.champion() < champion
    assert latest(world.settings, RANKING) == ranking
    assert not (world.settings.state_dir / "checkpoints").exists(), "ranking has no trainer here"
    worker.end()
