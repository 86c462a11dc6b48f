"""Why a choice ended, in the words of many servers, on both of OpenAI's paths and vLLM's."""

import pytest

from tests.clients.test_openai import ask, choices, policy
from tests.clients.test_policy_contract import QUESTION
from tests.clients.test_vllm import policy as vllm_policy
from tests.fakes.scripted_server import completions
from ttc_client.clients.finishes import whole_finish
from ttc_client.clients.replies import Dropped
from ttc_client.errors import NoAnswerError, TransientServerError
from ttc_client.middleware.retries import RetryBudget, retrying


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "eos"),
        ("STOP", "eos"),
        ("eos", "eos"),
        ("eos_token", "eos"),
        ("end_turn", "eos"),
        ("End-Turn", "eos"),
        ("FinishReason.STOP", "eos"),
        ("FINISH_REASON_STOP", "eos"),
        ("COMPLETE", "eos"),
        ("stop_sequence", "eos"),
        ("eosFound", "eos"),
        ("stopStringFound", "eos"),
        ("EndOfText", "eos"),
        ("hit_eos", "eos"),
        ("success", "eos"),
        ("maxTokens", "length"),
        ("maxPredictedTokensReached", "length"),
        ("contextLengthReached", "length"),
        ("token_limit_reached", "length"),
        ("limit", "length"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("finish_reason_max_tokens", "length"),
        ("model_length", "length"),
        ("", "eos"),
        (None, "eos"),
    ],
)
def test_every_servers_word_for_an_end_or_a_cut_is_read(reason, finish):
    assert whole_finish(reason, wrote=True) == finish


@pytest.mark.parametrize("reason", ["content_filter", "abort", "SAFETY", "error", "tool_calls"])
def test_what_was_given_up_or_is_not_known_is_dropped_by_its_name(reason):
    with pytest.raises(Dropped) as dropped:
        whole_finish(reason, wrote=True)
    assert dropped.value.cause == f"ended by {reason.lower()}"


def test_without_a_reason_nothing_is_no_answer_and_a_text_of_all_tokens_is_cut():
    with pytest.raises(Dropped, match="empty"):
        whole_finish(None, wrote=False)
    assert whole_finish(None, wrote=True, used_up=True) == "length"


def said(path: str, *ends: tuple[str, str | None]) -> dict:
    """Answer with a choice per text and finish reason, as either path does."""
    texts = [
        {"message": {"content": text}} if "chat" in path else {"text": text, "stop_reason": None}
        for text, _ in ends
    ]
    made = [{"index": i, "finish_reason": ends[i][1], **text} for i, text in enumerate(texts)]
    return {"choices": made, "usage": {"prompt_tokens": 7, "completion_tokens": 9}}


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
async def test_a_choice_that_was_filtered_is_left_out_and_counted_and_the_others_stay(path):
    ends = ("a", "end_turn"), ("b", "content_filter"), ("c", "MAX_TOKENS"), ("d", "abort")
    async with policy(**{path: lambda _: said(path, *ends)}) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=4, stop=()))
    assert [step and (step.text, step.finish) for step in samples.steps] == [
        ("a", "eos"),
        None,
        ("c", "length"),
        None,
    ]
    assert samples.usage.failures == {"ended by content_filter": 1, "ended by abort": 1}


async def test_where_all_were_filtered_that_is_the_failure():
    reply = said("/v1/completions", ("a", "content_filter"))
    async with policy(**{"/v1/completions": lambda _: reply}) as (_, client):
        with pytest.raises(NoAnswerError, match="ended by content_filter") as raised:
            await client.sample(ask(await client.root(QUESTION), n=1, stop=()))
    assert raised.value.cause == "ended by content_filter"


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
@pytest.mark.parametrize(
    ("first", "second"),
    [("error", "abort"), ("FinishReason.ERROR", "timeout"), ("safety", "error")],
)
async def test_where_the_servers_own_trouble_ended_all_that_may_pass(path, first, second):
    reply = said(path, ("a", first), ("b", second))
    async with policy(**{path: lambda _: reply}) as (_, client):
        with pytest.raises(TransientServerError) as raised:
            await client.sample(ask(await client.root(QUESTION), n=2, stop=()))
    assert (raised.value.status, raised.value.cause) == (500, raised.value.reason)
    assert raised.value.cause.startswith("ended by ")


async def test_it_is_asked_again_counted_and_given_up_after_five_times(monkeypatch):
    monkeypatch.setattr("ttc_client.middleware.retries._FIRST_PAUSE_S", 0.001)
    ends, retries = ["error", "aborted", "stop"], []
    async with policy(
        **{"/v1/completions": lambda _: said("/v1/completions", ("a", ends.pop(0)))}
    ) as (_, client):
        budget = RetryBudget()
        sample = retrying(client.sample, 60, budget, lambda e: retries.append(e.cause))
        request = ask(await client.root(QUESTION), n=1, stop=())
        assert (await sample(request)).steps[0].text == "a"
        assert retries == ["ended by error", "ended by aborted"]
        ends.extend(["error"] * 9)
        with pytest.raises(TransientServerError, match="5 attempts") as raised:
            await sample(request)
    assert raised.value.cause == "ended by error"
    assert len(ends) == 4


async def test_token_ids_go_with_the_choices_that_stay():
    ends = [("a\n\n", "stop", "\n\n"), ("b", "abort", None), ("c", "eos", None), ("d", "", None)]
    served = completions(lambda payload, i: ends[i])
    async with vllm_policy(**{"/v1/completions": served}) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=4))
    assert [step and step.finish for step in samples.steps] == ["stop", None, "eos", "eos"]
    assert samples.usage.failures == {"ended by abort": 1}


async def test_a_word_for_a_stop_string_ends_a_step_without_a_stream():
    def complete(payload):
        reply = choices("a step", "the end")
        for choice, reason in zip(reply["choices"], ("stop_sequence", "eos_token"), strict=True):
            del choice["stop_reason"]
            choice["finish_reason"] = reason
        return reply

    async with policy(**{"/v1/completions": complete}) as (server, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=2))
    assert [(step.text, step.finish) for step in samples.steps] == [
        ("a step\n\n", "stop"),
        ("the end", "eos"),
    ]
    assert len(server.payloads("/v1/completions")) == 1


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": None}])
async def test_usage_that_is_missing_or_null_is_estimated_by_what_came(usage):
    reply = choices("x", usage=usage)
    async with policy(**{"/v1/completions": lambda _: reply}) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=1, stop=()))
    spent = samples.usage
    assert (spent.prompt_tokens, spent.completion_tokens, spent.estimated_tokens) == (0, 1, 1)

    def complete(payload):
        return completions(lambda p, i: ("four", "stop", None))(payload) | {"usage": usage}

    async with vllm_policy(**{"/v1/completions": complete}) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION)))
    assert samples.usage.completion_tokens == 16  # the ids are counted


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_a_thought_beside_the_content_is_kept_apart_from_it(field):
    message = {"content": "It is 4.", field: "2 and 2"}
    reply = {"choices": [{"message": message, "finish_reason": "stop"}]}
    async with policy(**{"/v1/chat/completions": lambda _: reply}) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=1, stop=()))
    (step,) = samples.steps
    assert step.text == "<think>\n2 and 2\n</think>\n\nIt is 4."


async def test_a_thought_among_the_parts_of_a_content_is_kept_apart_too():
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "2 and 2"}]},
        {"type": "text", "text": "It is 4."},
    ]
    reply = {"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}
    async with policy(**{"/v1/chat/completions": lambda _: reply}) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=1, stop=()))
    assert samples.steps[0].text == "<think>\n2 and 2\n</think>\n\nIt is 4."


async def test_a_thought_without_content_names_its_field_and_the_fix():
    message = {"content": None, "reasoning": "We get \\boxed{4}"}
    reply = {"choices": [{"message": message, "finish_reason": "stop"}]}
    async with policy(**{"/v1/chat/completions": lambda _: reply}) as (_, client):
        with pytest.raises(
            NoAnswerError, match=r"in reasoning: .*reasoning parser.*--max-completion-tokens"
        ):
            await client.sample(ask(await client.root(QUESTION), n=1, stop=()))


async def test_a_thought_that_was_cut_is_a_cut_completion():
    message = {"content": None, "reasoning_content": "We get \\boxed{4}"}
    reply = {"choices": [{"message": message, "finish_reason": "length"}]}
    async with policy(**{"/v1/chat/completions": lambda _: reply}) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=1, stop=()))
    assert (samples.steps[0].text, samples.steps[0].finish) == (
        "<think>\nWe get \\boxed{4}",
        "length",
    )
