"""Sample many solutions from a model folder on a CPU, by the embedded server's engine.

Faster there than `sampler`, which a GPU or a model in training needs: samples of a problem share
its prompt, and what ends makes room at once. A solution depends on the model, the seed, its
problem's place and its own number alone.
"""

from collections.abc import Sequence
from pathlib import Path

from ttc_servers.demomath import Problem
from ttc_servers.embedded.engine import Engine
from ttc_servers.embedded.jobs import Generated, Job, StopRules
from ttc_servers.embedded.llama import Llama
from ttc_servers.embedded.sampling import SamplingParams
from ttc_servers.embedded.tokenizer import Tokenizer
from ttc_servers.train.data import policy_prompt

_NUM_BLOCKS = 2048
_PROBLEM_SEEDS = 1 << 20
_RUN_SEEDS = 1 << 44
"""How many seeds a problem has, and a run."""


def sample_folder(
    folder: Path,
    problems: Sequence[Problem],
    n: int,
    temperature: float,
    seed: int,
    max_tokens: int = 320,
) -> list[list[str]]:
    """Return n solutions of each problem; temperature 0 is greedy.

    A solution that does not end within max_tokens is cut.
    """
    tokenizer, model = Tokenizer(folder / "tokenizer.json"), Llama(folder, _NUM_BLOCKS)
    before, after = policy_prompt()
    params, stop = SamplingParams(temperature), StopRules(eos_ids=model.config.eos_ids)
    jobs: list[Job] = []
    for place, problem in enumerate(problems):
        ids, job = tokenizer.encode(before + problem.problem + after, False), Job()
        first = seed * _RUN_SEEDS + place * _PROBLEM_SEEDS
        job.sequences = [Generated(job, ids, params, first + i, max_tokens, stop) for i in range(n)]
        jobs.append(job)
    Engine(model, tokenizer.token_bytes, _NUM_BLOCKS).run_here(jobs)
    return [[sequence.text for sequence in job.sequences] for job in jobs]
