"""A small campaign of ``python -m tests.fuzz`` for every consumer."""

from __future__ import annotations

import logging
import random

import pytest

from tests.fuzz.campaign import Report, campaign, judge
from tests.fuzz.consumers import CONSUMERS, Verdict
from tests.fuzz.mutation import mutated

INPUTS = 300


@pytest.mark.parametrize("make", CONSUMERS, ids=lambda make: make.name)
def test_bad_input_is_refused_with_a_reason_and_its_neighbours_go_on(make, request, worlds):
    logging.getLogger("streamrec").setLevel(logging.ERROR)
    request.addfinalizer(lambda: logging.getLogger("streamrec").setLevel(logging.NOTSET))
    report = campaign(make, INPUTS, seed=1, within=worlds)
    assert report.crashes == {}
    assert report.lost == []
    assert report.unexplained == []
    assert report.refused > INPUTS // 10  # the mutations do break things
    assert report.refused + report.handled == INPUTS


def test_mutations_are_the_same_for_a_seed_and_reach_behind_the_framing(tmp_path):
    corpus = CONSUMERS[0](tmp_path).corpus()
    made = [
        [mutated(random.Random(seed), corpus, "events") for seed in range(200)] for _ in range(2)
    ]
    assert made[0] == made[1]
    framed = [data for data in made[0] if data[:10] in {good[:10] for good in corpus}]
    assert len(framed) > 50
    assert len({*framed}) > 40


def test_a_lost_neighbour_and_a_vanished_input_are_seen(tmp_path):
    class Careless:
        def feed(self, chunk, neighbours):
            return Verdict({1}, {0: ""})

    report = Report("careless")
    judge(report, Careless(), [(b"bad", None), (b"bad", None), (b"good", 7)])
    assert report.lost == [7]
    assert report.unexplained == [b"bad"]
    assert not report.good


def test_a_crash_is_blamed_on_the_input_that_raises(tmp_path):
    class Brittle(CONSUMERS[8]):
        def decode(self, data):
            if b"g1" in data:
                raise KeyError("g1")
            return super().decode(data)

    report = campaign(Brittle, 50, seed=0)
    assert report.crashed
    assert any("KeyError: 'g1'" in what for what in report.crashes)
    assert all(b"g1" in data for data in report.crashes.values())
