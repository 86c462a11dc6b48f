"""How a judge's verdict becomes a score: read off log-probabilities, or counted over samples.

The score is P(good) among the two words of the verdict (GenRM, arXiv 2408.15240) where the server
gives log-probabilities, else the mean verdict of several critiques (ThinkPRM, arXiv 2504.16828;
GenPRM, arXiv 2504.00891).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Protocol

import msgspec

from ttc_client.clients.causal import first_of_two
from ttc_client.clients.http import Server
from ttc_client.clients.judge_prompts import JudgePrompt
from ttc_client.clients.logprobs import ChatToken, is_reported
from ttc_client.clients.replies import Unexpected
from ttc_client.clients.tokenization import tokenize, tokenize_chat
from ttc_client.clients.usage import TokenUsage, counted
from ttc_client.clients.verdicts import VerdictForm
from ttc_client.together import together
from ttc_client.types import Usage

DEFAULT_VERDICTS = 4

_MAX_TOKENS = 2048
_TEMPERATURE = 0.7
_TRIES = 3
"""How often one verdict is asked for until it can be read."""
_TOP_LOGPROBS = 20
AGAIN = "unreadable verdict"


@dataclass(frozen=True, slots=True)
class Said:
    """A score from 0 to 1, None where no verdict could be read in `text`, and what it cost."""

    score: float | None
    usage: Usage = field(default_factory=Usage)
    text: str = ""


class Way(Protocol):
    """One way to score; `name` is in the result."""

    @property
    def name(self) -> str: ...

    async def ask(self, prompt: JudgePrompt, parts: Mapping[str, str]) -> Said: ...


class _TopLogprobs(msgspec.Struct):
    top_logprobs: list[dict[str, float | None]] = []


class _NextChoice(msgspec.Struct):
    logprobs: _TopLogprobs


class _Next(msgspec.Struct):
    choices: list[_NextChoice]
    usage: TokenUsage | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _ChatLogprobs(msgspec.Struct):
    content: list[ChatToken] | None = None


class _ChatChoice(msgspec.Struct):
    message: _Message
    logprobs: _ChatLogprobs | None = None


class _Chat(msgspec.Struct):
    choices: list[_ChatChoice]
    usage: TokenUsage | None = None


@dataclass(frozen=True, slots=True)
class NextToken:
    """The judge's turn is begun with the marker, and the next token's two labels are read.

    For servers that take token ids and give the log-probabilities of chosen tokens, as vLLM does.
    The judge writes nothing, so that nothing needs to be parsed.
    """

    server: Server
    model: str
    labels: dict[VerdictForm, tuple[Sequence[int], int, int]] = field(
        default_factory=dict[VerdictForm, tuple[Sequence[int], int, int]]
    )
    name = "log-probabilities of the next token"

    async def ask(self, prompt: JudgePrompt, parts: Mapping[str, str]) -> Said:
        """Read P(good); raises ServerError."""
        begun, good, bad = await self._labels(prompt.form)
        messages = prompt.messages(parts, critique=False)
        ids = await tokenize_chat(self.server, messages, add_generation_prompt=True)
        payload = {
            "model": self.model,
            "prompt": [*ids, *begun],
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": 2,
            "logprob_token_ids": [good, bad],
            "return_tokens_as_token_ids": True,
        }
        with await self.server.ask(f"{self.server.api}/completions", payload, _Next) as reply:
            said = reply.choices[0].logprobs.top_logprobs if reply.choices else []
            logps = [(said[0] if said else {}).get(f"token_id:{label}") for label in (good, bad)]
        usage = _by_judge(reply.usage)
        good_logp, bad_logp = logps
        if not is_reported(good_logp) or not is_reported(bad_logp):
            return Said(None, usage, f"no log-probability of {prompt.form.good!r}")
        return Said(first_of_two(good_logp, bad_logp), usage)

    async def _labels(self, form: VerdictForm) -> tuple[Sequence[int], int, int]:
        """Return the tokens of the marker, and the first ones by which the two words differ.

        Raises Unexpected, as a ProtocolError, for words of which one begins with the other.
        """
        if form not in self.labels:
            good, bad = await together(
                tokenize(self.server, f"{form.marker}: {word}", add_special_tokens=False)
                for word in (form.good, form.bad)
            )
            pairs = enumerate(zip(good, bad, strict=False))
            differ = next((place for place, (one, other) in pairs if one != other), None)
            if differ is None:
                raise self.server.failures.unexpected(
                    "/tokenize", f"no token tells {form.good} from {form.bad}"
                )
            self.labels[form] = good[:differ], good[differ], bad[differ]
        return self.labels[form]


@dataclass(frozen=True, slots=True)
class ChatLogprobs:
    """The judge writes its verdict, and the probabilities of its place are read.

    For chat servers that give log-probabilities.
    """

    server: Server
    model: str
    name = "log-probabilities of the verdict"

    async def ask(self, prompt: JudgePrompt, parts: Mapping[str, str]) -> Said:
        """Read P(good), asking again where there is no verdict; raises ServerError."""
        messages = prompt.messages(parts, critique=False)
        more = {"logprobs": True, "top_logprobs": _TOP_LOGPROBS}
        usage, text = Usage(), ""
        for attempt in range(_TRIES):
            heat = (
                {"temperature": _TEMPERATURE, "seed": attempt} if attempt else {"temperature": 0.0}
            )
            choice, cost = await _chat(self.server, self.model, messages, {**more, **heat})
            usage += cost
            text = choice.message.content or ""
            tokens = (choice.logprobs and choice.logprobs.content) or []
            if (score := prompt.form.probability(tokens)) is not None:
                return Said(score, usage, text)
            usage += Usage(retries={AGAIN: 1} if attempt + 1 < _TRIES else {})
        return Said(None, usage, text)


@dataclass(frozen=True, slots=True)
class SampledVerdicts:
    """The mean of `count` critiques' verdicts, of those that could be read."""

    server: Server
    model: str
    count: int

    @property
    def name(self) -> str:
        """How many there are."""
        return "1 verdict" if self.count == 1 else f"mean of {self.count} verdicts"

    async def ask(self, prompt: JudgePrompt, parts: Mapping[str, str]) -> Said:
        """Sample all critiques at once, each again where its verdict is unreadable."""
        messages = prompt.messages(parts, critique=True)
        said = await together(self._one(prompt.form, messages, i) for i in range(self.count))
        usage = sum((one.usage for one in said), Usage())
        scores = [one.score for one in said if one.score is not None]
        return Said(fmean(scores) if scores else None, usage, said[-1].text)

    async def _one(self, form: VerdictForm, messages: Sequence[Any], number: int) -> Said:
        usage, text = Usage(), ""
        for attempt in range(_TRIES):
            heat = {"temperature": _TEMPERATURE, "seed": number + attempt * self.count}
            choice, cost = await _chat(self.server, self.model, messages, heat)
            usage += cost
            text = choice.message.content or ""
            if (score := form.verdict(text)) is not None:
                return Said(score, usage, text)
            usage += Usage(retries={AGAIN: 1} if attempt + 1 < _TRIES else {})
        return Said(None, usage, text)


async def _chat(
    server: Server, model: str, messages: Sequence[Any], more: Mapping[str, Any]
) -> tuple[_ChatChoice, Usage]:
    payload = {"model": model, "messages": messages, "max_tokens": _MAX_TOKENS, **more}
    with await server.ask(f"{server.api}/chat/completions", payload, _Chat) as reply:
        if len(reply.choices) != 1:
            raise Unexpected(f"{len(reply.choices)} choices instead of 1")
        return reply.choices[0], _by_judge(reply.usage)


def _by_judge(usage: TokenUsage | None) -> Usage:
    read = counted(usage)
    return read.by_prm() + Usage(prm_completion_tokens=read.completion_tokens or 0)
