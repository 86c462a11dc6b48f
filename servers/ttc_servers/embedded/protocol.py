"""The JSON that the embedded server takes: vLLM's fields and defaults, as far as they are used.

Fields that vLLM would act on and this server cannot are refused, not ignored; unknown ones are
ignored, as vLLM does.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from ttc_client.clients.prompts import RLHFLOW_SYSTEM, llama3_turn


class RequestError(Exception):
    """A request that the server refuses, with what vLLM would answer."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "BadRequestError",
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": status}}


class CompletionCall(msgspec.Struct):
    """`POST /v1/completions`."""

    prompt: str | list[str | int | list[int]]
    model: str | None = None
    n: Annotated[int, Meta(ge=1, le=1024)] = 1
    max_tokens: Annotated[int, Meta(ge=1)] | None = 16
    temperature: Annotated[float, Meta(ge=0)] | None = 1.0
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = 1.0
    top_k: Annotated[int, Meta(ge=-1)] | None = 0
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = 0.0
    repetition_penalty: Annotated[float, Meta(gt=0)] | None = 1.0
    presence_penalty: Annotated[float, Meta(ge=0, le=0)] | None = 0.0
    frequency_penalty: Annotated[float, Meta(ge=0, le=0)] | None = 0.0
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    stop_token_ids: list[int] | None = None
    include_stop_str_in_output: bool = False
    ignore_eos: bool = False
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    logprob_token_ids: list[int] | None = None
    return_tokens_as_token_ids: bool | None = None
    return_token_ids: bool | None = None
    add_special_tokens: bool = True
    stream: bool | None = False
    echo: bool | None = False


class ScoringCall(msgspec.Struct):
    """`POST /generative_scoring`."""

    query: str | list[int]
    items: str | list[str | int | list[int]]
    label_token_ids: Annotated[list[int], Meta(min_length=1)]
    model: str | None = None
    apply_softmax: bool = True
    add_special_tokens: bool = True


class Message(msgspec.Struct):
    """One chat message."""

    role: str
    content: str


class TokenizeCall(msgspec.Struct):
    """`POST /tokenize`: a prompt, to which special tokens are added, or messages, to which not."""

    prompt: str | None = None
    messages: list[Message] | None = None
    model: str | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool = True


class DetokenizeCall(msgspec.Struct):
    """`POST /detokenize`."""

    tokens: list[int]
    model: str | None = None


def prompt_list(value: str | list[str | int | list[int]], param: str) -> list[str | list[int]]:
    """Return the texts or token ids that a field holds, in whichever of its four forms.

    Raises RequestError for an empty or a mixed list.
    """
    if isinstance(value, str):
        return [value]
    if value and all(isinstance(item, int) for item in value):
        return [value]
    for form in (str, list):
        if value and all(isinstance(item, form) for item in value):
            return value
    raise RequestError(
        f"{param} must be a string, token ids, or a list of one of these, and not empty",
        param=param,
    )


def chat_text(messages: list[Message], add_generation_prompt: bool) -> str:
    """Render messages by the project's Llama 3 template, which trims no turn and adds no BOS."""
    if messages and messages[0].role == "system":
        end = "<|eot_id|>"
        start = RLHFLOW_SYSTEM.removesuffix(end) + messages[0].content.strip() + end
        messages = messages[1:]
    else:
        start = RLHFLOW_SYSTEM
    turns = [llama3_turn(message.role, message.content) for message in messages]
    if add_generation_prompt:
        turns.append("<|start_header_id|>assistant<|end_header_id|>\n\n")
    return start + "".join(turns)
