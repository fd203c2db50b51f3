"""How often the canary's test is wrong when somebody looks all the time, and how soon it is right.

    python -m benchmarks.canary [--runs N]

Simulates users who ask for lists one after the other and click on some; looks after every
20 lists, the way ``loop.releasing.canary_rollout`` does, and stops at the first verdict. A
quarter of the
users has the canary. *Wrong*: any verdict where both rates are equal.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from streamrec.core.release.sequential_test import TestRules, Verdict, capped_rate, look

EVERY = 20
USER_LISTS = 20


def watch(
    seed: int,
    champion: float,
    canary: float,
    *,
    spread: float = 0.0,
    uneven: bool = False,
    users: int = 200,
    lists: int = 3000,
    share: float = 0.25,
) -> tuple[Verdict, int]:
    """The first verdict, and after how many lists of both arms.

    ``spread``: users differ in how easily they click (beta with this precision).
    ``uneven``: a few users ask for most lists (Pareto).
    """
    generator = np.random.default_rng(seed)
    chosen_U = generator.random(users) < share
    rate_U = np.where(chosen_U, canary, champion)
    if spread:
        rate_U = generator.beta(rate_U * spread + 1e-9, (1 - rate_U) * spread)
    busy_U = generator.pareto(1.2, users) + 0.2 if uneven else np.ones(users)
    lists_U, clicked_U = np.zeros(users, int), np.zeros(users, int)
    for count in range(EVERY, lists + 1, EVERY):
        asking = generator.choice(users, EVERY, p=busy_U / busy_U.sum())
        np.add.at(lists_U, asking, 1)
        np.add.at(clicked_U, asking, generator.random(EVERY) < rate_U[asking])
        without, having = (
            capped_rate(lists_U[arm_U], clicked_U[arm_U], USER_LISTS)
            for arm_U in (~chosen_U & (lists_U > 0), chosen_U & (lists_U > 0))
        )
        verdict = look(without, having, TestRules()).verdict
        if verdict is not Verdict.UNDECIDED:
            return verdict, count
    return Verdict.UNDECIDED, lists


PUBLICS: Mapping[str, dict[str, Any]] = {
    "all alike": {},
    "users differ": {"spread": 8.0},
    "and some ask a lot": {"spread": 8.0, "uneven": True},
    "60 users, very different": {"spread": 4.0, "uneven": True, "users": 60},
}
RATES = ((0.05, 0.05), (0.3, 0.3), (0.3, 0.15), (0.3, 0.0), (0.1, 0.05), (0.1, 0.02), (0.3, 0.45))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    print("| champion | canary | users | harm | benefit | undecided | lists, median |")
    print("|---:|---:|---|---:|---:|---:|---:|")
    for champion, canary in RATES:
        for name, public in PUBLICS.items():
            found = [watch(seed, champion, canary, **public) for seed in range(runs)]
            share = Counter(verdict for verdict, _ in found)
            parts = [f"{100 * share[v] / runs:.1f} %" for v in (*Verdict,)[1:]]
            undecided = f"{100 * share[Verdict.UNDECIDED] / runs:.1f} %"
            median = int(np.median([lists for _, lists in found]))
            cells = [f"{champion:g}", f"{canary:g}", name, *parts, undecided, f"{median:,}"]
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
