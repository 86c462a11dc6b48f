"""vLLM with what the post warns of, and with a PRM that pools: the contract is kept all the same.

The policy's template begins with a BOS and trims every turn.
"""

from pathlib import Path

from tests.server_contract import BOS, PROBLEM, STEPS, TOKENIZER, ServerContract, rendered
from ttc_client.clients.vllm import VLLMPolicy

STOCK_LIKE = Path(__file__).parents[1] / "servers" / "stock_like.jinja"
LAUNCH_OPTIONS = ("--template", str(STOCK_LIKE), "--prm-mode", "pooling")


class TestStockVLLM(ServerContract):
    prm_apis = ("token-classify",)
    warnings = ("template",)

    async def test_its_template_doubles_bos_and_trims_a_step(self, policy: VLLMPolicy) -> None:
        """The traps that the client keeps out of: it never has a turn rendered here."""
        ids = await rendered(policy.server, ("user", PROBLEM), add_special_tokens=True)
        assert TOKENIZER.decode(ids, skip_special_tokens=False).startswith(BOS + BOS)
        turns = ("user", PROBLEM), ("assistant", STEPS[0] + "\n\n")
        fields = {"continue_final_message": True, "add_generation_prompt": False}
        ids = await rendered(policy.server, *turns, **fields)
        assert TOKENIZER.decode(ids).endswith(STEPS[0])
