"""A budget for thoughts: one that ends too early goes on, one that is too long is ended.

Budget forcing (s1, Muennighoff et al. 2025, arXiv 2501.19393, §3): the mark that ends a thought too
early is taken back, and the policy goes on after "Wait". The words that end a thought for it are
those of Qwen3 (arXiv 2505.09388, §4.3). Knows nothing of how the policy is asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

from ttc_client.errors import ConfigError
from ttc_client.search.params import SearchParams, ThoughtBudget
from ttc_client.search.ports import Write
from ttc_client.search.thinking import readings_after, said
from ttc_client.thoughts import Ending, Forced, ending_of, is_stripped
from ttc_client.types import Step, Trajectory

WAIT = "Wait"
ENOUGH = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the "
    "thinking directly now.\n"
)
MOST_WAITS = 8
"""How often a thought is made to go on; a policy that has no more to say ends each at once."""
_MARKS = 64
"""More tokens than there are behind a thought where it has just ended."""


class Judged(NamedTuple):
    """A step after the budget was applied, and whether its thought goes on."""

    child: Trajectory
    is_open: bool


@dataclass(frozen=True, slots=True)
class Forcing:
    """Hold the thoughts of the steps below `parent` to a budget."""

    budget: ThoughtBudget
    parent: Trajectory
    params: SearchParams
    write: Write

    @classmethod
    def below(cls, parent: Trajectory, params: SearchParams, write: Write) -> "Forcing | None":
        """Return what holds a thought to the params' budget; None without one, or past a thought.

        Raises ConfigError for a prompt that only a chat API reads, which continues no thought.
        """
        budget = params.thought_budget
        if budget is None or (parent.steps and not said(parent).is_open):
            return None
        if parent.prompt.chat:
            raise ConfigError(
                "think_tokens is set, and the problem has tools or a response format, which need "
                "the server's chat API, where no thought can be continued: leave one of them out"
            )
        return cls(budget, parent, params, write)

    async def judged(self, child: Trajectory) -> Judged:
        """Make a step's thought go on or end, as the budget says.

        Raises ConfigError for a thought without marks.
        """
        ending = ending_of(child.text, child.prompt.closes_thought)
        if ending is None and is_stripped(child.text):
            raise ConfigError(
                "think_tokens is set, but the policy's server leaves out the marks of thoughts: "
                """add --extra-body '{"skip_special_tokens": false}'"""
            )
        if ending is None or child.finish == "length":
            return Judged(child, is_open=False)
        if not said(child).is_open:
            return await self._gone_on(child, ending)
        if child.finished or child.num_tokens < self.budget.most:
            return Judged(child, is_open=True)
        begun = _begun(child.text, ending.whole)
        child = await self._without(child, len(child.steps[-1].text) - begun) if begun else child
        text = ENOUGH + ending.whole + ending.after
        return Judged(await self._put_in(child, text, Forced(is_closed=True)), is_open=False)

    async def _gone_on(self, child: Trajectory, ending: Ending) -> Judged:
        """Open a thought again that ended too early; a mark from an earlier step stays."""
        waits = sum(step.forced.waits for step in child.steps)
        is_long = child.num_tokens >= self.budget.least + _MARKS
        if is_long or waits >= MOST_WAITS or ending.mark not in child.steps[-1].text:
            return Judged(child, is_open=False)
        text = child.steps[-1].text
        text = text[: text.rfind(ending.mark)].removesuffix(ending.whole.removesuffix(ending.mark))
        thought = await self._without(child, len(text))
        if thought.num_tokens >= self.budget.least:
            return Judged(child, is_open=False)
        gap = "" if thought.text[-1:].isspace() else "\n"
        return Judged(await self._put_in(thought, gap + WAIT, Forced(waits=1)), is_open=True)

    async def _without(self, child: Trajectory, kept: int) -> Trajectory:
        """Take back all but so many characters of the last step."""
        step = child.steps[-1]
        text = step.text[:kept]
        taken = await self._written(child, step.text[kept:])
        count = max(0, step.num_tokens - taken.num_tokens)
        if step.token_ids[count:] == taken.token_ids:
            shorter = replace(
                step,
                text=text,
                finish="stop",
                num_tokens=count,
                token_ids=step.token_ids[:count],
                logprobs=step.logprobs[:count],
                confidences=step.confidences[:count],
            )
        else:  # the mark's first token holds text before it, or a token of the end follows it
            again = await self._written(child, text)
            shorter = replace(again, multiplicity=step.multiplicity, forced=step.forced)
        (readings,) = readings_after(self.parent, [text], self.params)
        return replace(child, steps=(*child.steps[:-1], shorter), readings=readings)

    async def _put_in(self, child: Trajectory, text: str, forced: Forced) -> Trajectory:
        written = await self._written(child, text)
        step = replace(written, forced=forced._replace(num_tokens=written.num_tokens))
        (readings,) = readings_after(child, [text], self.params)
        return joined(child, replace(child, steps=(*child.steps, step), readings=readings))

    async def _written(self, child: Trajectory, text: str) -> Step:
        """Return a text as a step; raises ConfigError where its tokens are needed and unknown."""
        step = await self.write(text)
        if text and child.prompt.ids and not step.token_ids:
            raise ConfigError(
                "think_tokens needs the tokens of what it puts in, and the policy's server has no "
                "/tokenize: use --policy-api openai"
            )
        return step


def _begun(text: str, mark: str) -> int:
    """Return how many characters of a mark end a text that was cut within it."""
    return next((k for k in range(len(mark) - 1, 0, -1) if text.endswith(mark[:k])), 0)


def joined(child: Trajectory, grown: Trajectory) -> Trajectory:
    """Return a child whose last step goes on as in `grown`, which has one step more."""
    *before, one, two = grown.steps
    with_logprobs = _is_whole(one.logprobs, one) and _is_whole(two.logprobs, two)
    with_confidences = _has(one.confidences, one) and _has(two.confidences, two)
    step = Step(
        one.text + two.text,
        two.finish,
        one.num_tokens + two.num_tokens,
        one.token_ids + two.token_ids,
        one.multiplicity,
        logprobs=one.logprobs + two.logprobs if with_logprobs else (),
        confidences=one.confidences + two.confidences if with_confidences else (),
        forced=Forced(
            one.forced.num_tokens + two.forced.num_tokens,
            one.forced.waits + two.forced.waits,
            one.forced.is_closed or two.forced.is_closed,
        ),
    )
    return replace(child, steps=(*before, step), readings=grown.readings, prompt=grown.prompt)


def _is_whole(values: tuple[float, ...], step: Step) -> bool:
    """Return whether there is a value of each token that the policy wrote."""
    return len(values) == step.num_tokens - step.forced.num_tokens


def _has(values: tuple[float, ...], step: Step) -> bool:
    return bool(values) or step.num_tokens == step.forced.num_tokens


def remembered(write: Write) -> Write:
    """Return what writes each text once; a search puts the same few into all its thoughts."""
    known: dict[str, Step] = {}

    async def written(text: str) -> Step:
        if text not in known:
            known[text] = await write(text)
        return known[text]

    return written


def forcing_note(budget: ThoughtBudget | None, found: Iterable[Trajectory]) -> str:
    """Say what a budget did to the thoughts of completions, "" without a budget."""
    if budget is None:
        return ""
    thoughts = [t for t in found if said(t).thought]
    if not thoughts:
        return "the policy did not think, so that think_tokens changed nothing"
    forced = [[step.forced for step in thought.steps] for thought in thoughts]
    num_longer = sum(any(one.waits for one in steps) for steps in forced)
    num_closed = sum(one.is_closed for one in chain.from_iterable(forced))
    return (
        f"of {len(thoughts)} thoughts, {num_longer} went on after {WAIT} and {num_closed} were "
        f"ended at {budget.most:,} tokens"
    )
