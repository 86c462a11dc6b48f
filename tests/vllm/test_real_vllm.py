"""vLLM, launched as we launch it, keeps the contract of model servers."""

from typing import Any

from tests.server_contract import (
    PROBLEM,
    TOKENIZER,
    ServerContract,
    conversation,
    messages,
    num_fitting_digits,
    rendered,
)
from ttc_client.clients.http import Server
from ttc_client.clients.vllm import VLLMPolicy
from ttc_client.tasks.prompts import META_MATH_SYSTEM_PROMPT

LAUNCH_OPTIONS = ()


class TestVLLM(ServerContract):
    prm_apis = ("generative-scoring", "completions")

    async def test_its_template_reads_a_problem_as_the_client_does(
        self, policy: VLLMPolicy
    ) -> None:
        turns = ("system", META_MATH_SYSTEM_PROMPT), ("user", PROBLEM)
        root = await policy.root(messages(PROBLEM))
        assert await rendered(policy.server, *turns, add_special_tokens=True) == root.token_ids

    async def test_vllm_cuts_what_it_scores_without_a_word(self, prm: Server) -> None:
        """The trap that the client keeps out of."""
        cut, longer = (conversation("1" * (num_fitting_digits() + extra)) for extra in (0, 50))

        async def score(ids: list[int]) -> float:
            payload = {"query": ids[:9], "items": [ids[9:]], "add_special_tokens": False}
            payload["label_token_ids"] = [TOKENIZER.token_to_id(verdict) for verdict in "+-"]
            reply = await prm.post("/generative_scoring", payload, dict[str, Any])
            return reply["data"][0]["score"]

        assert await score(longer) == await score(longer[: len(cut)])
        assert await score(longer) != await score(cut)
