"""A causal PRM in llama.cpp's server, asked for the probability of each verdict.

Both labels get so large a bias that sampling keeps no other token; the probabilities after it are
the softmax over the two, however unlikely they are among all.
"""

from dataclasses import dataclass
from typing import Any, cast

import msgspec

from ttc_client.clients.formats import PRMFormat, find_format, questions
from ttc_client.clients.http import Answer, Server
from ttc_client.clients.models import served_model
from ttc_client.clients.prompts import RLHFLOW_VERDICTS
from ttc_client.clients.replies import Unexpected, in_order
from ttc_client.clients.scores import PRMFacts, checked_scores
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.types import Usage

_BIAS = 100.0
"""Far above all differences between logits, and little enough to lose none of their digits."""


class _Tokens(msgspec.Struct):
    tokens: list[int]


class _Defaults(msgspec.Struct):
    n_ctx: int | None = None


class Props(msgspec.Struct):
    """The fields of `/props` by which llama.cpp's server is known."""

    total_slots: int
    default_generation_settings: _Defaults = msgspec.field(default_factory=_Defaults)


class _Label(msgspec.Struct):
    id: int
    prob: float


class _Token(msgspec.Struct):
    top_probs: list[_Label]


class _Verdict(msgspec.Struct):
    index: int = 0
    completion_probabilities: list[_Token] = []
    tokens_evaluated: int = 0


@dataclass(frozen=True, slots=True)
class LlamaCppScoring:
    """A PRM behind `POST /completion` of llama.cpp; open one with `connect`.

    `labels` are the ids of "+" and "-".
    """

    server: Server
    model: str
    context_length: int | None
    labels: tuple[int, int]
    form: PRMFormat

    @classmethod
    async def connect(cls, server: Server, wanted_format: str) -> "LlamaCppScoring":
        """Ask the server for its model, how much it reads, and the ids of "+" and "-"."""
        model, _ = await served_model(server, None)
        props = await server.get("/props", Props)
        good, bad = [await _label(server, verdict) for verdict in RLHFLOW_VERDICTS]
        form = find_format(wanted_format, model, (good, bad))
        return cls(server, model, props.default_generation_settings.n_ctx, (good, bad), form)

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.model} ({self.form.name}, llama.cpp)"

    @property
    def facts(self) -> PRMFacts:
        """What the server says of the PRM."""
        return PRMFacts(self.model, self.context_length, self.labels)

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all steps of all items in one request; raises ContextLengthError, ServerError."""
        shared, rests = questions(self.form, request)
        payload: dict[str, Any] = {
            "prompt": [shared + rest for rest in rests],
            "n_predict": 1,
            "n_probs": len(self.labels),
            "post_sampling_probs": True,
            "logit_bias": [[label, _BIAS] for label in self.labels],
            "samplers": ["top_k", "temperature"],
            "top_k": len(self.labels),
            "temperature": 1.0,
            "response_fields": _Verdict.__struct_fields__,
        }
        kind: Any = list[_Verdict] | _Verdict  # one prompt has one answer, not a list of them
        answer: Answer[Any] = await self.server.ask("/completion", payload, kind, request.session)
        with answer as reply:
            said = cast("list[_Verdict]", reply if isinstance(reply, list) else [reply])
            verdicts = in_order(said, len(rests))
            flat = [self._probability(verdict) for verdict in verdicts]
            read = sum(verdict.tokens_evaluated for verdict in verdicts)
            usage = Usage(prm_tokens=read, prm_requests=1)
            return Scores(checked_scores(request, flat), usage)

    def _probability(self, verdict: _Verdict) -> float:
        labels = [one for token in verdict.completion_probabilities for one in token.top_probs]
        found = {label.id: label.prob for label in labels}
        total = sum(found.get(label, 0.0) for label in self.labels)
        if not total:
            raise Unexpected("no probability of + or - after a step")
        return min(1.0, found.get(self.labels[0], 0.0) / total)


async def _label(server: Server, verdict: str) -> int:
    payload = {"content": verdict, "add_special": False}
    with await server.ask("/tokenize", payload, _Tokens) as reply:
        if not reply.tokens:
            raise Unexpected(f"no token for {verdict}")
        return reply.tokens[-1]
