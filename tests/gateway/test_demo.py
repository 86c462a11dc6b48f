"""`ttc serve` as its users run it: the command, its demo servers, and OpenAI's own SDK."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import openai
import pytest

from ttc_client import Client, SearchParams, Servers
from ttc_client.cli.app import make_app
from ttc_client.errors import ConfigError
from ttc_client.gateway.profiles import read_profiles
from ttc_client.settings.config import load_settings

PROBLEM = "Let $f(x) = 6x + 17$. Find $f(4)$."
MAIN = "from ttc_client.cli import main; main()"


@contextmanager
def ttc(*arguments: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run a command in the background; give it, and what it prints up to an empty line."""
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            assert process.stdout
            lines = list(iter(process.stdout.readline, "\n"))
            assert "" not in lines, process.stderr.read()
            yield process, [line.strip() for line in lines if line]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def models() -> Iterator[list[str]]:
    with ttc("up", "--policy-port", "0", "--prm-port", "0") as (_, lines):
        yield [line.split()[-1] for line in lines]


@pytest.fixture(scope="module")
def url(models: list[str]) -> Iterator[str]:
    policy, prm = models
    profiles = ("fast=best-of-n:8,task=math", "hard=dvts:16,task=math", "vote=majority:8")
    flags = [flag for profile in profiles for flag in ("--profile", profile)]
    with ttc("serve", "--port", "0", "--policy", policy, "--prm", prm, *flags) as (_, lines):
        yield lines[0]


@pytest.fixture(scope="module")
def sdk(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


def asked(model: str, **fields):
    messages = [{"role": "user", "content": PROBLEM}]
    return {"model": f"ttc-demo-policy{model}", "messages": messages, **fields}


def test_the_sdk_gets_the_answer_that_a_search_finds(sdk):
    assert "ttc-demo-policy:hard" in [model.id for model in sdk.models.list()]
    reply = sdk.chat.completions.create(**asked(":hard"))
    assert r"\boxed{41}" in reply.choices[0].message.content
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.model_extra["ttc"]["answer"] == "41"


@pytest.mark.parametrize("model", ["", ":hard"])
def test_the_sdk_reads_the_stream(sdk, model):
    stream = sdk.chat.completions.create(
        **asked(model), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens > 0
    assert r"\boxed{" in "".join(c.choices[0].delta.content or "" for c in chunks[:-1])
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_the_plain_model_is_one_completion_of_the_policy(sdk):
    reply = sdk.chat.completions.create(**asked("", temperature=0, max_completion_tokens=100))
    assert "ttc" not in reply.model_extra
    assert reply.usage.completion_tokens <= 100
    short = sdk.chat.completions.create(**asked("", temperature=0, max_completion_tokens=3))
    assert (short.choices[0].finish_reason, short.usage.completion_tokens) == ("length", 3)


def test_the_sdks_responses(sdk):
    fields = {"model": "ttc-demo-policy:hard", "input": PROBLEM}
    reply = sdk.responses.create(**fields)
    assert reply.status == "completed"
    assert r"\boxed{41}" in reply.output_text
    with sdk.responses.stream(**fields) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert final.output_text == reply.output_text
    assert final.usage.output_tokens == reply.usage.output_tokens


async def test_the_async_sdk_asks_many_at_once_and_gets_what_the_library_finds(url, models):
    problems = [f"Compute ${a} + {2 * a + 1}$." for a in range(3, 9)]
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as sdk:
        calls = [
            sdk.chat.completions.create(
                model="ttc-demo-policy:hard",
                messages=[{"role": "user", "content": problem}],
                seed=1,
            )
            for problem in problems
        ]
        replies = await asyncio.gather(*calls)
    params = SearchParams(strategy="dvts", n=16, seed=1)
    async with Client(Servers(policy=models[0], prm=models[1])) as client:
        results = await asyncio.gather(*(client.solve(problem, params) for problem in problems))
    for reply, result in zip(replies, results, strict=True):
        found = reply.model_extra["ttc"]
        assert found["answer"] == result.answer
        votes = [(group["answer"], group["votes"]) for group in found["answers"]]
        assert votes == [(group.answer, group.votes) for group in result.answers]


def test_a_refusal_is_the_sdks_own_exception(sdk):
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(**asked(":hard", logprobs=True))
    assert refused.value.param == "logprobs"
    with pytest.raises(openai.NotFoundError):
        sdk.chat.completions.create(**asked(":harder"))
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(
            **{**asked(":hard"), "messages": [{"role": "user", "content": "9 " * 5000}]}
        )
    assert refused.value.code == "context_length_exceeded"


def test_a_stop_string_ends_every_completion(sdk):
    reply = sdk.chat.completions.create(**asked(":fast", stop=["Therefore"]))
    assert "Therefore" not in reply.choices[0].message.content
    assert reply.choices[0].finish_reason == "stop"


def test_without_servers_the_demo_answers_and_every_reply_says_so(tmp_path: Path):
    profiles = tmp_path / "profiles.toml"
    profiles.write_text('vote = "majority:4"\n')
    key = "sk-0123456789abcdef"
    arguments = ("serve", "--port", "0", "--profiles", str(profiles))
    with ttc(*arguments, TTC_SERVE_KEYS=f"me {key}") as (process, lines):
        with openai.OpenAI(base_url=lines[0], api_key=key, max_retries=0) as sdk:
            for model in ("", ":vote"):
                raw = sdk.chat.completions.with_raw_response.create(**asked(model))
                assert "demo" in raw.headers["X-TTC-Demo"]
            assert raw.parse().model_extra["ttc"]["demo"] is True
            profiles.write_text('many = "majority:6"\n')
            process.send_signal(signal.SIGHUP)
            assert "reloaded: 1 profiles" in next(
                line for line in process.stderr if "reloaded" in line
            )
            assert sdk.models.list().data[-1].id == "ttc-demo-policy:many"
        process.terminate()
        log = [json.loads(line) for line in process.stderr if line.startswith("{")]
        assert process.wait() == 0
    assert log[-1]["path"] == "/v1/models"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--profile", "hard"], "NAME=STRATEGY:N"),
        (["--profile", "a=dvts:many"], "NAME=STRATEGY:N"),
        (["--profile", "a:b=dvts:8"], "its name must be"),
        (["--profile", "a=dtvs:8"], "did you mean dvts?"),
        (["--profile", "a=dvts:9"], "multiple of m"),
        (["--profile", "a=dvts:8,seeed=1"], "did you mean seed"),
        (["--profile", "a=dvts:8,temperature=hot"], "temperature is 'hot' (from profile a)"),
        (["--profile", "a=dvts:8,at-zero=0"], "at-zero is 0: it must be above 0"),
        (["--profile", "a=dvts:8,at-zero=nan"], "at-zero is nan: it must be above 0"),
        (["--profile", "a=dvts:8,at-zeros=1"], "did you mean at_zero?"),
        (["--profile", "a=dvts:8,task=astrology"], "task is 'astrology'"),
        (["--profiles", "nowhere.toml"], "cannot be read"),
        (["--host", "0.0.0.0"], "there are no keys"),
        (["--keys", "nowhere"], "keys is nowhere"),
    ],
)
def test_bad_usage_says_what_to_change(arguments, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        make_app()(["serve", *arguments], standalone_mode=False)


@pytest.mark.parametrize(
    ("servers", "profiles"),
    [
        (Servers(), {"fast": ("best-of-n", "math"), "hard": ("dvts", "math")}),
        (
            Servers(policy="http://x", prm="http://y"),
            {"fast": ("best-of-n", ""), "hard": ("dvts", "")},
        ),
        (Servers(policy="http://x"), {"fast": ("majority", ""), "hard": ("majority", "")}),
    ],
    ids=["demo", "both", "policy"],
)
def test_without_profiles_there_are_two_that_these_servers_can_run(servers, profiles):
    found = read_profiles((), None, replace(load_settings({}, {}), servers=servers))
    shown = {n: (p.params.strategy, p.task.name if p.task else "") for n, p in found.items()}
    assert shown == profiles
