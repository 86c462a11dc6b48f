"""Run a strategy on ports of one's own."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ttc_client.answers import extract_answer
from ttc_client.sal.modes import MODES
from ttc_client.search.ballot import Ballot
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import Policy, Verifier, Write
from ttc_client.search.search import Ports, Search
from ttc_client.search.strategies import find_strategy
from ttc_client.search.strategy import Strategy
from ttc_client.search.watch import Watch
from ttc_client.types import Message, Problem, Prompt, Step, Trajectory


def a_problem(question: str = "p") -> Problem:
    """Return a problem that is nothing but a question."""
    return Problem(question=question)


ROOT = Trajectory(Prompt(a_problem().messages, "<prompt>", (1, 2, 3)))
"""The empty trajectory of a problem, with a made-up prompt."""


async def run_search(
    params: SearchParams,
    policy: Policy,
    verifier: Verifier | None = None,
    *,
    question: str = "p",
    strategy: Strategy[Any] | None = None,
    watch: Watch | None = None,
    top_logprobs: int | None = None,
    root: Trajectory = ROOT,
    write: Write | None = None,
) -> Found:
    """Return what a strategy finds; it is looked up by the params' name unless it is given.

    `top_logprobs` is what the verifier reads of the policy's log-probabilities. `root` is the empty
    trajectory that the search begins with, and `write` makes a step of a text.
    Answers are the text in the last box, and equal if they read the same. Raises ConfigError for
    params that the strategy cannot run with.
    """
    mode = MODES[params.compat]
    table = {**mode.strategies, **({strategy.name: strategy} if strategy else {})}
    strategy = strategy or find_strategy(params.strategy, table)
    problem = a_problem(question)

    async def root_of(messages: Sequence[Message]) -> Trajectory:
        return replace(root, prompt=replace(root.prompt, messages=tuple(messages)))

    ports = Ports(
        policy=policy,
        verifier=verifier,
        root=root_of,
        written=write or _text,
        ballot=Ballot(extract_answer, _texts),
        watch=watch or Watch(),
        find=partial(find_strategy, among=table),
        rules=mode.rules,
        top_logprobs=top_logprobs,
    )
    begin = await root_of(problem.messages)
    return await strategy.search(Search(problem, begin, strategy.checked(params), ports))


async def _text(text: str) -> Step:
    return Step(text, "stop", 1, (hash(text) % 1000,))


async def _texts(answers: Sequence[str]) -> Sequence[str]:
    return answers
