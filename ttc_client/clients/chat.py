"""Whole completions through a server's chat API, which alone knows tools and response formats."""

from typing import Any

from ttc_client.clients.http import Server
from ttc_client.clients.manners import Manners
from ttc_client.clients.openai_replies import Chat, whole_completions
from ttc_client.clients.templates import FIX, Asking, as_chat
from ttc_client.errors import RequestError
from ttc_client.search.ports import SampleRequest, Samples


def cannot_continue(
    url: str, model: str, is_templated: bool, refusal: RequestError | None
) -> RequestError:
    """Return the error for a step that is asked for where chat alone is offered."""
    said = f"{url} offers only chat{f' ({refusal})' if refusal else ''}, which cannot continue a "
    said += "solution: "
    if not is_templated:
        said = f"{url} does not say how {model} reads a conversation, so that no solution can be "
        said += f"continued: {FIX}, or "
    return RequestError(f"{said}use greedy, majority or best-of-n, without --think-tokens", url=url)


async def sample_chat(
    server: Server, model: str, manners: Manners, asking: Asking, request: SampleRequest
) -> Samples:
    """Sample `n` whole completions, each as one step.

    What the prompt asks for comes before the user's own fields, and these before the others.
    Raises TooManyError where the server takes one per request, and ServerError.
    """
    payload: dict[str, Any] = {
        "messages": as_chat(request.messages),
        "model": model,
        "n": request.n,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "min_p": request.min_p,
        "repetition_penalty": 1.0,
        "presence_penalty": request.presence_penalty,
    }
    if request.ends:
        payload["stop"] = request.ends
    if request.seed is not None:
        payload["seed"] = request.seed
    if request.top_logprobs is not None:
        payload |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    payload = asking.with_kwargs(payload) | dict(asking.extra_body)
    payload |= request.trajectory.prompt.chat
    answer = await manners.ask(
        lambda fields: server.ask(f"{server.api}/chat/completions", fields, Chat, request.session),
        payload,
    )
    with answer as reply:
        if len(reply.choices) == 1 < request.n:
            raise manners.passed_over()
        return whole_completions(request, reply, thinks=asking.thinks)
