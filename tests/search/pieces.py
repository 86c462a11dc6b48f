"""A policy whose completions are given, and that writes them in pieces: a token is a character."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ttc_client.search.ports import SampleRequest
from ttc_client.testing import ScriptedPolicy
from ttc_client.types import Finish, Step


class Pieces(ScriptedPolicy):
    """Write completion k of a search as `texts[k]`, wherever a request takes it up.

    The confidence of a digit is its value, that of another character 5. A request for a single
    token is none of a completion.
    """

    def __init__(
        self, texts: Sequence[str], gate: Callable[[SampleRequest], object] = lambda request: None
    ) -> None:
        super().__init__(self._piece, gate, tokens=len)  # pyright: ignore[reportArgumentType]
        self.texts = texts

    def _piece(self, request: SampleRequest, i: int) -> tuple[str, Finish]:
        written = request.trajectory
        rest = self.texts[written.path[0] if written.path else self._first(request) + i]
        rest = rest[len(written.text) :]
        piece = rest[: request.max_tokens]
        return piece, "eos" if piece == rest else "length"

    def _first(self, request: SampleRequest) -> int:
        roots = [r for r in self.requests if not r.trajectory.path and r.max_tokens > 1]
        before = [r.seed for r in roots].index(request.seed) if request in roots else 0
        return sum(r.n for r in roots[:before])

    def _step(self, request: SampleRequest, text: str, finish: Finish) -> Step:
        step = super()._step(request, text, finish)
        confidences = tuple(float(c) if c.isdigit() else 5.0 for c in text)
        return replace(step, confidences=confidences if request.top_logprobs else ())
