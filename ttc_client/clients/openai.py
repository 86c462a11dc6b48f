"""The policy in any OpenAI-compatible server, through the `openai` SDK: text in, text out.

Steps go through `/v1/completions`, with the template rendered here. A server that offers chat
alone gives whole completions, which is enough for greedy, majority and best-of-n.
"""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import openai
from msgspec import UNSET, UnsetType
from openai.types import Completion

from ttc_client.clients.http import Server
from ttc_client.clients.replies import shown
from ttc_client.clients.session import tls_context
from ttc_client.clients.together import together
from ttc_client.clients.usage import TokenUsage
from ttc_client.clients.vllm import served_model
from ttc_client.errors import (
    ProtocolError,
    RequestError,
    ServerError,
    TransientServerError,
)
from ttc_client.ports import SampleRequest, Samples
from ttc_client.prompts import STEP_DELIMITER, policy_prompt
from ttc_client.types import Finish, Step, Trajectory, Usage

_NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Switches off what servers would otherwise fill in from the model's own defaults."""

_ONE_CHOICE = re.compile("only one completion choice", re.IGNORECASE)
"""How llama.cpp refuses `n`, also with a 500."""


class _Choice(msgspec.Struct):
    """vLLM and SGLang say what stopped it, in a field each; others have neither."""

    text: str
    finish_reason: str | None
    index: int = 0
    stop_reason: int | str | UnsetType | None = UNSET
    matched_stop: int | str | UnsetType | None = UNSET


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: TokenUsage | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _ChatChoice(msgspec.Struct):
    message: _Message
    finish_reason: str | None
    index: int = 0


class _Chat(msgspec.Struct):
    choices: list[_ChatChoice]
    usage: TokenUsage | None = None


@dataclass(slots=True)
class OpenAIPolicy:
    """A policy behind an OpenAI-compatible API; open one with `connect`.

    What the server turns out not to offer is remembered in `chat_only` (no `/v1/completions`),
    `single` (one choice per request) and `silent` (it does not say whether a stop string or the
    model's own end ended a choice).
    """

    server: Server
    client: openai.AsyncOpenAI
    model: str
    system_prompt: str
    chat_only: bool = False
    single: bool = False
    silent: bool = False

    @classmethod
    async def connect(cls, server: Server, model: str | None, system_prompt: str) -> "OpenAIPolicy":
        """Open the SDK's client and ask which model is served."""
        client = openai.AsyncOpenAI(
            base_url=f"{server.url}/v1",
            api_key=server.api_key or "none",
            timeout=server.timeout_s,
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(
                proxy=server.proxy, verify=tls_context(server.ca_bundle), trust_env=False
            ),
        )
        try:
            name = model or (await served_model(server, None))[0]
            return cls(server, client, name, system_prompt)
        except BaseException:
            await client.close()
            raise

    async def close(self) -> None:
        """Close the SDK's connections."""
        await self.client.close()

    async def root(self, problem: str) -> Trajectory:
        """Return the empty trajectory of a problem, templated."""
        return Trajectory(problem, policy_prompt(self.model, problem, self.system_prompt))

    async def sample(self, request: SampleRequest) -> Samples:
        """Sample `n` continuations, in the best way that the server offers."""
        if not self.chat_only:
            try:
                return await self._complete(request)
            except RequestError as error:
                if error.status not in (404, 405, 501):
                    raise
        if request.stop or request.trajectory.steps:
            raise RequestError(
                f"{self.server.url} offers chat alone, which cannot continue a solution step by "
                "step: use greedy, majority or best-of-n",
                url=self.server.url,
            )
        samples = await self._chat(request)
        self.chat_only = True
        return samples

    async def _complete(self, request: SampleRequest) -> Samples:
        if request.stop and self.silent:
            return await self._stream_all(request)
        if request.n > 1 and self.single:
            return await self._one_by_one(request)
        try:
            with _our_errors(self.server, "/v1/completions"):
                raw = await self.client.completions.with_raw_response.create(
                    **self._sampling(request), **self._prompt(request), n=request.n, stream=False
                )
            reply = self.server.decode("/v1/completions", raw.content, _Completion)
        except ServerError as error:
            if request.n == 1 or not _ONE_CHOICE.search(error.body):
                raise
            return await self._one_by_one(request)
        choices = sorted(reply.choices, key=lambda choice: choice.index)
        if len(choices) == 1 < request.n:  # `n` was passed over
            return await self._one_by_one(request)
        if len(choices) != request.n:
            raise self._broken(f"{len(choices)} choices instead of {request.n}")
        if request.stop and not all(_tells(choice) for choice in choices):
            self.silent = True
            return await self._stream_all(request)
        usage = (reply.usage or TokenUsage()).by_policy()
        share = usage.completion_tokens // len(choices)
        steps = (_step(c.text, self._finish(c), share) for c in choices)
        return Samples(tuple(steps), (), usage)

    async def _one_by_one(self, request: SampleRequest) -> Samples:
        self.single = True
        seeds = [None if request.seed is None else request.seed + i for i in range(request.n)]
        singles = await together(self._complete(replace(request, n=1, seed=s)) for s in seeds)
        steps = tuple(step for samples in singles for step in samples.steps)
        return Samples(steps, (), sum((samples.usage for samples in singles), Usage()))

    def _prompt(self, request: SampleRequest) -> dict[str, Any]:
        text = request.trajectory.prompt + request.trajectory.text
        return {"prompt": text, "stop": list(request.stop) or None, "extra_body": _NEUTRAL}

    def _sampling(self, request: SampleRequest) -> dict[str, Any]:
        sampling: dict[str, Any] = {
            "model": self.model,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "extra_headers": self.server.session_headers(request.session),
        }
        if request.seed is not None:
            sampling["seed"] = request.seed % 2**31  # some servers keep 32 bits
        return sampling

    def _finish(self, choice: _Choice) -> Finish:
        match choice.finish_reason, choice.stop_reason or choice.matched_stop:
            case "length", _:
                return "length"
            case "stop", str():
                return "stop"
            case "stop", _:
                return "eos"
            case reason, _:
                raise self._broken(f"a choice that ended with {reason!r}")

    async def _stream_all(self, request: SampleRequest) -> Samples:
        """Read each continuation as it is written, and hang up at the first delimiter.

        The exact way with servers that are silent about what ended a choice.
        """
        steps = await together(self._stream(request, i) for i in range(request.n))
        tokens = sum(step.num_tokens for step in steps)
        return Samples(steps, (), Usage(completion_tokens=tokens, policy_requests=request.n))

    async def _stream(self, request: SampleRequest, index: int) -> Step:
        sampling = self._sampling(request)
        if request.seed is not None:
            sampling["seed"] = (request.seed + index) % 2**31
        prompt: dict[str, Any] = {**self._prompt(request), "stop": None}
        text, num_chunks = "", 0
        with _our_errors(self.server, "/v1/completions"):
            stream: openai.AsyncStream[Completion] = await self.client.completions.create(
                **sampling, **prompt, stream=True
            )
            async with stream:
                async for chunk in stream:
                    for choice in chunk.choices or ():
                        seen = max(0, len(text) - len(STEP_DELIMITER))
                        text += choice.text or ""
                        num_chunks += bool(choice.text)
                        if (end := text.find(STEP_DELIMITER, seen)) >= 0:
                            return Step(text[: end + len(STEP_DELIMITER)], "stop", num_chunks)
                        if choice.finish_reason:
                            finish = "length" if choice.finish_reason == "length" else "eos"
                            return Step(text, finish, num_chunks)
        raise TransientServerError(
            f"{self.server.url}/v1/completions ended a stream before its end", url=self.server.url
        )

    async def _chat(self, request: SampleRequest) -> Samples:
        messages: list[Any] = [{"role": "user", "content": request.trajectory.problem}]
        if self.system_prompt:
            messages.insert(0, {"role": "system", "content": self.system_prompt})
        with _our_errors(self.server, "/v1/chat/completions"):
            raw = await self.client.chat.completions.with_raw_response.create(
                **self._sampling(request), messages=messages, n=request.n, stream=False
            )
        reply = self.server.decode("/v1/chat/completions", raw.content, _Chat)
        if len(reply.choices) != request.n:
            raise self._broken(f"{len(reply.choices)} choices instead of {request.n}")
        usage = (reply.usage or TokenUsage()).by_policy()
        share = usage.completion_tokens // request.n
        steps = (
            _step(
                c.message.content or "", "length" if c.finish_reason == "length" else "eos", share
            )
            for c in sorted(reply.choices, key=lambda choice: choice.index)
        )
        return Samples(tuple(steps), (), usage)

    def _broken(self, problem: str) -> ProtocolError:
        return self.server.protocol_error("/v1/completions", problem)


def _tells(choice: _Choice) -> bool:
    said = choice.stop_reason is not UNSET or choice.matched_stop is not UNSET
    return choice.finish_reason == "length" or said


def _step(text: str, finish: Finish, num_tokens: int) -> Step:
    """Return a step with its delimiter, which most servers cut off."""
    if finish == "stop" and not text.endswith(STEP_DELIMITER):
        text += STEP_DELIMITER
    return Step(text, finish, num_tokens)


@contextmanager
def _our_errors(server: Server, path: str) -> Generator[None]:
    """Raise the SDK's errors as ours."""
    try:
        yield
    except openai.APIStatusError as error:
        response = error.response
        raise server.failure(
            path, response.status_code, response.content, response.headers
        ) from error
    except openai.APITimeoutError as error:
        raise TransientServerError(
            f"{server.url}{path} gave no answer within {server.timeout_s:g} s", url=server.url
        ) from error
    except openai.APIConnectionError as error:
        raise TransientServerError(
            f"nothing answers at {server.url} ({error.__cause__ or error}): is the server running, "
            "and the host and port right?",
            url=server.url,
        ) from error
    except (openai.OpenAIError, ValueError) as error:
        raise server.protocol_error(path, shown(str(error))) from error
