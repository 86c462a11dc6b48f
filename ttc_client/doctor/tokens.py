"""Checks of how a policy's server tokenizes a prompt: context, BOS, template, token ids.

They use `/tokenize`, except the last, which generates a token or two.
"""

from dataclasses import replace
from itertools import takewhile

from ttc_client.clients.connect import PolicyClient
from ttc_client.clients.http import Server
from ttc_client.clients.tokenization import tokenize, tokenize_chat
from ttc_client.doctor.findings import Check
from ttc_client.errors import ContextLengthError, ProtocolError, RequestError
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.types import Message, Trajectory

PROBLEM = (Message("user", "Compute $17 + 25$."),)

SHORT_SOLUTION = 128
"""Hardly any solution is complete in fewer tokens."""

_AS_TEXT = "use --policy-api openai with this server"
_FIXED_TEMPLATE = "--chat-template servers/templates/llama3.jinja"


async def context(policy: PolicyClient, params: SearchParams) -> Check:
    """Check that the model's context holds the prompt and a completion."""
    wanted, limit = params.max_completion_tokens, policy.context_length
    if limit is None:
        return Check("context", "skip", "the server does not say how much its model reads")
    room = await policy.room(await policy.root(PROBLEM), wanted)
    seen = f"{limit:,} tokens, of which a completion may take {max(room, 0):,}"
    if room < min(SHORT_SOLUTION, wanted):
        return Check("context", "fail", seen, "serve the model with a longer context")
    if room < wanted:
        seen += f", though --max-completion-tokens allows {wanted:,}"
        fix = f"--max-completion-tokens {room}, or serve the model with a longer context"
        return Check("context", "warn", seen, fix)
    return Check("context", "ok", seen)


async def bos(server: Server, policy: PolicyClient) -> Check:
    """Check that the prompt of a search begins with as many BOS as the model's tokenizer adds."""
    root = await policy.root(PROBLEM)
    try:
        token = await _bos(server)
        ids = root.token_ids or await tokenize(server, root.prompt.text, add_special_tokens=True)
    except (RequestError, ProtocolError):  # llama.cpp answers with nothing
        return Check("BOS", "skip", "cannot be seen: the server has no /tokenize like vLLM's")
    if not token:
        return Check("BOS", "ok", "none: the model's tokenizer adds none")
    count = len(list(takewhile(lambda i: i == token[0], ids)))
    if count == 1:
        return Check("BOS", "ok", f"once (id {token[0]})")
    place = "post_processor in its tokenizer.json" if root.prompt.text else "its chat template"
    return Check(
        "BOS",
        "fail",
        f"{count} times at the start of a prompt (id {token[0]})",
        f"have the model's tokenizer add it once: look at {place}",
    )


async def template(server: Server) -> Check:
    """Check the server's chat template for two faults: trimmed turns, and a BOS in its text.

    Neither affects this client, which renders the prompt itself or sends token ids; a warning is
    for other clients.
    """
    try:
        token = await _bos(server)
        kept, trimmed = [await _chat(server, step) for step in ("4\n\n", "4")]
    except (RequestError, ProtocolError):  # llama.cpp answers with nothing
        return Check("template", "skip", "cannot be seen: the server has no /tokenize like vLLM's")
    faults = [
        "trims the blank line off an assistant's turn" if kept == trimmed else "",
        "writes a BOS, which /v1/completions doubles" if token and kept[:1] == token[:1] else "",
    ]
    if not any(faults):
        return Check("template", "ok", "keeps turns as they are, writes no BOS")
    return Check(
        "template",
        "warn",
        "; ".join(filter(None, faults)),
        f"harmless to ttc, which does not use it; for chat clients serve with {_FIXED_TEMPLATE}",
    )


async def token_ids(policy: PolicyClient) -> Check:
    """Check that the server returns the token ids that it wrote, and continues from them."""
    if not policy.speaks_ids:
        return Check("token ids", "skip", "text mode: each step is tokenized again")
    root = await policy.root(PROBLEM)
    try:
        samples = await policy.sample(SampleRequest(root, 1, 0.0, 1.0, 1, (), None))
        written = [step for step in samples.steps if step]
        if not samples.prompt_ids or not all(step.token_ids for step in written):
            return Check("token ids", "fail", "none came back", _AS_TEXT)
        if not root.token_ids:  # the first request went by text
            prompt = replace(root.prompt, ids=samples.prompt_ids)
            goes_on = Trajectory(prompt, tuple(written))
            await policy.sample(SampleRequest(goes_on, 1, 0.0, 1.0, 1, (), None))
    except ContextLengthError:
        raise
    except (ProtocolError, RequestError) as error:
        return Check("token ids", "fail", str(error), _AS_TEXT)
    if not policy.speaks_ids:
        seen = "returned and not taken: steps continue from text, each tokenized again"
        return Check("token ids", "warn", seen, "a route that passes prompts on as they are")
    return Check("token ids", "ok", "taken and returned")


async def _bos(server: Server) -> tuple[int, ...]:
    """Return the ids that the tokenizer adds before a text."""
    text = "1"
    plain = await tokenize(server, text, add_special_tokens=False)
    special = await tokenize(server, text, add_special_tokens=True)
    start = len(special) - len(plain)
    return special[:start] if special[start:] == plain else ()


async def _chat(server: Server, step: str) -> tuple[int, ...]:
    """Return the ids of a chat whose assistant's turn is a step, by the server's template."""
    turns = (("user", "2 + 2?"), ("assistant", step), ("user", "Go on."))
    messages = [{"role": role, "content": content} for role, content in turns]
    return await tokenize_chat(server, messages, add_generation_prompt=True)
