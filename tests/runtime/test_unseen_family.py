"""A family of thinking models that is in no table, through each API, from prompt to vote."""

import pytest

from tests.fakes.scripted_server import scripted_server
from tests.fakes.thinking_servers import BEGIN, NAME, chat, of_tgi, openai, vllm
from tests.search.thinkers import RESPONSE, SHAPES, Shape, Thinker, text_of
from ttc_client.errors import ServerError
from ttc_client.runtime.client import Client
from ttc_client.search.forcing import ENOUGH
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import ScoreRequest
from ttc_client.settings.servers import Servers
from ttc_client.types import SearchResult

FAMILIES = {**SHAPES, "with a name in the mark": Shape("<seed:think>", "</seed:think>")}
APIS = {"vllm": vllm, "openai": openai, "tgi": of_tgi}
SHORT, LONGER = "Two and two: \\boxed{5}?", " it may be five. No, it is four."
LONG = "Two and two are four. " * 30


@pytest.fixture(params=FAMILIES.values(), ids=FAMILIES)
def shape(request):
    return request.param


@pytest.fixture(params=APIS)
def api(request):
    return request.param


class Reader:
    """Score all alike, and remember what was read."""

    def __init__(self) -> None:
        self.read: set[str] = set()

    async def __call__(self, request: ScoreRequest) -> list[list[float]]:
        self.read |= {step for item in request.items for step in item}
        return [[0.5] * len(item) for item in request.items]


async def solved(api, thinker, strategy, reader=None, **params) -> tuple[SearchResult, list]:
    replies = chat(thinker) if api == "chat" else APIS[api](thinker)
    async with scripted_server(replies) as server:
        speaks = "openai" if api == "chat" else api
        named = Servers(
            policy=server.url, prm=reader or Reader(), policy_api=speaks, check=False, concurrency=8
        )
        async with Client(named) as client:
            asked = SearchParams(strategy=strategy, n=4, m=2, **params)
            return await client.solve("What is $2 + 2$?", asked), server.requests


@pytest.mark.parametrize("strategy", ["best-of-n", "dvts"])
async def test_the_answer_is_read_behind_the_thought_in_the_familys_own_template(
    api, shape, strategy
):
    reader = Reader()
    result, requests = await solved(api, Thinker(shape, [SHORT]), strategy, reader)
    assert result.answer == "4"
    assert result.candidates
    assert reader.read == {"Add them.", "So \\boxed{4}."}
    assert NAME in result.policy
    assert all(SHORT[:11] in candidate.thought for candidate in result.candidates)
    prompts = [
        sent.get("prompt") or sent["inputs"]
        for path, sent in requests
        if "gener" in path or "comp" in path
    ]
    texts = [prompt if isinstance(prompt, str) else text_of(prompt) for prompt in prompts]
    assert texts
    assert all(text.startswith("<|system|>") and BEGIN in text for text in texts)


@pytest.mark.parametrize("strategy", ["best-of-n", "dvts"])
async def test_a_thought_is_held_to_a_budget(api, shape, strategy):
    thinker = Thinker(shape, [SHORT, LONG])
    result, _ = await solved(api, thinker, strategy, think_tokens="20:60")
    assert result.answer == "4"
    for candidate in result.candidates:
        assert candidate.text.endswith(RESPONSE)
        assert candidate.text.count("Wait") == 1
        assert ENOUGH in candidate.text
    num = len(result.candidates)
    forced = f"{num} thoughts, {num} went on after Wait and {num} were ended at 60 tokens"
    assert forced in result.note
    assert result.usage.completion_tokens > 60
    assert any("Wait" in node.text for node in result.tree)


async def test_whole_completions_come_through_chat_alone(shape):
    result, requests = await solved("chat", Thinker(shape, [SHORT]), "best-of-n")
    assert result.answer == "4"
    assert all(SHORT in candidate.thought for candidate in result.candidates)
    assert not [path for path, _ in requests if path == "/v1/completions"]


@pytest.mark.parametrize("strategy", ["best-of-n", "dvts"])
async def test_a_chat_that_cannot_continue_a_message_refuses_a_budget(shape, strategy):
    thinker = Thinker(shape, [SHORT])
    with pytest.raises(ServerError, match=r"no solution can be continued.*without --think-tokens"):
        await solved("chat", thinker, strategy, think_tokens="20:60")
