"""A search as the page sees it grow: steps as they are scored, which were dropped, who leads."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from ttc_client.middleware.meter import Meter
from ttc_client.report.rich import Typesetter
from ttc_client.report.shown import shown_nodes
from ttc_client.search.ballot import Ballot
from ttc_client.search.results import tree_node
from ttc_client.search.watch import Watch
from ttc_client.types import Trajectory

Path = tuple[int, ...]
_LEADERS = 8


class Live(Watch):
    """Gather what happens in one search until somebody asks for the `news`."""

    def __init__(self, meter: Meter, ballot: Ballot) -> None:
        self._meter, self._ballot = meter, ballot
        self._typeset = Typesetter()
        self._num_sent = 0
        self._new: list[Trajectory] = []
        self._went_on: list[Path] = []
        self._open: dict[Path, set[Path]] = {}
        self._support: dict[str, float] = {}
        self._texts: dict[str, str] = {}

    def launched(self, parent: Trajectory, n: int) -> None:
        """The search goes on from this step."""
        if parent.path:
            self._went_on.append(parent.path)

    def sampled(self, parent: Trajectory, n: int, children: Sequence[Trajectory]) -> None:
        """New steps are there."""
        self._new += children
        unfinished = {child.path for child in children if not child.finished}
        self._open.setdefault(parent.path, set()).update(unfinished)

    async def news(self) -> dict[str, Any]:
        """Return what has happened since the last call, and how things stand."""
        new, self._new = self._new, []
        faded = self._faded()
        ends = [t for t in new if t.finished]
        answers = {t.path: self._ballot.extract(t.text) for t in ends}
        await self._count(ends, answers)
        nodes = await asyncio.to_thread(self._shown, new, answers)
        formulas = self._typeset.formulas[self._num_sent :]
        self._num_sent += len(formulas)
        return {
            "nodes": msgspec.to_builtins(nodes),
            "faded": faded,
            "leaders": self._leaders(),
            "formulas": msgspec.to_builtins(formulas),
            "tokens": self._meter.usage.completion_tokens,
            "in_flight": self._meter.in_flight,
            "seconds": round(self._meter.elapsed_s, 1),
        }

    def _shown(self, new: Sequence[Trajectory], answers: dict[Path, str]) -> Any:
        steps = [tree_node(t, kept=True) for t in new if t.steps]
        ends = {path: (answer, None) for path, answer in answers.items()}
        return shown_nodes(steps, ends, self._typeset)

    def _faded(self) -> list[Path]:
        """Return the siblings of those steps from which the search has gone on without them."""
        went_on, self._went_on = self._went_on, []
        faded: list[Path] = []
        for path in went_on:
            self._open.get(path[:-1], set()).discard(path)
        for parent in {path[:-1] for path in went_on if path[:-1] in self._open}:
            faded += self._open.pop(parent)
        return faded

    async def _count(self, ends: Sequence[Trajectory], answers: dict[Path, str]) -> None:
        """Count what speaks for each answer: rewards where there are some, else votes."""
        read = [t for t in ends if answers[t.path] and t.finish != "length"]
        keys = await self._ballot.keys([answers[t.path] for t in read])
        for trajectory, key in zip(read, keys, strict=True):
            weight = trajectory.value if trajectory.scores else 1.0
            self._support[key] = self._support.get(key, 0.0) + trajectory.multiplicity * weight
            self._texts.setdefault(key, answers[trajectory.path])

    def _leaders(self) -> list[dict[str, Any]]:
        total = sum(self._support.values()) or 1.0
        ranked = sorted(self._support.items(), key=lambda item: -item[1])[:_LEADERS]
        return [
            {"key": key, "answer": self._typeset.answer(self._texts[key]), "share": support / total}
            for key, support in ranked
        ]
