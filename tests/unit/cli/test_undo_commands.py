"""``adapters rollback | log | diff | reproduce`` as an operator meets them, over fakes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from streamrec.apps import clients, undo
from streamrec.apps import reproduce as again
from streamrec.apps.model import Model
from streamrec.apps.ranking import RankingTask
from streamrec.apps.undo import Sources
from streamrec.cli.app import main
from streamrec.core import topics
from streamrec.core.ledger.quarantine import Quarantine
from streamrec.core.release import registry, transitions
from streamrec.core.release.registry import Action, ControlRecord, RegistryState
from streamrec.core.state.catalogue import Catalogue
from streamrec.core.tasks import RANKING
from streamrec.errors import Malformed
from streamrec.infra.stores.checkpoints import DirectoryCheckpoints, DirectorySnapshots
from streamrec.infra.wire.kafka import partition_for
from streamrec.loop.releasing.release import ReleaseService
from streamrec.loop.training.reproduce import Reproduction
from streamrec.loop.training.training_progress import TrainingProgress
from streamrec.models.item_index import ItemIndex
from streamrec.ports import WorkerStatus
from streamrec.settings import Settings
from streamrec.tasks.ranking.model.learner import OnlineLearner
from tests.fakes.clock import FakeClock
from tests.fakes.control import FakeControlLog, SharedLog
from tests.fakes.feed import FakeBatchFeed
from tests.fakes.fleet import FakeFleet
from tests.fakes.generations import draft
from tests.fakes.language_models import tiny_encoder

NAMES = [f"g{n:06d}-0000000{n}" for n in range(1, 5)]
ONE, TWO, THREE, FOUR = NAMES


class ObeyingFleet(FakeFleet):
    """One serving worker that does at once what the log says, and a trainer with snapshots.

    ``broken``: generations that the serving worker refuses.
    """

    def __init__(self, log: SharedLog) -> None:
        super().__init__()
        self.snapshots: tuple[str, ...] = tuple(NAMES)
        self.broken: dict[str, str] = {}
        self._log = log

    def of_task(self, *asked: object) -> ObeyingFleet:
        """As ``clients.fleet`` is asked for it: settings, client and perhaps a task."""
        self.task = str(asked[2]) if len(asked) > 2 else None
        return self

    def workers(self) -> Iterator[WorkerStatus]:
        tasks = [self.task] if self.task else self._log.reader().tasks()
        return iter([worker for task in tasks for worker in self._of(task)])

    def _of(self, task: str) -> list[WorkerStatus]:
        latest = self._log.reader(task=task).latest()
        state = latest.state if latest else RegistryState()
        serving = WorkerStatus(
            f"serving-{task}", "serving", "h", 1, 0, 0, active=state.champion, staged=state.staged,
            revision=state.revision, task=task,
        )  # fmt: skip
        if state.champion in self.broken:
            serving = replace(serving, active=None, refused=self.broken)
        trainer = WorkerStatus("t", "trainer", "h", 2, 0, 0, snapshots=self.snapshots, task=task)
        return [serving, trainer]


@dataclass
class Shop:
    """What the commands find. ``run``: exit code, standard output and error of a command."""

    log: SharedLog
    fleet: ObeyingFleet
    settings: Settings
    run: Callable[..., tuple[int, str, str]]
    again: Callable[..., again.Report] = again.run

    @property
    def newest(self) -> ControlRecord:
        return self.log.entries[-1]

    @property
    def state(self) -> RegistryState:
        return self.newest.state

    def refused(self, *arguments: str) -> str:
        """One line on standard error, exit code 1, and nothing was changed."""
        before = list(self.log.entries)
        code, out, err = self.run(*arguments)
        assert (code, out) == (1, ""), err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert self.log.entries == before
        return err

    def json(self, *arguments: str) -> Any:
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)


def fill(root: Path) -> None:
    """Four generations in a line, each 100 events and 10 mini-batches after its parent."""
    parent = None
    for n, name in enumerate(NAMES):
        directory = root / name
        directory.mkdir(parents=True)
        begin, end = max(0, 100 * (n - 1)), 100 * n
        training = {"batches": [max(0, 10 * (n - 1)), 10 * n], "examples": end - begin}
        made = draft(
            generation=name, parent=parent, offsets={"0": (begin, end), "1": (begin, end)},
            training=training, settings={"learning": {"rank": 8 if n < 3 else 16}},
            gate={"accepted": True, "metrics": {"mrr": {"candidate": 0.1 * n, "champion": 0.1}},
                  "reasons": [], "examples": 40},
        )  # fmt: skip
        (directory / "manifest.json").write_text(made.to_json())
        save_file({"w": torch.full((2, 2), 1.0 + n)}, directory / "head.safetensors")
        adapter = {"layers.0.a": torch.ones(2), "layers.1.a": torch.full((2,), 1.0 + n)}
        save_file(adapter, directory / "adapter_model.safetensors")
        parent = name


def release(log: SharedLog) -> None:
    state = RegistryState()
    for at, name in enumerate(NAMES):
        state = transitions.activate(state, name)
        log.write(ControlRecord(Action.ACTIVATE, "trainer-1", "better", at, state, name, "d"))


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> Shop:
    fill(tmp_path / "registry")
    log = SharedLog()
    release(log)
    fleet = ObeyingFleet(log)

    @contextmanager
    def control_log(_: Settings, *, task: str = RANKING) -> Iterator[FakeControlLog]:
        yield log.reader(task=task)

    @contextmanager
    def release_service(
        given: Settings, task: str = RANKING, _actor: str = ""
    ) -> Iterator[ReleaseService]:
        store, clock = clients.registry_store(given, task), FakeClock()
        fleet.task = task
        yield ReleaseService(
            log.reader(task=task), fleet, store, clock, "ana@host",
            sleep=lambda s: clock.pass_ms(int(1000 * s) or 1),
        )  # fmt: skip

    def bounds(*_: object) -> dict[tuple[str, int], tuple[int, int]]:
        events = {(topics.EVENTS, p): (0, 400) for p in (0, 1)}
        return events | {(topics.TRAINING_BATCHES, 0): (0, 40)}

    sources = Sources(bounds, lambda *_: {0: 150, 1: 190}, bases=lambda _, at: dict.fromkeys(at, 0))
    for module, name, fake in (  # where commands reach out: they take only what a person types
        (clients, "located", lambda: shop.settings),
        (clients, "control_log", control_log),
        (clients, "release_service", release_service),
        (clients, "redis", nullcontext),
        (clients, "fleet", fleet.of_task),
        (undo, "plan", partial(undo.plan, sources=sources)),
        (again, "run", lambda *given: shop.again(*given)),  # noqa: PLW0108 - as it is then
    ):
        monkeypatch.setattr(module, name, fake)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["adapters", *arguments])
        return (int(ended.value.code or 0), *capsys.readouterr())

    shop = Shop(log, fleet, Settings(state_dir=tmp_path), run)
    return shop


# -- rollback ---------------------------------------------------------------------------


def test_a_plain_rollback_flips_and_pins_and_names_who_confirmed(shop) -> None:
    code, out, err = shop.run("rollback", "-m", "odd lists")
    assert (code, err) == (0, "")
    assert out.startswith(f"rolled back to {THREE}; confirmed by all 1 serving workers")
    assert shop.state.champion == THREE
    assert shop.state.pin is not None
    assert (shop.newest.action, shop.newest.actor) == (Action.ROLLBACK, "ana@host")
    assert shop.newest.reason == shop.state.pin.reason == "odd lists"
    assert shop.state.relearn is None


def test_a_rollback_to_a_certain_former_champion(shop) -> None:
    told = shop.json("rollback", "--to", ONE)
    assert (told["generation"], told["refused"], told["silent"]) == (ONE, {}, [])
    assert told["confirmed_ms"].keys() == {"serving-ranking"}
    assert (shop.state.champion, shop.state.history) == (ONE, ())


def test_a_rollback_that_a_worker_cannot_follow_exits_1_and_says_who(shop) -> None:
    shop.fleet.broken = {THREE: "wrong base model"}
    code, out, err = shop.run("rollback")
    assert (code, out) == (1, "")
    assert "serving-ranking refuses it and keeps what it has: wrong base model" in err
    assert shop.state.champion == THREE  # decided all the same


def test_rollbacks_that_cannot_be(shop) -> None:
    assert "is not in the registry" in shop.refused("rollback", "--to", "g000009-00000000")
    assert "is the champion already" in shop.refused("rollback", "--to", FOUR)
    for option in (("--since", "10m"), ("--user", "ann"), ("--quarantine", "0:1-2")):
        assert "say what to relearn without: --relearn" in shop.refused("rollback", *option)
    for _ in range(3):
        shop.run("rollback")
    assert "no former champion to roll back to" in shop.refused("rollback")


# -- rollback --relearn -----------------------------------------------------------------


def test_relearn_without_ranges_of_offsets(shop) -> None:
    arguments = ("--quarantine", "0:120-150", "--quarantine", "1:210-230", "-m", "a bot")
    code, out, err = shop.run("rollback", "--relearn", *arguments)
    assert (code, err) == (0, "")
    assert f"rolled back to {TWO}" in out
    assert f"goes back to {TWO} and learns on without 0:120-150, 1:210-230" in out
    assert (shop.state.champion, shop.state.pin) == (TWO, None)
    assert shop.state.relearn == registry.Relearn(1, TWO)
    assert shop.state.quarantine == (Quarantine(0, 120, 150), Quarantine(1, 210, 230))


def test_relearn_since_a_time_as_json(shop) -> None:
    told = shop.json("rollback", "--relearn", "--since", "30m")
    assert told["generation"] == told["relearn_from"] == TWO
    assert told["quarantine"] == [
        {"partition": 0, "start": 150, "end": 400, "user_id": None},
        {"partition": 1, "start": 190, "end": 400, "user_id": None},
    ]


def test_relearn_without_one_users_part(shop) -> None:
    partition = partition_for("ann", 2)
    shop.run("rollback", "--relearn", "--since", "30m", "--user", "ann")
    start = {0: 150, 1: 190}[partition]
    assert shop.state.quarantine == (Quarantine(partition, start, 400, "ann"),)


def test_the_user_is_named_as_topics_name_them(shop) -> None:
    trust = replace(shop.settings.trust, pseudonym_key="k" * 32)
    keyed = shop.settings = replace(shop.settings, trust=trust)
    shop.run("rollback", "--relearn", "--since", "30m", "--user", "ann")
    (at,) = shop.state.quarantine
    assert at.user_id == clients.known_as(keyed, "ann") != "ann"


def test_relearns_that_cannot_be(shop) -> None:
    relearn = ("rollback", "--relearn")
    assert "nothing to quarantine" in shop.refused(*relearn)
    assert "is no time: write 10m" in shop.refused(*relearn, "--since", "yesterday")
    assert "is not PARTITION:FROM-TO" in shop.refused(*relearn, "--quarantine", "120-150")
    assert "holds nothing" in shop.refused(*relearn, "--quarantine", "0:150-120")
    assert "partitions 0 to 1" in shop.refused(*relearn, "--quarantine", "5:1-2")
    tainted = shop.refused(*relearn, "--quarantine", "0:120-150", "--to", THREE)
    assert f"{THREE} cannot be gone back to: it has learned from 0:120-150" in tainted
    assert f"Possible: {TWO}, {ONE}" in tainted
    shop.fleet.snapshots = (FOUR,)
    gone = shop.refused(*relearn, "--quarantine", "0:120-150")
    assert "no snapshot of it any more" in gone
    assert "without --relearn" in gone


# -- log and diff -----------------------------------------------------------------------


def test_the_log_says_who_did_what_and_why(shop) -> None:
    shop.run("rollback", "--relearn", "--quarantine", "0:120-150", "-m", "a bot")
    code, out, _ = shop.run("log")
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3", "4", "5"]
    assert "trainer-1" in lines[1]
    for part in ("relearn", TWO, "ana@host", "a bot (never learned: 0:120-150)"):
        assert part in lines[5]


def test_the_log_as_json_is_one_record_a_line(shop) -> None:
    shop.run("rollback", "--relearn", "--quarantine", "0:120-150", "-m", "a bot")
    code, out, _ = shop.run("log", "--json")
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [r["revision"] for r in records] == [1, 2, 3, 4, 5]
    assert records[0] == {
        "action": "activate", "actor": "trainer-1", "reason": "better", "at_ms": 0, "revision": 1,
        "generation": ONE, "digest": "d", "champion": ONE, "epoch": 0, "quarantine": [],
    }  # fmt: skip
    assert (records[4]["epoch"], records[4]["quarantine"]) == (1, ["0:120-150"])
    assert (records[4]["action"], records[4]["champion"]) == ("relearn", TWO)


def test_an_empty_log(shop) -> None:
    shop.log.entries.clear()
    assert shop.run("log") == (0, "nothing has been done yet\n", "")
    assert shop.run("log", "--json") == (0, "", "")


def test_the_difference_of_two_generations(shop) -> None:
    code, out, err = shop.run("diff", TWO, FOUR)
    assert (code, err) == (0, "")
    for part in ("in a line", f"{FOUR} ← {THREE}", "200 learned on the way", "100 → 300 (+200)",
                 "learning.rank", "0.3000"):  # fmt: skip
        assert part in out
    told = shop.json("diff", TWO, FOUR)
    assert told["settings"] == {"learning.rank": [8, 16]}
    assert told["weights"] == {"adapter: layer 0": 0.0, "adapter: layer 1": 1.0, "head: w": 1.0}


def test_differences_that_cannot_be_told(shop) -> None:
    missing = shop.refused("diff", TWO, "g000009-00000000")
    assert "g000009-00000000 is not in the registry; `streamrec adapters list`" in missing
    (shop.settings.state_dir / "registry" / FOUR / "head.safetensors").unlink()
    assert "head.safetensors cannot be read" in shop.refused("diff", TWO, FOUR)


# -- reproduce --------------------------------------------------------------------------


class ClosableFeed(FakeBatchFeed):
    def close(self) -> None: ...


MAKE_AGAIN = again.run


def making_again(feed: ClosableFeed, load: Callable[[Settings], Model]) -> Callable[..., Any]:
    """``reproduce.run``, with this feed and this way to make a model."""
    return lambda settings, generation, say, task: MAKE_AGAIN(
        settings, generation, say, RankingTask(load=load), new_feed=lambda *_: feed
    )


@pytest.fixture
def feed(shop) -> ClosableFeed:
    """40 mini-batches, snapshots of all generations; a model that must not be needed."""
    feed = ClosableFeed([Malformed("not read here")] * 40)
    not_needed = lambda _: pytest.fail("the model was loaded")  # noqa: E731
    shop.again = making_again(feed, not_needed)
    checkpoints = DirectoryCheckpoints(shop.settings.state_dir / "checkpoints")
    for name in NAMES:
        checkpoints.save(TrainingProgress().to_record(), lambda directory: None)
        newest = checkpoints.newest()
        assert newest is not None
        snapshots(shop).take(name, newest)
        rewrite(shop, name, settings={})
    return feed


def snapshots(shop: Shop) -> DirectorySnapshots:
    return DirectorySnapshots(shop.settings.state_dir / "snapshots")


def rewrite(shop: Shop, generation: str, **changes: object) -> None:
    path = shop.settings.state_dir / "registry" / generation / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_nothing_is_made_again_when_mini_batches_are_gone(shop, feed) -> None:
    feed.begins = 15
    said = shop.refused("reproduce", THREE)
    assert "the mini-batches 10 to 14 are gone (retention of training-batches)" in said
    feed.begins, feed.log = 0, feed.log[:5]
    assert "made anew" in shop.refused("reproduce", THREE)


def test_nothing_is_made_again_when_a_snapshot_is_gone(shop, feed) -> None:
    snapshots(shop).drop(THREE)
    own = shop.refused("reproduce", THREE)
    assert "a snapshot is gone, its own (STREAMREC_TRAINER_SNAPSHOTS" in own
    assert f"Snapshots here: {ONE}, {TWO}, {FOUR}" in own
    assert f"that of its parent {THREE}" in shop.refused("reproduce", FOUR)
    (snapshots(shop).root / TWO / "checkpoint.json").write_text("{}")
    assert "its own" in shop.refused("reproduce", TWO)  # a damaged one is none


def test_some_generations_cannot_be_made_again_at_all(shop, feed) -> None:
    assert f"{ONE} has no parent" in shop.refused("reproduce", ONE)
    rewrite(shop, TWO, gate={"accepted": False, "reasons": ["worse"], "metrics": {}})
    assert "rejected by its gate" in shop.refused("reproduce", TWO)
    rewrite(shop, THREE, settings={"learning": {"spells": 3}})
    code, out, err = shop.run("reproduce", THREE)
    assert (code, out) == (1, "")
    assert "settings that this version does not have (['spells'])" in err
    assert "is not in the registry" in shop.refused("reproduce", "g000009-00000000")


def test_another_language_model_is_refused(shop, feed) -> None:
    encoder, catalogue = tiny_encoder(), Catalogue()
    learner = OnlineLearner(catalogue, ItemIndex(encoder), seed=0, encoder=encoder)
    other = Model(shop.settings, encoder, catalogue, learner)
    shop.again = making_again(feed, lambda _: other)
    rewrite(shop, THREE, base_digest="f" * 64)
    code, out, err = shop.run("reproduce", THREE)
    assert (code, out) == (1, "")
    assert f"is not the model that {THREE} was trained on" in err
    assert "Traceback" not in err


def made(*, same: bool) -> again.Report:
    digests = {"head.safetensors": ("a" * 64, ("a" if same else "b") * 64)}
    elsewhere = {} if same else {"torch": ("2.12", "2.13")}
    distance = {} if same else {"head: w": 0.25}
    return again.Report(Reproduction(THREE, TWO, (10, 20), 100, digests), elsewhere, distance)


def test_the_same_digests_exit_0(shop) -> None:
    shop.again = lambda *_: made(same=True)
    code, out, _ = shop.run("reproduce", THREE)
    assert code == 0
    assert "100 examples of mini-batches 10 to 19" in out
    assert out.endswith("\nidentical\n")


def test_other_digests_exit_3_and_say_what_else_is_different(shop) -> None:
    shop.again = lambda *_: made(same=False)
    code, out, _ = shop.run("reproduce", THREE)
    assert code == 3
    for part in ("differs", "torch", "2.12", "2.13", "2.50e-01", "not identical"):
        assert part in out
    code, out, _ = shop.run("reproduce", THREE, "--json")
    told = json.loads(out)
    assert (code, told["identical"]) == (3, False)
    assert told["not_the_same"] == {"torch": {"then": "2.12", "now": "2.13"}}


# -- a task beside ranking --------------------------------------------------------------

COPIES = ("g000001-cccccccc", "g000002-cccccccc")


@pytest.fixture
def beside(shop) -> Shop:
    """Two generations of ``copy``, released after all of ranking's."""
    state = RegistryState()
    for n, name in enumerate(COPIES):
        directory = shop.settings.state_dir / "registry" / "copy" / name
        directory.mkdir(parents=True)
        parent = COPIES[0] if n else None
        training = {"batches": [10 * n, 10 * n + 10], "examples": 10}
        made = draft(
            generation=name, parent=parent, offsets={"0": (10 * n, 10 * n + 10)}, gate=None,
            training=training,
        )  # fmt: skip
        (directory / "manifest.json").write_text(made.to_json())
        save_file({"w": torch.full((2, 2), 1.0 + n)}, directory / "head.safetensors")
        save_file({"layers.0.a": torch.ones(2)}, directory / "adapter_model.safetensors")
        state = transitions.activate(state, name)
        record = ControlRecord(Action.ACTIVATE, "trainer-c", "better", 50 + n, state, name, "d")
        shop.log.write(record, "copy")
    return shop


def champion(shop: Shop, task: str) -> str | None:
    return shop.log.reader(task=task).latest().state.champion


def test_a_list_is_of_one_task_and_says_which(beside) -> None:
    told = beside.json("list")
    assert (told["task"], told["champion"]) == (RANKING, FOUR)
    assert [one["generation"] for one in told["generations"]] == [FOUR, THREE, TWO, ONE]
    told = beside.json("list", "--task", "copy")
    assert (told["task"], told["champion"], told["revision"]) == ("copy", COPIES[1], 2)
    assert {one["generation"] for one in told["generations"]} == set(COPIES)


def test_one_table_lists_every_task(beside) -> None:
    code, out, err = beside.run("list", "--task", "all")
    assert (code, err) == (0, "")
    lines = [line.split()[:3] for line in out.splitlines()]
    assert lines[0] == ["task", "generation", "state"]
    assert lines[1] == [RANKING, FOUR, "champion"]
    assert ["copy", COPIES[1], "champion"] in lines
    assert ["copy", COPIES[0], "former"] in lines
    told = beside.json("list", "--task", "all")["tasks"]
    assert {task: one["champion"] for task, one in told.items()} == {
        RANKING: FOUR,
        "copy": COPIES[1],
    }


def test_a_rollback_of_one_task_leaves_the_others_alone(beside) -> None:
    code, out, err = beside.run("rollback", "--task", "copy", "-m", "odd words")
    assert (code, err) == (0, "")
    assert out.startswith(f"rolled back to {COPIES[0]}; confirmed by all 1 serving workers")
    assert (champion(beside, "copy"), champion(beside, RANKING)) == (COPIES[0], FOUR)
    assert beside.log.reader(task="copy").latest().state.pin is not None
    assert beside.log.reader().latest().state.pin is None
    assert beside.json("activate", COPIES[1], "--task", "copy")["confirmed_ms"].keys() == {
        "serving-copy"
    }


def test_pins_are_of_one_task(beside) -> None:
    assert beside.json("pin", "--task", "copy") == {"champion": COPIES[1], "pinned": True}
    assert beside.log.reader().latest().state.pin is None
    assert "pinned by ana@host: no reason given" in beside.run("list", "--task", "copy")[2]
    assert beside.json("unpin", "--task", "copy") == {"champion": COPIES[1], "pinned": False}


def test_activation_finds_the_tasks_own_generations(beside) -> None:
    assert beside.json("activate", COPIES[0], "--task", "copy")["generation"] == COPIES[0]
    assert (champion(beside, "copy"), champion(beside, RANKING)) == (COPIES[0], FOUR)
    assert f"{COPIES[1]} is not in the registry" in beside.refused("activate", COPIES[1])


def test_a_task_relearns_from_its_own_generations(beside) -> None:
    beside.fleet.snapshots = COPIES
    told = beside.json("rollback", "--relearn", "--quarantine", "0:18-19", "--to", COPIES[0],
                       "--task", "copy")  # fmt: skip
    assert told["relearn_from"] == COPIES[0]
    assert beside.log.reader(task="copy").latest().state.relearn == registry.Relearn(1, COPIES[0])
    assert beside.log.reader().latest().state.relearn is None


def test_log_show_and_diff_are_of_one_task(beside) -> None:
    _, out, _ = beside.run("log", "--json", "--task", "copy")
    assert [json.loads(line)["generation"] for line in out.splitlines()] == list(COPIES)
    assert beside.json("show", COPIES[1], "--task", "copy")["manifest"]["parent"] == COPIES[0]
    assert "is not in the registry" in beside.refused("show", COPIES[1])
    told = beside.json("diff", *COPIES, "--task", "copy")
    assert told["weights"] == {"adapter: layer 0": 0.0, "head: w": 1.0}


def test_a_task_that_nobody_knows_is_refused_with_those_that_are_known(beside) -> None:
    for command in (("list",), ("log",), ("live",), ("pin",), ("rollback",), ("show", ONE),
                    ("diff", ONE, TWO), ("activate", ONE), ("reproduce", TWO)):  # fmt: skip
        said = beside.refused(*command, "--task", "replies")
        assert "no task 'replies' is known here; known: ranking, copy" in said
