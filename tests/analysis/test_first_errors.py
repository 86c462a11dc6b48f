"""ProcessBench's measures, by hand and by their own definition; thresholds; pairs."""

import random
from statistics import mean

import pytest

from ttc_client.analysis.first_errors import ALL, MEAN, Judged, compare, evaluate, nulls
from ttc_client.analysis.thresholds import Threshold, fit_threshold
from ttc_client.bench.solutions import Solution
from ttc_client.errors import ConfigError
from ttc_client.types import Problem


def solution(name: str, *labels: bool | None, subset: str = "a", problem: str = "") -> Solution:
    return Solution(
        id=name,
        subset=subset,
        problem=Problem(question=problem or name),
        steps=("step",) * len(labels),
        labels=labels,
    )


WRONG = [solution(f"w{i}", True, False, None) for i in range(4)]
RIGHT = [solution(f"r{i}", True, True, True) for i in range(2)]
SCORES = {
    "w0": (0.9, 0.1, 0.9),  # exact
    "w1": (0.1, 0.1, 0.9),  # early: a detected error at another step is a miss
    "w2": (0.9, 0.8, 0.1),  # late
    "w3": (0.9, 0.8, 0.7),  # never
    "r0": (0.9, 0.9, 0.9),
    "r1": (0.9, 0.9, 0.2),
}


def part(evaluation, subset: str = ALL):
    return next(p for p in evaluation.parts if p.subset == subset)


def test_f1_is_the_harmonic_mean_of_the_two_accuracies():
    found, _ = evaluate([*WRONG, *RIGHT], SCORES, Threshold())
    whole = part(found)
    assert (whole.on_wrong.value, whole.on_right.value) == (1 / 4, 1 / 2)
    assert whole.f1.value == pytest.approx(1 / 3)
    assert whole.f1.low <= whole.f1.value <= whole.f1.high
    assert (whole.num_wrong, whole.num_right) == (4, 2)


def test_it_agrees_with_the_benchmarks_own_definition_on_a_set_not_seen():
    rng = random.Random(5)
    solutions, scores = [], {}
    for i in range(300):
        label = rng.randrange(-1, 4)
        labels = [True] * 5 if label < 0 else [*[True] * label, False, *[None] * (4 - label)]
        solutions.append(solution(str(i), *labels))
        scores[str(i)] = tuple(rng.random() ** 0.3 for _ in range(5))
    hits: dict[bool, list[bool]] = {True: [], False: []}
    for s in solutions:
        label = -1 if s.error is None else s.error
        predicted = next((i for i, score in enumerate(scores[s.id]) if score < 0.5), -1)
        hits[label == -1].append(predicted == label)
    right, wrong = mean(hits[True]), mean(hits[False])
    found = part(evaluate(solutions, scores, Threshold())[0])
    assert found.f1.value == pytest.approx(2 * right * wrong / (right + wrong))


def test_f1_is_0_if_both_accuracies_are_and_undefined_if_a_part_is_empty():
    never = dict.fromkeys(SCORES, (0.0, 0.0, 0.0))
    assert part(evaluate([*WRONG, *RIGHT], never, Threshold())[0]).f1.value == 0
    alone = part(evaluate(WRONG, SCORES, Threshold())[0])
    assert alone.f1.value != alone.f1.value
    assert alone.on_wrong.value == 1 / 4


def test_the_mean_of_subsets_is_unweighted_and_missing_where_one_is_undefined():
    other = [solution("x", False, subset="b"), solution("y", True, subset="b")]
    scores = {**SCORES, "x": (0.1,), "y": (0.9,)}
    found, _ = evaluate([*WRONG, *RIGHT, *other], scores, Threshold())
    assert part(found, "b").f1.value == 1
    assert part(found, MEAN).f1.value == pytest.approx((1 + 1 / 3) / 2)
    lacking, _ = evaluate([*WRONG, *RIGHT, other[0]], scores, Threshold())
    assert MEAN not in [p.subset for p in lacking.parts]


def test_timing_says_when_an_error_is_seen():
    found, _ = evaluate([*WRONG, *RIGHT], SCORES, Threshold())
    timing = found.timing
    assert timing is not None
    assert (timing.early, timing.exact, timing.late, timing.never) == (1 / 4,) * 4
    assert timing.steps_late == 1


def test_the_auc_counts_only_steps_that_someone_labelled():
    scores = {"w0": (0.9, 0.1, 0.0), "r0": (0.9, 0.9, 0.9)}  # the last step of w0 has no label
    found = part(evaluate([WRONG[0], RIGHT[0]], scores, Threshold())[0])
    assert found.auc.value == 1


def test_problems_and_not_solutions_are_resampled():
    several = [solution(f"s{i}", True, problem="same") for i in range(50)]
    other = solution("t", True, problem="other")
    scores = {s.id: (0.9,) for s in several} | {"t": (0.1,)}
    found = part(evaluate([*several, other], scores, Threshold())[0])
    assert (found.on_right.low, found.on_right.high) == (0, 1)


def test_a_fitted_threshold_has_the_highest_f1_of_all():
    rng = random.Random(3)
    solutions = [
        solution(str(i), *([True] * 3 if i % 2 else [True, False, None])) for i in range(80)
    ]
    scores = {s.id: tuple(rng.random() for _ in range(3)) for s in solutions}
    fitted = fit_threshold([(s, scores[s.id]) for s in solutions])

    def f1(threshold: float) -> float:
        return part(evaluate(solutions, scores, Threshold(threshold))[0]).f1.value

    best = f1(fitted)
    assert best > 0
    assert all(f1((i + 0.5) / 40) <= best + 1e-12 for i in range(40))


def test_fitting_judges_no_solution_by_a_threshold_that_it_helped_to_fit():
    solutions = [solution(f"w{i}", False) for i in range(20)]
    solutions += [solution(f"r{i}", True) for i in range(20)]
    scores = {s.id: ((0.2,) if s.error == 0 else (0.6,)) for s in solutions}
    before = evaluate(solutions, scores, Threshold.read("fit"))[1]
    changed = evaluate(solutions, scores | {"r0": (0.21,)}, Threshold.read("fit"))[1]
    own = next(j.threshold for j in before if j.solution.id == "r0")
    assert next(j.threshold for j in changed if j.solution.id == "r0") == own
    assert any(a.threshold != b.threshold for a, b in zip(before, changed, strict=True))
    with pytest.raises(ConfigError, match="needs right and wrong solutions"):
        evaluate(solutions[:20], scores, Threshold.read("fit"))
    with pytest.raises(ConfigError, match="fit:nowhere, and there is no such subset"):
        evaluate(solutions, scores, Threshold.read("fit:nowhere"))


@pytest.mark.parametrize("text", ["0", "1.5", "nan", "x", "", "fitted"])
def test_a_threshold_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="threshold is"):
        Threshold.read(text)


def judged(scores: dict[str, tuple[float, ...]]) -> list[Judged]:
    return evaluate([*WRONG, *RIGHT], scores, Threshold())[1]


def test_verifiers_are_compared_on_what_both_scored():
    perfect = {s.id: tuple(1.0 if x else 0.0 for x in s.labels) for s in (*WRONG, *RIGHT)}
    found = compare(judged(perfect), judged(SCORES))
    assert found is not None
    assert found.difference.value == pytest.approx(2 / 3)
    assert found.difference.low >= 0
    assert found.num_solutions == 6
    same = compare(judged(SCORES), judged(SCORES))
    assert same is not None
    assert (same.difference.value, same.p) == (0, 1)
    back = compare(judged(SCORES), judged(perfect))
    assert back is not None
    assert back.difference.value == -found.difference.value
    assert compare(judged(SCORES)[:2], judged(SCORES)[2:]) is None


def test_a_clear_difference_has_a_small_p():
    solutions = [solution(f"w{i}", False) for i in range(20)]
    solutions += [solution(f"r{i}", True) for i in range(20)]
    good = {s.id: ((0.0,) if s.error == 0 else (1.0,)) for s in solutions}
    bad = {s.id: (1.0 if i % 2 else 0.0,) for i, s in enumerate(solutions)}
    found = compare(*(evaluate(solutions, scores, Threshold())[1] for scores in (good, bad)))
    assert found is not None
    assert found.p < 0.01


def test_nulls_read_nothing_and_are_worth_nothing():
    solutions = [solution(f"w{i}", True, False, None) for i in range(100)]
    solutions += [solution(f"r{i}", True, True, True) for i in range(100)]
    found = {name: evaluate(solutions, s, Threshold())[0] for name, s in nulls(solutions).items()}
    assert part(found["constant"]).f1.value == 0
    assert part(found["constant"]).auc.value == 0.5
    assert part(found["chance"]).auc.low < 0.5 < part(found["chance"]).auc.high
    assert part(found["chance"]).f1.value < 0.35
