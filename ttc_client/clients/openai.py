"""The policy in any OpenAI-compatible server, through the `openai` SDK: text in, text out.

Steps go through `/v1/completions`, with the template rendered here. A server that offers chat
alone gives whole completions, which is enough for greedy, majority and best-of-n.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import openai
from openai.types import Completion, CompletionChoice, CompletionUsage
from openai.types.chat import ChatCompletion

from ttc_client.clients.http import Server, shown
from ttc_client.errors import ConfigError, ProtocolError, RequestError, TransientServerError
from ttc_client.ports import SampleRequest, Samples
from ttc_client.prompts import STEP_DELIMITER, chatml_prompt, llama3_prompt
from ttc_client.types import Finish, Step, Trajectory, Usage

_NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Switches off what servers would otherwise fill in from the model's own defaults."""

_STOPPED_BY = ("stop_reason", "matched_stop")
"""Where vLLM and SGLang say which stop string ended a choice."""


@dataclass(slots=True)
class OpenAIPolicy:
    """A policy behind an OpenAI-compatible API; open one with `connect`.

    What the server turns out not to offer is remembered in `chat_only` (no `/v1/completions`)
    and `silent` (it does not say whether a stop string or the model's own end ended a choice).
    """

    server: Server
    client: openai.AsyncOpenAI
    model: str
    system_prompt: str
    chat_only: bool = False
    silent: bool = False

    @classmethod
    async def connect(cls, server: Server, model: str | None, system_prompt: str) -> "OpenAIPolicy":
        """Open the SDK's client and ask which model is served."""
        client = openai.AsyncOpenAI(
            base_url=f"{server.url}/v1",
            api_key=server.api_key or "none",
            timeout=server.timeout_s,
            max_retries=0,
            http_client=openai.DefaultAioHttpClient(),
        )
        try:
            if model is None:
                with _our_errors(server, "/v1/models"):
                    served = [served.id async for served in client.models.list()]
                if not served:
                    raise ConfigError(f"{server.url} lists no model: name one with --model")
                model = served[0]
            return cls(server, client, model, system_prompt)
        except BaseException:
            await client.close()
            raise

    async def close(self) -> None:
        """Close the SDK's connections."""
        await self.client.close()

    async def root(self, problem: str) -> Trajectory:
        """Return the empty trajectory of a problem; its prompt is ChatML for Qwen, else Llama 3."""
        render = chatml_prompt if "qwen" in self.model.lower() else llama3_prompt
        return Trajectory(problem, render(problem, self.system_prompt))

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
        with _our_errors(self.server, "/v1/completions"):
            reply: Completion = await self.client.completions.create(
                **self._sampling(request), **self._prompt(request), n=request.n, stream=False
            )
        choices = sorted(reply.choices, key=lambda choice: choice.index)
        if len(choices) != request.n:
            raise self._broken(f"{len(choices)} choices instead of {request.n}")
        if request.stop and not all(_tells(choice) for choice in choices):
            self.silent = True
            return await self._stream_all(request)
        share = (reply.usage.completion_tokens if reply.usage else 0) // len(choices)
        steps = (_step(c.text, self._finish(c), share) for c in choices)
        return Samples(tuple(steps), (), _usage(reply.usage))

    def _prompt(self, request: SampleRequest) -> dict[str, Any]:
        text = request.trajectory.prompt + request.trajectory.text
        return {"prompt": text, "stop": list(request.stop) or None, "extra_body": _NEUTRAL}

    def _sampling(self, request: SampleRequest) -> dict[str, Any]:
        sampling: dict[str, Any] = {
            "model": self.model,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
        }
        if request.seed is not None:
            sampling["seed"] = request.seed % 2**31  # some servers keep 32 bits
        return sampling

    def _finish(self, choice: CompletionChoice) -> Finish:
        match choice.finish_reason, _stopped_by(choice):
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
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._stream(request, i)) for i in range(request.n)]
        steps = tuple(task.result() for task in tasks)
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
                    for choice in chunk.choices:
                        seen = max(0, len(text) - len(STEP_DELIMITER))
                        text += choice.text
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
            reply: ChatCompletion = await self.client.chat.completions.create(
                **self._sampling(request), messages=messages, n=request.n, stream=False
            )
        if len(reply.choices) != request.n:
            raise self._broken(f"{len(reply.choices)} choices instead of {request.n}")
        share = (reply.usage.completion_tokens if reply.usage else 0) // request.n
        steps = (
            _step(
                c.message.content or "", "length" if c.finish_reason == "length" else "eos", share
            )
            for c in sorted(reply.choices, key=lambda choice: choice.index)
        )
        return Samples(tuple(steps), (), _usage(reply.usage))

    def _broken(self, problem: str) -> ProtocolError:
        return self.server.protocol_error("/v1/completions", problem)


def _stopped_by(choice: CompletionChoice) -> object:
    extra = choice.model_extra or {}
    return next((extra[key] for key in _STOPPED_BY if key in extra), None)


def _tells(choice: CompletionChoice) -> bool:
    extra = choice.model_extra or {}
    return choice.finish_reason == "length" or any(key in extra for key in _STOPPED_BY)


def _step(text: str, finish: Finish, num_tokens: int) -> Step:
    """Return a step with its delimiter, which most servers cut off."""
    if finish == "stop" and not text.endswith(STEP_DELIMITER):
        text += STEP_DELIMITER
    return Step(text, finish, num_tokens)


def _usage(usage: CompletionUsage | None) -> Usage:
    if usage is None:
        return Usage(policy_requests=1)
    details = usage.prompt_tokens_details
    return Usage(
        completion_tokens=usage.completion_tokens,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=(details and details.cached_tokens) or 0,
        policy_requests=1,
    )


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
