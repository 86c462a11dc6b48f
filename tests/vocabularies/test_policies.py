"""Policies with real vocabularies: templates, BOS, and steps that end inside of a token."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.torch.references import tokenizer_of
from tests.vocabularies.tiny_models import MAKERS
from ttc_client.clients.http import Server
from ttc_client.clients.openai import OpenAIPolicy
from ttc_client.clients.session import Session
from ttc_client.clients.templates import Asking
from ttc_client.clients.vllm import VLLMPolicy
from ttc_client.search.ports import SampleRequest
from ttc_client.types import Message

LLAMA, MISTRAL, QWEN2, *_ = MAKERS
TURNS = (Message("system", "Be brief. "), Message("user", "What is $1 + 1$?\n\nThink first.\n\n\n"))
FOLDED = (Message("user", "Be brief. \n\nWhat is $1 + 1$?\n\nThink first.\n\n\n"),)
TEMPLATE = Path(__file__).parents[2] / "servers" / "templates" / "llama3.jinja"


@dataclass(frozen=True)
class Served:
    """A policy at a server; `boundaries` are its tokens in which a step can end."""

    server: str
    folder: str
    bos: str
    boundaries: tuple[str, ...]


SERVED = [
    Served("llama", LLAMA, "<|begin_of_text|>", (".\n\n", "$\n\n", "\n\n\n", "\n\n")),
    Served("shepherd", MISTRAL, "<s>", ("\n",)),
    Served("qwen2", QWEN2, "", (".\n\n", "$\n\n", "\n\n\n", "\n\n")),
]
each = pytest.mark.parametrize("served", SERVED, ids=lambda served: served.folder)


def reference_ids(served: Served, folder: Path) -> list[int]:
    """Return the prompt as the tokenizer's own template makes it."""
    tokenizer = tokenizer_of(folder)
    chat = [{"role": turn.role, "content": turn.content} for turn in TURNS]
    if served.folder == MISTRAL:  # its template refuses a system message
        chat = [{"role": turn.role, "content": turn.content} for turn in FOLDED]
    template = TEMPLATE.read_text() if served.folder == LLAMA else None
    text = tokenizer.apply_chat_template(
        chat, chat_template=template, tokenize=False, add_generation_prompt=True
    )
    adds_bos = served.folder == LLAMA  # whose template here has none
    return tokenizer.encode(text, add_special_tokens=adds_bos)


@each
async def test_a_prompt_is_that_of_the_template_with_one_bos(
    served: Served, urls: Mapping[str, str], folders: Mapping[str, Path], session: Session
) -> None:
    policy = await VLLMPolicy.connect(Server(session, urls[served.server], 60), None)
    root = await policy.root(TURNS)
    expected = reference_ids(served, folders[served.folder])
    assert list(root.token_ids) == expected
    written = await OpenAIPolicy.connect(Server(session, urls[served.server], 60), None)
    text = (await written.root(TURNS)).prompt.text
    as_text = await read_as(policy.server, text)
    if served.bos:
        bos = tokenizer_of(folders[served.folder]).bos_token_id
        assert (expected.count(bos), as_text.count(bos)) == (1, 1)
    if (
        served.folder != MISTRAL
    ):  # SentencePiece begins a text with a space, unlike what follows BOS
        assert as_text == expected


async def read_as(server: Server, text: str) -> list[int]:
    payload = {"prompt": text, "max_tokens": 1, "return_token_ids": True}
    reply = await server.post("/v1/completions", payload, dict[str, Any])
    return reply["choices"][0]["prompt_token_ids"]


@each
async def test_a_step_that_ends_inside_of_a_token_is_continued_from_its_ids(
    served: Served, urls: Mapping[str, str], folders: Mapping[str, Path], session: Session
) -> None:
    """Whatever stands after the stop string in its token is in the ids, and not in the text.

    The random model writes nothing but some words and the token that the step shall end in.
    """
    tokenizer = tokenizer_of(folders[served.folder])
    server = Server(session, urls[served.server], 60)
    words = [tokenizer.encode(word, add_special_tokens=False)[-1] for word in ("Thus", "x", "is")]
    for boundary in served.boundaries:
        end = tokenizer.encode(f"x{boundary}x", add_special_tokens=False)[-2]
        assert tokenizer.decode([end]) == boundary
        asking = Asking(extra_body={"allowed_token_ids": [*words, end]})
        policy = await VLLMPolicy.connect(server, None, asking)
        root = await policy.root(TURNS)
        request = SampleRequest(root, 8, 1.0, 1.0, max_tokens=64, stop=("\n\n",), seed=3)
        steps = [step for step in (await policy.sample(request)).steps if step]
        ended = [step for step in steps if step.finish == "stop"]
        assert len(ended) > 1
        for step in ended:
            assert step.token_ids[-1] == end
            assert step.text.endswith("\n\n")
            assert tokenizer.decode(step.token_ids) == step.text + boundary.partition("\n\n")[2]
        # its reply is refused by the client unless the server read these very ids
        longer = replace(root, steps=(ended[0],))
        (after,) = (await policy.sample(replace(request, trajectory=longer, n=1))).steps
        assert after
        assert longer.token_ids == (*root.token_ids, *ended[0].token_ids)
