"""Measuring fairly: the works of a comparison take turns, each keeps its best turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

RUNS = 3

# A work prepares itself, does what is measured, and says how long that took (or what else it is measured in).
Work = Callable[[], float]


class Row(NamedTuple):
    """One line of a bench's table. Without a bar it is only reported."""

    what: str
    measured: float
    unit: str = "×"  # noqa: RUF001 - times, not a letter
    at_most: float | None = None
    at_least: float | None = None

    @property
    def passed(self) -> bool:
        above = self.at_most is None or self.measured <= self.at_most
        return above and (self.at_least is None or self.measured >= self.at_least)

    @property
    def bar(self) -> str:
        if self.at_most is not None:
            return f"≤ {self.at_most:g} {self.unit}"
        return "" if self.at_least is None else f"≥ {self.at_least:g} {self.unit}"

    @property
    def verdict(self) -> str:
        return "" if not self.bar else "met" if self.passed else "MISSED"


def best_of(works: Mapping[str, Work], *, runs: int = RUNS) -> dict[str, float]:
    """The least of ``runs`` interleaved turns of each work."""
    turns = [{name: work() for name, work in works.items()} for _ in range(runs)]
    return {name: min(turn[name] for turn in turns) for name in works}


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Seconds since the beginning, stopped at the end of the block."""
    began = time.perf_counter()
    ended: list[float] = []
    yield lambda: (ended[0] if ended else time.perf_counter()) - began
    ended.append(time.perf_counter())


def median_seconds(work: Callable[[], object], *, times: int) -> float:
    """The median duration of ``times`` calls."""
    seconds = []
    for _ in range(times):
        with stopwatch() as elapsed:
            work()
        seconds.append(elapsed())
    return sorted(seconds)[times // 2]


def table(name: str, rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [f"### {name}", "", "| what | measured | bar | verdict |", "|---|---|---|---|"]
    lines += [f"| {row.what} | {row.measured:.3g} {row.unit} | {row.bar} | {row.verdict} |" for row in rows]
    return "\n".join(lines)
