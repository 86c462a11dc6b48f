"""A causal PRM in a TGI server, which generates the verdict on each step in its own request."""

from dataclasses import dataclass

import msgspec

from ttc_client.clients.causal import first_of_two
from ttc_client.clients.formats import PRMFormat, find_format, questions
from ttc_client.clients.http import Server
from ttc_client.clients.prompts import RLHFLOW_VERDICTS
from ttc_client.clients.replies import Unexpected
from ttc_client.clients.scores import PRMFacts, checked_scores
from ttc_client.clients.tgi import TGIModel
from ttc_client.errors import RequestError
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.together import together
from ttc_client.types import Usage

_NUM_LIKELIEST = 5
"""How many of the likeliest tokens a TGI server returns by default."""


class _LabelToken(msgspec.Struct):
    id: int


class _Token(msgspec.Struct):
    id: int
    text: str
    logprob: float


class _Details(msgspec.Struct):
    top_tokens: list[list[_Token]]


class _Verdict(msgspec.Struct):
    details: _Details


@dataclass(frozen=True, slots=True)
class TGIScoring:
    """A PRM behind `POST /generate`, asked for the likeliest first tokens; open it with `connect`.

    `labels` are the ids of "+" and "-", None where the server has no `/tokenize`.
    """

    tgi: TGIModel
    labels: tuple[int, int] | None
    form: PRMFormat

    @classmethod
    async def connect(cls, server: Server, wanted_format: str) -> "TGIScoring":
        """Ask the server for its model, its limits and the ids of "+" and "-"."""
        tgi = await TGIModel.connect(server, None)
        labels = await _labels(server)
        return cls(tgi, labels, find_format(wanted_format, tgi.name, labels))

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.tgi.name} ({self.form.name}, TGI)"

    @property
    def facts(self) -> PRMFacts:
        """What the server says of the PRM."""
        return PRMFacts(self.tgi.name, self.tgi.max_input_tokens, self.labels)

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all steps of all items at the same time; raises ServerError."""
        shared, rests = questions(self.form, request)
        flat = await together(self._ask(shared + rest, request.session) for rest in rests)
        return Scores(checked_scores(request, flat), Usage(prm_requests=len(rests)))

    async def _ask(self, text: str, session: str) -> float:
        parameters = {
            "max_new_tokens": 1,
            "do_sample": False,
            "top_n_tokens": _NUM_LIKELIEST,
            "details": True,
        }
        with await self.tgi.generate(text, parameters, _Verdict, session) as verdict:
            return self._probability(verdict)

    def _probability(self, verdict: _Verdict) -> float:
        """Return the softmax over the two labels; an absent one is as likely as the last token."""
        likeliest = verdict.details.top_tokens[0] if verdict.details.top_tokens else []
        good, bad = [self._logp(likeliest, which) for which in range(2)]
        if good is bad is None:
            said = ", ".join(repr(token.text) for token in likeliest) or "nothing"
            raise Unexpected(f"neither + nor - is likely after a step, but {said}")
        floor = min(token.logprob for token in likeliest)
        return first_of_two(floor if good is None else good, floor if bad is None else bad)

    def _logp(self, likeliest: list[_Token], which: int) -> float | None:
        """Find a label's logprob by its id, or else by its text; None if it is absent."""
        by_id = [t.logprob for t in likeliest if self.labels and t.id == self.labels[which]]
        by_text = [t.logprob for t in likeliest if t.text.strip() == RLHFLOW_VERDICTS[which]]
        return next(iter(by_id + by_text), None)


async def _labels(server: Server) -> tuple[int, int] | None:
    try:
        read = [
            await server.post("/tokenize", {"inputs": verdict}, list[_LabelToken])
            for verdict in RLHFLOW_VERDICTS
        ]
    except RequestError as error:
        if error.status != 404:
            raise
        return None
    if not all(read):
        raise server.failures.unexpected("/tokenize", "no token for + or -")
    good, bad = (tokens[-1].id for tokens in read)
    return good, bad
