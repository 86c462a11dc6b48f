"""When the text of a stream starts: once no completion that is still missing can change it."""

import asyncio
import json
from contextlib import suppress

import pytest

from tests.gateway.serving import Caller, events, serving
from tests.gateway.test_life import until
from ttc_client.search.ports import SampleRequest
from ttc_client.testing import ScriptedPolicy
from ttc_client.types import Finish

SIZE = 4
"""Completions a request; there are 8 requests for 32."""


class Held(ScriptedPolicy):
    """Write `texts` in the order of the requests; a request whose place is in `held` waits."""

    def __init__(self, texts: list[str], held: set[int]) -> None:
        super().__init__(self._write, gate=self._gate, tokens=len)
        self.texts, self.held, self.opened = texts, held, asyncio.Event()

    def _place(self, request: SampleRequest) -> int:
        return self.requests.index(request)

    def _write(self, request: SampleRequest, i: int) -> tuple[str, Finish]:
        return self.texts[SIZE * self._place(request) + i], "eos"

    def _gate(self, request: SampleRequest) -> asyncio.Event | None:
        return self.opened if self._place(request) in self.held else None


def said(chunks: list[dict]) -> str:
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    return "".join(delta.get("content", "") for delta in deltas)


async def begun(
    caller: Caller, policy: Held, path: str, body: dict, wanted: str
) -> tuple[str, str]:
    """Return what is sent while some completions are held back, and all of the stream.

    Waits for what is `wanted` of the first, or for a while, to see that nothing comes.
    """
    sent = ""
    async with caller.session.post(caller.url + path, json={**body, "stream": True}) as reply:
        await until(lambda: len(policy.requests) == 8)
        await until(lambda: policy.in_flight == SIZE * len(policy.held))
        with suppress(TimeoutError):
            async with asyncio.timeout(20 if wanted else 0.3):
                while not wanted or wanted not in sent:
                    sent += (await reply.content.readany()).decode()
        policy.opened.set()
        return sent, sent + (await reply.content.read()).decode()


ONE, TWO = [f"So it is, as was to be shown, \\boxed{{{i}}}." for i in (1, 2)]
OTHERS = [f"Or \\boxed{{{i}}}" for i in range(3, 40)]


@pytest.mark.parametrize(
    ("texts", "held", "is_early"),
    [
        ([ONE] * 17 + OTHERS[:15], {5, 6, 7}, True),
        ([TWO, *[ONE] * 17, *OTHERS[:14]], {5, 6, 7}, True),
        ([ONE] * 20 + [TWO] * 4 + OTHERS[:8], {6, 7}, True),
        ([*OTHERS[:4], *[ONE] * 20, *OTHERS[:8]], {0}, False),
        ([ONE] * 12 + [TWO] * 4 + [ONE] * 4 + OTHERS[:12], {4, 5, 6, 7}, False),
        (["No answer."] * 12 + [ONE] * 20, {0}, False),
        ([*[ONE] * 4, *[ONE[:-1]] * 24, *OTHERS[:4]], {0}, False),
    ],
    ids=["most", "second", "ahead", "gap", "caught-up", "gap-before", "earlier-alike"],
)
async def test_the_text_starts_as_soon_as_nothing_can_change_it(texts, held, is_early):
    policy = Held(texts, held)
    async with serving(policy, profiles=("vote=majority:32",)) as caller:
        body = caller.body(text="x", stream_options={"include_usage": True})
        sent, whole = await begun(
            caller, policy, "/v1/chat/completions", body, "}." if is_early else ""
        )
    early = [json.loads(data) for _, data in events(sent)]
    *chunks, usage = [json.loads(data) for _, data in events(whole)[:-1]]
    assert bool(said(early)) == is_early
    assert said(chunks) == next(text for text in texts if "boxed{1}" in text)
    if is_early:
        assert said(early) == said(chunks)
        assert all(chunk["choices"][0]["finish_reason"] is None for chunk in early)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert sum(group["votes"] for group in chunks[-1]["ttc"]["answers"]) == sum(
        "boxed" in text for text in texts
    )
    assert chunks[-1]["ttc"]["policy_requests"] == 8
    assert usage["choices"] == []


async def test_a_response_starts_early_too_and_its_items_are_those_of_its_end():
    policy = Held([ONE] * 20 + OTHERS[:12], {5, 6, 7})
    async with serving(policy, profiles=("vote=majority:32",)) as caller:
        body = {"model": f"{caller.model}:vote", "input": "x"}
        sent, whole = await begun(caller, policy, "/v1/responses", body, "output_item.done\ndata")
    names = [name for name, _ in events(sent)]
    assert names[-1] == "response.output_item.done"
    (item,) = [json.loads(d)["item"] for n, d in events(sent) if n == names[-1]]
    name, last = events(whole)[-1]
    assert name == "response.completed"
    assert json.loads(last)["response"]["output"] == [item]
    numbers = [json.loads(data)["sequence_number"] for _, data in events(whole)]
    assert numbers == list(range(len(numbers)))
