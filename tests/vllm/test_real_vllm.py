"""A real vLLM keeps the contract of model servers."""

from typing import Any

from tests.server_contract import TOKENIZER, ServerContract, conversation, num_fitting_digits
from ttc_client.clients.http import Server


class TestVLLM(ServerContract):
    prm_apis = ("generative-scoring", "completions")

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
