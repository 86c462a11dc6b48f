"""Every family scores as its published formula does, however the server batches and caches.

`references.py` says what that is.
"""

import asyncio
from pathlib import Path

import pytest
import torch
from transformers import Qwen2Config

from tests.torch.references import reference_scores
from ttc_client.clients.wire import ScoreCall, ScoreReply
from ttc_servers.prm.__main__ import load, parse_args
from ttc_servers.prm.adapters import find_family
from ttc_servers.prm.engine import Engine

FAMILIES = ["rlhflow", "math-shepherd", "skywork", "qwen-prm", "classifier", "encoder"]
CAUSAL = FAMILIES[:-1]
TOLERANCE = 1e-4
PROBLEM = "Say ки, <extra_0> or + and - :\nwhat is 12 + 30? Add 5.\n\nThen <|eot_id|> stop."
STEPS = [
    "## Step 1: Add the numbers.\n12 + 30 = 42, which is ки and <extra_0>.",
    "Add 5, so that $x = 47$ – nearly done.",
    "Therefore, the final answer is: $\\boxed{47}$. I hope it is correct.",
]


def reference(
    prm_dirs: dict[str, Path], family: str, problem: str, steps: list[str]
) -> list[float]:
    return reference_scores(family, prm_dirs[family], problem, tuple(steps))


def load_engine(path: Path, *options: str) -> Engine:
    return load(parse_args(["--model", str(path), "--gpus", "0", *options]))[0]


async def score(engine: Engine, *calls: ScoreCall) -> list[ScoreReply]:
    async with engine.running():
        return await asyncio.gather(*map(engine.score, calls))


@pytest.mark.parametrize("family", FAMILIES)
async def test_scores_follow_the_published_formula(family: str, prm_dirs: dict[str, Path]):
    expected = reference(prm_dirs, family, PROBLEM, STEPS)
    [reply] = await score(load_engine(prm_dirs[family]), ScoreCall(PROBLEM, [STEPS]))
    assert reply.scores == [pytest.approx(expected, abs=TOLERANCE)]
    assert max(expected) - min(expected) > 100 * TOLERANCE  # the model tells the steps apart


@pytest.mark.parametrize("family", FAMILIES)
async def test_batched_and_padded_scores_are_the_same(family: str, prm_dirs: dict[str, Path]):
    engine = load_engine(prm_dirs[family])
    solutions = [
        (PROBLEM, STEPS),
        ("1 + 1?", ["2"]),
        (PROBLEM * 3, [*STEPS, *STEPS, "Done."]),
        ("1 + 1?", ["It is 2.", "Therefore 2."]),
    ]
    replies = await score(engine, *(ScoreCall(problem, [s, s[:1]]) for problem, s in solutions))
    for (problem, steps), reply in zip(solutions, replies, strict=True):
        expected = reference(prm_dirs, family, problem, steps)
        assert reply.scores[0] == pytest.approx(expected, abs=TOLERANCE)
        assert reply.scores[1] == pytest.approx(expected[:1], abs=TOLERANCE)
    assert engine.counts.batches < engine.counts.sequences


@pytest.mark.parametrize("cache_gb", ["1", "1e-4", "0"])  # ample, a few blocks, none
@pytest.mark.parametrize("family", FAMILIES)
async def test_a_search_over_prefixes_scores_the_same(
    family: str, cache_gb: str, prm_dirs: dict[str, Path]
):
    engine = load_engine(prm_dirs[family], "--cache-gb", cache_gb)
    siblings = ["Subtract 5, so that x = 37.", "No.", "Hence 47."]
    cached = 0
    async with engine.running():
        for k, step in enumerate(STEPS):
            items = [[step], *([sibling] for sibling in siblings)]
            reply = await engine.score(ScoreCall(PROBLEM, items, STEPS[:k]))
            for [got], [last] in zip(reply.scores, items, strict=True):
                expected = reference(prm_dirs, family, PROBLEM, [*STEPS[:k], last])[-1]
                assert got == pytest.approx(expected, abs=TOLERANCE)
            cached += reply.usage.cached_tokens
    if family not in CAUSAL or cache_gb == "0":
        assert cached == 0
    elif cache_gb == "1":
        assert cached > 0


@pytest.mark.parametrize("family", ["rlhflow", "encoder"])
async def test_a_batch_that_does_not_fit_is_halved(family: str, prm_dirs: dict[str, Path]):
    def bound_memory(_: object, args: tuple, kwargs: dict) -> None:
        if len(args[0] if args else kwargs["input_ids"]) > 2:
            raise torch.OutOfMemoryError

    engine = load_engine(prm_dirs[family])
    engine.replicas[0].model.base_model.register_forward_pre_hook(bound_memory, with_kwargs=True)
    [reply] = await score(engine, ScoreCall(PROBLEM, [[step] for step in STEPS] * 2))
    expected = [reference(prm_dirs, family, PROBLEM, [step]) for step in STEPS]
    for got, wanted in zip(reply.scores, expected * 2, strict=True):
        assert got == pytest.approx(wanted, abs=TOLERANCE)
    assert engine.counts.batches == 1


@pytest.mark.parametrize("family", CAUSAL)
async def test_siblings_share_the_computation_of_their_prefix(
    family: str, prm_dirs: dict[str, Path]
):
    engine = load_engine(prm_dirs[family])
    computed = []
    model = engine.replicas[0].model.base_model
    model.register_forward_pre_hook(
        lambda _, args, kwargs: computed.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    items = [[f"The answer is {i}."] for i in range(8)]
    [reply] = await score(engine, ScoreCall(PROBLEM * 2, items))
    assert sum(computed) < reply.usage.prompt_tokens / 3


async def test_items_without_steps_have_no_scores(prm_dirs: dict[str, Path]):
    engine = load_engine(prm_dirs["rlhflow"])
    empty, nothing = await score(engine, ScoreCall("p", [[], ["s"], []]), ScoreCall("p", []))
    assert [len(scores) for scores in empty.scores] == [0, 1, 0]
    assert nothing.scores == []


async def test_a_solution_over_the_context_is_refused(prm_dirs: dict[str, Path]):
    engine = load_engine(prm_dirs["rlhflow"])
    with pytest.raises(ValueError, match=r"a solution has \d+ tokens .* holds 1024"):
        await engine.score(ScoreCall("p" * 5000, [["s"]]))
    assert engine.num_open == 0


@pytest.mark.parametrize(
    ("name", "architecture", "family"),
    [
        ("RLHFlow/Llama3.1-8B-PRM-Mistral-Data", "LlamaForCausalLM", "rlhflow"),
        ("/models/Llama3.1-8B-PRM-Deepseek-Data", "LlamaForCausalLM", "rlhflow"),
        ("peiyi9979/math-shepherd-mistral-7b-prm", "MistralForCausalLM", "math-shepherd"),
        ("Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B", "Qwen2ForCausalLM", "skywork"),
        ("a-copy", "Qwen2ForPrmModel", "skywork"),
        ("Qwen/Qwen2.5-Math-PRM-7B", "Qwen2ForProcessRewardModel", "qwen-prm"),
        ("any", "GemmaForSequenceClassification", "sequence-classification"),
    ],
)
def test_the_family_is_found(name: str, architecture: str, family: str):
    assert find_family(name, Qwen2Config(architectures=[architecture])) == family


def test_an_unknown_family_is_asked_for():
    with pytest.raises(ValueError, match="give --family"):
        find_family("RLHFlow/LLaMA3-SFT", Qwen2Config(architectures=["LlamaForCausalLM"]))


async def test_a_users_own_adapter_is_loaded(
    prm_dirs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "my_adapter.py").write_text(
        "from ttc_servers.prm.adapters import RLHFlow\n"
        "class Doubtful(RLHFlow):\n"
        "    def score(self, model, hidden):\n"
        "        return super().score(model, hidden) / 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    engine = load_engine(prm_dirs["rlhflow"], "--adapter", "my_adapter:Doubtful")
    [reply] = await score(engine, ScoreCall(PROBLEM, [STEPS]))
    expected = [score / 2 for score in reference(prm_dirs, "rlhflow", PROBLEM, STEPS)]
    assert reply.scores == [pytest.approx(expected, abs=TOLERANCE)]


def test_an_adapter_that_is_not_there_is_named(prm_dirs: dict[str, Path]):
    with pytest.raises(ValueError, match="no adapter 'nowhere:Name'"):
        load_engine(prm_dirs["rlhflow"], "--adapter", "nowhere:Name")
