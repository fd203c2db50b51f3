"""Rows cut in three by a seed: to learn, to stop by, to judge by.

A text that comes again, and all rows of one group, are in one part: what is judged has not been
learned under another name. Each part has about the same share of ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamrec.errors import UserError
from streamrec.lab.labels.rows import LabelledText

LEAST = 5
"""Rows of each label that a part needs, to stop by or to judge by."""

NAMES = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class LabelParts:
    """``units``: which rows belong together, one number for each row of the test part."""

    train: list[LabelledText]
    dev: list[LabelledText]
    test: list[LabelledText]
    units: list[int]
    repeated: int  # rows whose text was there before
    contradicted: int  # texts that have both labels

    def counted(self) -> dict[str, dict[str, int]]:
        parts = zip(NAMES, (self.train, self.dev, self.test), strict=True)
        return {
            name: {"rows": len(rows), "ones": sum(row.label for row in rows)}
            for name, rows in parts
        }


def cut(rows: Sequence[LabelledText], shares: Sequence[float], seed: int) -> LabelParts:
    """Raises UserError: shares that are none, one label only, too few rows."""
    _check(rows, shares)
    unit_N = _units(rows)
    parts: list[list[int]] = [[], [], []]
    for number, chosen in enumerate(_strata(rows, unit_N)):
        order = np.random.default_rng([seed, number]).permutation(len(chosen))
        _fill(parts, [chosen[place] for place in order], shares)
    train, dev, test = (sorted(part) for part in parts)
    labels_by_key: dict[str, set[int]] = {}
    for row in rows:
        labels_by_key.setdefault(row.key, set()).add(row.label)
    found = LabelParts(
        [rows[n] for n in train],
        [rows[n] for n in dev],
        [rows[n] for n in test],
        units=[unit_N[n] for n in test],
        repeated=len(rows) - len(labels_by_key),
        contradicted=sum(len(labels) > 1 for labels in labels_by_key.values()),
    )
    _check_parts(found)
    return found


def _check(rows: Sequence[LabelledText], shares: Sequence[float]) -> None:
    if len(shares) != 3 or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise UserError(f"--split {','.join(f'{s:g}' for s in shares)}: three shares that sum to 1")
    ones = sum(row.label for row in rows)
    if ones in (0, len(rows)):
        raise UserError(f"all {len(rows):,} rows have label {int(ones > 0)}: nothing to tell apart")


def _check_parts(parts: LabelParts) -> None:
    for name, count in parts.counted().items():
        if min(count["ones"], count["rows"] - count["ones"]) < LEAST:
            raise UserError(
                f"too few rows: the {name} part has {count['rows'] - count['ones']} of label 0 and "
                f"{count['ones']} of label 1, and needs {LEAST} of each; more rows, or --split"
            )


def _units(rows: Sequence[LabelledText]) -> list[int]:
    """For each row the first row it belongs together with, by text or group (union-find)."""
    parent = list(range(len(rows)))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = n = parent[parent[n]]
        return n

    first: dict[tuple[str, str], int] = {}
    for n, row in enumerate(rows):
        for name in [("text", row.key)] + ([("group", row.group)] if row.group else []):
            one, other = root(first.setdefault(name, n)), root(n)
            parent[max(one, other)] = min(one, other)
    return [root(n) for n in range(len(rows))]


def _strata(rows: Sequence[LabelledText], unit_N: Sequence[int]) -> list[list[list[int]]]:
    """Units, as lists of rows: those with mostly zeros, and the others."""
    members: dict[int, list[int]] = {}
    for n, unit in enumerate(unit_N):
        members.setdefault(unit, []).append(n)
    strata: list[list[list[int]]] = [[], []]
    for together in members.values():
        strata[2 * sum(rows[n].label for n in together) > len(together)].append(together)
    return strata


def _fill(parts: list[list[int]], units: list[list[int]], shares: Sequence[float]) -> None:
    """Units in this order go to test and dev until each has its share of the rows."""
    total = sum(map(len, units))
    ends = (shares[2] * total, (shares[2] + shares[1]) * total)
    done = 0
    for unit in units:
        middle = done + len(unit) / 2
        part = 2 if middle <= ends[0] else 1 if middle <= ends[1] else 0
        parts[part] += unit
        done += len(unit)
