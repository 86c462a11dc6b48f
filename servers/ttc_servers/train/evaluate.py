"""Measure a policy and a PRM together, quickly and without servers.

Best-of-N only: whole solutions sampled, scored and voted on. It serves to steer the training;
the figures of the model card come from the search client itself.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from tokenizers import Tokenizer

from ttc_servers.demomath import Problem, boxed, check_steps
from ttc_servers.demomath.latex import parse_number
from ttc_servers.train.data import prm_row, split_steps
from ttc_servers.train.llama import Llama
from ttc_servers.train.prm import auc, score_rows
from ttc_servers.train.sampler import sample

Scored = list[tuple[str | None, bool, float]]
"""A problem's samples: the answer's key, whether it is right, the last step's score."""


def answer_key(answer: str | None) -> str | None:
    """Return what the equivalent forms of an answer share: a number's value, a sum's terms."""
    if answer is None:
        return None
    number = parse_number(answer)
    if number is not None:
        return str(number)
    if "(" in answer or (answer.startswith(r"\frac{") and r"\sqrt" in answer[:20]):
        return answer
    return " ".join(sorted(re.findall(r"-?[^+-]+", answer)))


def greedy_accuracy(
    policy: Llama, tokenizer: Tokenizer, problems: Sequence[Problem]
) -> dict[str, float]:
    """Return the share of right answers at T = 0, over all, by level and by family."""
    right: defaultdict[str, list[bool]] = defaultdict(list)
    for index, solution in sample(policy, tokenizer, problems, 1, 0.0, 0):
        problem = problems[index]
        good = check_steps(problem, [split_steps(solution)[-1]] if solution else [""])[0]
        for name in ("all", f"level {problem.level}", problem.family):
            right[name].append(good)
    return {name: sum(good) / len(good) for name, good in sorted(right.items())}


def search_figures(
    policy: Llama,
    prm: Llama,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    n: int,
    temperature: float,
    seed: int,
) -> dict[str, float]:
    """Return pass@n, maj@n, prm@n and weighted@n, the PRM's step AUC and the samples' accuracy."""
    samples = list(sample(policy, tokenizer, problems, n, temperature, seed))
    solutions = [(problems[index], split_steps(solution)) for index, solution in samples]
    rows = [prm_row(tokenizer, problem, steps) for problem, steps in solutions]
    scores = score_rows(prm, tokenizer, rows)
    by_problem: defaultdict[int, Scored] = defaultdict(list)
    step_scores, step_labels = [], []
    for (index, _), (problem, steps), score in zip(samples, solutions, scores, strict=True):
        answer = boxed(steps[-1])
        right = check_steps(problem, steps[-1:])[0]
        key = "right" if right else answer_key(answer)
        by_problem[index].append((key, right, score[-1]))
        step_scores += score
        step_labels += map(float, check_steps(problem, steps))
    figures = [_best_of_n(scored) for scored in by_problem.values()]
    means = {name: sum(f[name] for f in figures) / len(figures) for name in figures[0]}
    return means | {"step AUC": auc(step_scores, step_labels)}


def _best_of_n(samples: Scored) -> dict[str, float]:
    votes, weights = Counter[str](), Counter[str]()
    for key, _, score in samples:
        if key is not None:
            votes[key] += 1
            weights[key] += score
    return {
        "sampled": sum(right for _, right, _ in samples) / len(samples),
        "pass": float(any(right for _, right, _ in samples)),
        "maj": float(bool(votes) and votes.most_common(1)[0][0] == "right"),
        "prm": float(max(samples, key=lambda scored: scored[2])[1]),
        "weighted": float(bool(weights) and weights.most_common(1)[0][0] == "right"),
    }
