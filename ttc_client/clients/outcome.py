"""An outcome reward model: one score for a solution, whole or partial.

Each step gets the score of its item. In a search that is the score of the solution up to the
step. The steps of a whole solution all get the same score, which `last`, `min` and `mean` reduce
to itself (`prod` does not).
"""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ttc_client.clients.http import Server
from ttc_client.clients.models import served_model
from ttc_client.clients.replies import Unexpected, in_order
from ttc_client.clients.scores import PRMFacts, per_item, probability, solutions
from ttc_client.clients.tokenization import tokenize_chat
from ttc_client.clients.usage import TokenUsage, counted
from ttc_client.errors import RequestError
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.together import together
from ttc_client.types import Usage


def _one_text(problem: str, solution: str) -> str:
    return problem + STEP_DELIMITER + solution


class _Classified(msgspec.Struct):
    index: int
    probs: list[float]


class _Classification(msgspec.Struct):
    data: list[_Classified]
    usage: TokenUsage | None = None


@dataclass(frozen=True, slots=True)
class VLLMClassification:
    """A reward model behind `POST /classify` of vLLM; open one with `connect`.

    `chat` says whether the model has a chat template; without one it reads the problem, a blank
    line and the solution. Of two classes the second means good.
    """

    server: Server
    model: str
    context_length: int | None
    chat: bool

    @classmethod
    async def connect(cls, server: Server) -> "VLLMClassification":
        """Ask the server for its model, and whether that has a chat template."""
        model, context_length = await served_model(server, None)
        try:
            await _chat_ids(server, "1 + 1?", "2")
        except RequestError:
            return cls(server, model, context_length, chat=False)
        return cls(server, model, context_length, chat=True)

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.model} (outcome, classification)"

    @property
    def facts(self) -> PRMFacts:
        """What the server says of the model."""
        return PRMFacts(self.model, self.context_length)

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all items in one request; raises ServerError."""
        read = solutions(request)
        if self.chat:
            texts = await together(_chat_ids(self.server, request.question, s) for s in read)
        else:
            texts = [_one_text(request.question, solution) for solution in read]
        payload = {"model": self.model, "input": texts}
        with await self.server.ask("/classify", payload, _Classification, request.session) as reply:
            flat = [_second(one.probs) for one in in_order(reply.data, len(read))]
            return Scores(per_item(request, flat), counted(reply.usage).by_prm())


def _second(probs: Sequence[float]) -> float:
    if len(probs) not in (1, 2):
        raise Unexpected(f"{len(probs)} classes, not 1 or 2")
    return probs[-1]


def _chat_ids(server: Server, problem: str, solution: str) -> Coroutine[Any, Any, tuple[int, ...]]:
    messages = [
        {"role": "user", "content": problem},
        {"role": "assistant", "content": solution},
    ]
    return tokenize_chat(server, messages, add_generation_prompt=False)


class _Labels(msgspec.Struct):
    id2label: dict[str, str] = {}


class _Info(msgspec.Struct):
    model_id: str
    model_type: dict[str, _Labels] = {}
    max_client_batch_size: int = 32
    max_input_length: int | None = None


class _Prediction(msgspec.Struct):
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class TEIPrediction:
    """A reward model behind `POST /predict` of TEI; open one with `connect`.

    It reads the problem, a blank line and the solution. TEI names its classes; `good` is the name
    of the second.
    """

    server: Server
    model: str
    context_length: int | None
    good: str
    batch_size: int

    @classmethod
    async def connect(cls, server: Server) -> "TEIPrediction":
        """Ask the server for its model, the names of its classes, and its limits."""
        info = await server.get("/info", _Info)
        labels = [labels.id2label for labels in info.model_type.values()]
        good = labels[0].get("1", "") if labels else ""
        return cls(
            server,
            info.model_id,
            info.max_input_length,
            good or "LABEL_1",
            info.max_client_batch_size,
        )

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.model} (outcome, TEI)"

    @property
    def facts(self) -> PRMFacts:
        """What the server says of the model."""
        return PRMFacts(self.model, self.context_length)

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all items in as few requests as the server allows; raises ServerError."""
        texts = [[_one_text(request.question, solution)] for solution in solutions(request)]
        batches = await together(
            self._predict(texts[start : start + self.batch_size], request.session)
            for start in range(0, len(texts), self.batch_size)
        )
        flat = [score for batch in batches for score in batch]
        return Scores(per_item(request, flat), Usage(prm_requests=len(batches)))

    async def _predict(self, batch: Sequence[Sequence[str]], session: str) -> list[float]:
        payload = {"inputs": batch, "raw_scores": False}
        with await self.server.ask("/predict", payload, list[list[_Prediction]], session) as reply:
            if len(reply) != len(batch):
                raise Unexpected(f"{len(reply)} answers instead of {len(batch)}")
            return [probability(self._good_score(predictions)) for predictions in reply]

    def _good_score(self, predictions: Sequence[_Prediction]) -> float:
        for prediction in predictions:
            if len(predictions) == 1 or prediction.label == self.good:
                return prediction.score
        names = ", ".join(prediction.label for prediction in predictions) or "none"
        raise Unexpected(f"no class {self.good}; the classes are {names}")
