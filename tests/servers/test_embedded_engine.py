"""The embedded model against a plain float64 forward pass; its cache and its sampler."""

from pathlib import Path

import numpy as np
import pytest
from tiny_llama import reference_logits, write_model

from ttc_servers.embedded.cache import ROOT, BlockCache
from ttc_servers.embedded.engine import Engine
from ttc_servers.embedded.jobs import Generated, Job, Scored, StopRules
from ttc_servers.embedded.llama import Llama
from ttc_servers.embedded.sampling import SamplingParams, sample, uniform
from ttc_servers.embedded.tokenizer import Tokenizer

SEED = 7


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("llama") / "tiny", SEED)


def compute(directory: Path, jobs: list[Job], num_blocks: int = 64) -> Engine:
    """Run jobs to their end in this thread, all arriving at once."""
    tokenizer = Tokenizer(directory / "tokenizer.json")
    engine = Engine(Llama(directory, num_blocks), tokenizer.token_bytes, num_blocks)
    engine.run_here(jobs)
    return engine


def scored(tokens: list[int], positions: list[int]) -> Job:
    job = Job(num_prompt_tokens=len(tokens))
    job.sequences = [Scored(job, tokens, positions, labels=list(range(400)))]
    return job


def generated(prompt: list[int], max_tokens: int, seeds: list[int], temperature: float) -> Job:
    job = Job(num_prompt_tokens=len(prompt))
    params = SamplingParams(temperature=temperature)
    job.sequences = [
        Generated(job, prompt, params, seed, max_tokens, StopRules()) for seed in seeds
    ]
    return job


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def test_logits_equal_the_reference_in_a_mixed_batch(directory: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 400, length).tolist() for length in (1, 2, 63, 64, 65, 300)]
    jobs = [scored(tokens, list(range(len(tokens)))) for tokens in texts]
    compute(directory, [*jobs, generated(texts[2], 40, [1, 2], 1.0)])
    for tokens, job in zip(texts, jobs, strict=True):
        expected = log_softmax(reference_logits(directory, tokens))[:, :400]
        np.testing.assert_allclose(job.sequences[0].logps, expected, atol=1e-4)


def test_greedy_tokens_equal_the_reference(directory: Path) -> None:
    prompt = [5, 9, 200, 31]
    job = generated(prompt, 70, [0], temperature=0)
    compute(directory, [job])
    tokens = job.sequences[0].tokens
    expected = reference_logits(directory, tokens).argmax(-1)
    assert tokens[4:] == expected[3:-1].tolist()
    assert job.sequences[0].finish_reason == "length"


def test_running_out_of_blocks_changes_no_token(directory: Path) -> None:
    prompts = [[i, 9, 200, 31] * 20 for i in range(6)]
    roomy = [generated(prompt, 100, [3, 4], 1.0) for prompt in prompts]
    tight = [generated(prompt, 100, [3, 4], 1.0) for prompt in prompts]
    compute(directory, roomy)
    compute(directory, tight, num_blocks=9)
    for a, b in zip(roomy, tight, strict=True):
        assert [s.token_ids for s in a.sequences] == [s.token_ids for s in b.sequences]


def test_a_prompt_is_computed_once(directory: Path) -> None:
    prompt = list(range(150))
    jobs = [generated(prompt, 2, [0, 1, 2, 3], 1.0) for _ in range(3)]
    engine = compute(directory, jobs)
    assert [job.num_cached_tokens for job in jobs] == [0, 149, 149]
    assert engine.counters.cached_tokens == 298
    assert engine.counters.generation_tokens == 24


def test_the_cache_finds_full_blocks_and_the_beginning_of_others() -> None:
    cache = BlockCache(num_blocks=3, block_size=4)
    first, second = cache.allocate(), cache.allocate()
    cache.register(first, ROOT, [1, 2, 3, 4])
    cache.register(second, first, [5, 6])
    cache.release([first, second])
    assert cache.match([1, 2, 3, 4, 5, 7]) == ([first], (second, 1))
    assert cache.match([1, 2, 9, 9, 9]) == ([], (first, 2))
    cache.release([first])
    assert cache.num_available == 3


def test_the_cache_forgets_the_longest_unused_first_and_never_what_is_in_use() -> None:
    cache = BlockCache(num_blocks=2, block_size=2)
    old, new = cache.allocate(), cache.allocate()
    cache.register(old, ROOT, [1, 2])
    cache.register(new, ROOT, [3, 4])
    cache.release([old])
    assert cache.num_available == 1
    assert cache.allocate() == old
    assert cache.match([1, 2]) == ([], (ROOT, 0))
    assert cache.num_available == 0


def test_samples_follow_the_distribution_and_its_truncations() -> None:
    probabilities = np.array([0.5, 0.3, 0.15, 0.05])
    logits = np.log(probabilities).astype(np.float32)

    def frequencies(**params: float) -> np.ndarray:
        count = 4000
        drawn = sample(
            np.tile(logits, (count, 1)),
            [SamplingParams(**params)] * count,
            seeds=list(range(count)),
            indices=[0] * count,
        )
        return np.bincount(drawn, minlength=4) / count

    np.testing.assert_allclose(frequencies(), probabilities, atol=0.03)
    np.testing.assert_allclose(frequencies(top_k=2), [5 / 8, 3 / 8, 0, 0], atol=0.03)
    np.testing.assert_allclose(frequencies(top_p=0.7), [5 / 8, 3 / 8, 0, 0], atol=0.03)
    np.testing.assert_allclose(frequencies(top_p=0.1), [1, 0, 0, 0])
    np.testing.assert_allclose(frequencies(min_p=0.2)[3], 0)
    squared = probabilities**2 / (probabilities**2).sum()
    np.testing.assert_allclose(frequencies(temperature=0.5), squared, atol=0.03)


def test_random_numbers_depend_on_seed_and_index_alone() -> None:
    together = uniform([1, 1, 2, -3], [0, 1, 0, 0])
    alone = np.concatenate([uniform([s], [i]) for s, i in ((1, 0), (1, 1), (2, 0), (-3, 0))])
    assert together.tolist() == alone.tolist()
    assert len(set(together.tolist())) == 4


def test_every_byte_survives_the_tokenizer(directory: Path) -> None:
    tokenizer = Tokenizer(directory / "tokenizer.json")
    text = "Größe ≤ 3\n\n\t∑ \x00 😀"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert b"".join(tokenizer.token_bytes[i] for i in ids).decode() == text
    assert tokenizer.decode(tokenizer.encode(text)) == "<|begin_of_text|>" + text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_nobody_waits_for_a_dead_engine(directory: Path) -> None:
    engine = Engine(Llama(directory, 64), token_bytes=[], num_blocks=64)  # fails at a token's text
    engine.start()
    for _ in range(2):
        job = generated([1, 2, 3], 5, [0], 1.0)
        await engine.run(job)
        assert job.num_unfinished == 1
    engine.stop()
    assert not engine.alive
