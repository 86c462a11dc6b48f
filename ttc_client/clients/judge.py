"""A chat model as a verifier: it reads a problem and a solution, and says whether it is right.

How its verdicts become scores is settled once, when the client is opened, and is in its name. Each
solution is judged once; the steps of an item all get the score of the solution up to its end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from ttc_client.clients.http import Server
from ttc_client.clients.judge_prompts import (
    COMPARE_PROMPT,
    JUDGE_PROMPT,
    JudgePrompt,
    conversation,
    solution_parts,
)
from ttc_client.clients.judge_ways import (
    DEFAULT_VERDICTS,
    ChatLogprobs,
    NextToken,
    Said,
    SampledVerdicts,
    Way,
)
from ttc_client.clients.models import find_api, served_policy
from ttc_client.clients.replies import shown
from ttc_client.clients.scores import PRMFacts, per_item, solutions
from ttc_client.errors import ConfigError, ProtocolError, RequestError
from ttc_client.search.ports import CompareRequest, Comparison, ScoreRequest, Scores
from ttc_client.together import together
from ttc_client.types import Usage

UNREADABLE = "unreadable verdict"

_EXAMPLE = {"problem": "What is $2 + 3$?", "solution": "$2 + 3 = 5$.", "state": ""}
_LEAST_ASKED = 8
_MOST_MISSING = 0.5


@dataclass(slots=True)
class _Tally:
    """How many were judged in a run, and how many without a verdict; the last such reply."""

    asked: int = 0
    missing: int = 0
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge at one server; open one with `connect`.

    Verdicts are remembered by what was judged. One that cannot be read is missing, and counted; a
    judge that gives too few is refused.
    """

    server: Server
    model: str
    prompt: JudgePrompt
    way: Way
    of_itself: bool = False
    known: dict[bytes, float] = field(default_factory=dict[bytes, float])
    tally: _Tally = field(default_factory=_Tally)

    @classmethod
    async def connect(
        cls,
        server: Server,
        model: str | None,
        prompt: JudgePrompt = JUDGE_PROMPT,
        verdicts: int | None = None,
        *,
        of_itself: bool = False,
    ) -> "Judge":
        """Ask the server which model it serves, and try how it gives verdicts.

        With `verdicts`, so many are sampled; else its log-probabilities are read where it gives
        them. Raises ServerError, and ConfigError for a server of no model that writes.
        """
        if model is None:
            server, name, _ = await served_policy(server, None)
        else:
            (server, _), name = await find_api(server, model), model
        way = await _way(server, name, prompt, verdicts)
        return cls(server, name, prompt, way, of_itself)

    @property
    def name(self) -> str:
        """The model, and how its verdicts are read."""
        role = "its own judge" if self.of_itself else "judge"
        return f"{self.model} ({role}, {self.way.name})"

    @property
    def facts(self) -> PRMFacts:
        """What the judge reads."""
        return PRMFacts(self.model, reads_history=True)

    async def score(self, request: ScoreRequest) -> Scores:
        """Judge the solution that ends with each item, all at once.

        Raises ServerError, and ProtocolError for a judge most of whose verdicts are unreadable.
        """
        texts = solutions(request)
        finishes = [steps[-1].finish if steps else "eos" for steps in request.sampled]
        filled = [bool(item) for item in request.items]
        finishes = finishes or ["eos"] * len(filled)
        ends = [finish for finish, has in zip(finishes, filled, strict=True) if has]
        parts = {
            text: solution_parts(request.problem, text, complete=end != "stop")
            for text, end in zip(texts, ends, strict=True)
        }
        found = await together(self._judged(self.prompt, one) for one in parts.values())
        scores = dict(zip(parts, (said.score for said in found), strict=True))
        usage = sum((said.usage for said in found), Usage())
        return Scores(per_item(request, [scores[text] for text in texts]), usage)

    async def compare(self, request: CompareRequest) -> Comparison:
        """Say which of two texts is better; raises as `score` does."""
        parts = {
            "problem": conversation(request.problem),
            "a": request.first,
            "b": request.second,
        }
        said = await self._judged(COMPARE_PROMPT, parts)
        return Comparison(said.score, said.usage)

    async def _judged(self, prompt: JudgePrompt, parts: Mapping[str, str]) -> Said:
        key = blake2b(repr((prompt.text, sorted(parts.items()))).encode(), digest_size=16).digest()
        if (score := self.known.get(key)) is not None:
            return Said(score)
        said = await self.way.ask(prompt, parts)
        self.tally.asked += 1
        if said.score is None:
            self.tally.missing += 1
            self.tally.unread = said.text
            self._refuse_if_too_many_are_missing()
            return Said(None, said.usage + Usage(failures={UNREADABLE: 1}), said.text)
        self.known[key] = said.score
        return said

    def _refuse_if_too_many_are_missing(self) -> None:
        tally = self.tally
        if tally.asked >= _LEAST_ASKED and tally.missing > _MOST_MISSING * tally.asked:
            raise ProtocolError(
                f"{self.server.url}: {tally.missing} of {tally.asked} verdicts of {self.model} are "
                f"unreadable, the last one {shown(tally.unread[-200:])!r}: use another judge, or a "
                "prompt that it follows (--judge-prompt)",
                url=self.server.url,
            )


async def _way(server: Server, model: str, prompt: JudgePrompt, verdicts: int | None) -> Way:
    """Return how to read verdicts: by log-probabilities where nothing else is asked for."""
    if verdicts is not None or not prompt.form.is_choice:
        return SampledVerdicts(server, model, verdicts or DEFAULT_VERDICTS)
    for kind in (NextToken, ChatLogprobs):
        way = kind(server, model)
        try:
            if (await way.ask(prompt, _EXAMPLE)).score is not None:
                return way
        except (RequestError, ProtocolError, ConfigError):
            continue
    return SampledVerdicts(server, model, DEFAULT_VERDICTS)
