"""Fitting and cross-validation against a naive implementation, and nothing that leaks."""

import random
from dataclasses import replace
from statistics import fmean

import pytest
from msgspec import to_builtins

from tests.analysis.records import SPENT, record, run
from tests.tables import table
from ttc_client.analysis.curves import Curve, read_curves
from ttc_client.analysis.difficulty import bins, edges
from ttc_client.analysis.optimal import (
    NUM_FOLDS,
    Arm,
    Evidence,
    cross_validate,
    fit,
    folds,
    optimal_curves,
    read_evidence,
    validate,
)
from ttc_client.bench.runs import Run
from ttc_client.errors import ConfigError
from ttc_client.runtime.records import Record
from ttc_client.search.table import bin_of
from ttc_client.types import Allocation

NAMES = [f"p{i}" for i in range(23)]
MODELS = {"policy": "policy", "prm": "prm", "dataset": "set", "reduction": "last"}
CURVES = {judge: Curve("compute-optimal", f"{judge} bins") for judge in ("oracle", "model")}


def made_up(seed: int, names=NAMES) -> list[Run]:
    """Make runs with M = 2 and M = 4 of searches that end by chance, hard problems more rarely."""
    luck = random.Random(seed)
    by_m: dict[int, list[Record]] = {2: [], 4: []}
    for name in names:
        ease = luck.random()

        def samples(n: int, ease: float = ease) -> list[tuple[int, float]]:
            answers = [0 if luck.random() < ease else 1 for _ in range(n)]
            return [(a, luck.betavariate(3, 2) if a == 0 else luck.random()) for a in answers]

        for m, records in by_m.items():
            for search_seed in (0, 1):
                if m == 4:
                    records.append(
                        record(
                            "best-of-n", 8, samples(8), name=name, seed=search_seed,
                            correct=tuple(luck.random() < ease for _ in range(3)),
                        )
                    )  # fmt: skip
                for strategy in ("beam", "dvts"):
                    for n in (4, 8):
                        right = luck.random() < ease
                        records.append(
                            record(
                                strategy, n, samples(n), name=name, seed=search_seed,
                                correct=(False, right, False),
                            )
                        )  # fmt: skip
    return [
        run(*records, name=f"m{m}", m=m, **{**MODELS, "n": [4, 8]}) for m, records in by_m.items()
    ]


def evidence_of(runs: list[Run]) -> Evidence:
    return read_evidence(runs, read_curves(runs))


def naive_choice(
    results: dict[Arm, dict[str, float]], ease: dict[str, float], train: list[str], of: float
) -> Arm:
    """Return the arm for a problem that is so easy, from scratch: sort, cut, average, compare."""
    ranked = sorted((ease[name] for name in train), reverse=True)
    cuts = []
    for i in (1, 2, 3, 4):
        border = round(i * len(ranked) / 5)
        cuts.append((ranked[border - 1] + ranked[border]) / 2)

    def place(value: float) -> int:
        for number, cut in enumerate(cuts, 1):
            if value >= cut:
                return number
        return 5

    members = [name for name in train if place(ease[name]) == place(of)] or train
    best, best_mean = None, -1.0
    for strategy in ("best-of-n", "majority", "beam", "dvts"):
        for m in (None, 2, 4):
            arm = Arm(strategy, m)
            if arm in results:
                mean = fmean(results[arm][name] for name in sorted(members))
                if mean > best_mean:
                    best, best_mean = arm, mean
    assert best
    return best


def naive_results(runs: list[Run], n: int) -> dict[Arm, dict[str, float]]:
    """Return each arm's mean over seeds by problem; trees straight from the records."""
    found: dict[Arm, dict[str, list[float]]] = {}
    for each in runs:
        for r in each.records.values():
            if r.strategy in ("beam", "dvts") and r.n == n:
                arm = Arm(r.strategy, each.settings["m"])
                found.setdefault(arm, {}).setdefault(r.id, []).append(r.grades["weighted"])
            elif r.strategy == "best-of-n" and n == 8:
                for strategy, vote in (("best-of-n", "weighted"), ("majority", "majority")):
                    by_id = found.setdefault(Arm(strategy, None), {})
                    by_id.setdefault(r.id, []).append(r.grades[vote])
    return {arm: {k: fmean(v) for k, v in by_id.items()} for arm, by_id in found.items()}


def naive_ease(runs: list[Run], judge: str) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for r in (r for each in runs for r in each.records.values() if r.strategy == "best-of-n"):
        values = [s.answer == 0 if judge == "oracle" else s.reward for s in r.samples]
        found.setdefault(r.id, []).extend(values)
    return {name: fmean(values) for name, values in found.items()}


@pytest.mark.parametrize("judge", ["oracle", "model"])
@pytest.mark.parametrize("seed", range(6))
def test_fit_and_cross_validation_are_those_of_a_naive_implementation(seed, judge):
    runs = made_up(seed)
    evidence, n = evidence_of(runs), 8
    results, ease = naive_results(runs, n), naive_ease(runs, judge)
    assert set(results) == set(evidence.arms[n])
    table = fit(evidence, judge, NAMES)
    for name in NAMES:
        choice = table.choice(n, ease[name])
        assert Arm(choice.strategy, choice.m) == naive_choice(results, ease, NAMES, ease[name])
    chosen = cross_validate(evidence, judge)[n]
    held_out = list(folds(NAMES))
    for fold in held_out:
        train = [name for name in NAMES if name not in fold]
        for name in fold:
            assert chosen[name] == naive_choice(results, ease, train, ease[name])
    point = optimal_curves(evidence)[CURVES[judge]][n]
    expected = fmean(results[chosen[name]][name] for name in NAMES)
    assert fmean(fmean(seeds.values()) for seeds in point.right.values()) == pytest.approx(expected)
    best = max(results.values(), key=lambda by_id: fmean(by_id.values()))
    (found,) = [v for v in validate(evidence) if (v.n, v.judge) == (n, judge)]
    assert found.accuracy.mean == pytest.approx(expected)
    assert found.single_accuracy.mean == pytest.approx(fmean(best.values()))
    assert found.gain.difference == pytest.approx(expected - fmean(best.values()))
    assert found.gain.low <= found.gain.difference <= found.gain.high


def flipped(runs: list[Run], name: str, *, samples: bool) -> list[Run]:
    """Turn a problem's results upside down: its votes, and with `samples` which answers are right
    and how they are rewarded."""

    def flip(r: Record) -> Record:
        if r.id != name:
            return r
        changed = replace(r, grades={vote: 1 - right for vote, right in r.grades.items()})
        if not samples:
            return changed
        answers = tuple(replace(a, grade=1 - a.grade) for a in r.answers)
        rewarded = tuple(replace(s, reward=1 - (s.reward or 0)) for s in r.samples)
        return replace(changed, answers=answers, samples=rewarded)

    return [replace(r, records={k: flip(v) for k, v in r.records.items()}) for r in runs]


@pytest.mark.parametrize("judge", ["oracle", "model"])
def test_a_problems_own_result_never_decides_the_choice_applied_to_it(judge):
    runs = made_up(7)
    chosen, num_leaks = cross_validate(evidence_of(runs), judge), 0
    whole = fit(evidence_of(runs), judge, NAMES)
    for name in NAMES:
        evidence = evidence_of(flipped(runs, name, samples=False))
        again = cross_validate(evidence, judge)
        assert [again[n][name] for n in (4, 8)] == [chosen[n][name] for n in (4, 8)]
        ease = evidence.ease[judge][name]
        table = fit(evidence, judge, NAMES)
        num_leaks += any(table.choice(n, ease) != whole.choice(n, ease) for n in (4, 8))
    assert num_leaks > 0


def test_neither_do_the_edges_that_part_its_bin():
    runs = made_up(8)
    chosen = cross_validate(evidence_of(runs), "model")
    for fold in folds(NAMES):
        name, *others = sorted(fold)
        again = cross_validate(evidence_of(flipped(runs, name, samples=True)), "model")
        assert all(again[n][other] == chosen[n][other] for n in (4, 8) for other in others)


def test_folds_part_the_problems_by_their_ids_alone():
    parts = list(folds(NAMES))
    assert len(parts) == NUM_FOLDS
    assert sorted(name for part in parts for name in part) == sorted(NAMES)
    assert parts == list(folds(NAMES[::-1]))
    assert {len(part) for part in parts} == {4, 5}


def test_edges_lie_between_the_bins():
    luck = random.Random(0)
    easiness = {name: luck.random() for name in NAMES}
    parting = edges(easiness)
    for number, members in bins(easiness).items():
        assert all(bin_of(easiness[name], parting) == int(number) for name in members)
    with pytest.raises(ValueError, match="3 problems"):
        edges({"a": 0.1, "b": 0.2, "c": 0.3})


def test_equally_easy_problems_share_a_bin_and_an_empty_one_gets_the_best_for_all():
    """Half of the problems are always right: three bins fall together."""
    names = [f"p{i:02}" for i in range(10)]
    records = []
    for i, name in enumerate(names):
        reward = 1.0 if i < 6 else 0.1 * (10 - i)
        right = (True,) * 3 if i < 6 else (False,) * 3
        records += [record("best-of-n", 4, [(0, reward)] * 4, name=name, correct=right)]
        records += [record("beam", 4, [(0, reward)] * 4, name=name, correct=(i >= 8,) * 3)]
    evidence = evidence_of([run(*records, **{**MODELS, "n": [4]})])
    table = fit(evidence, "model", names)
    assert [c.num_problems for c in table.budgets[0].choices] == [6, 0, 0, 2, 2]
    assert table.budgets[0].choices[1].accuracy is None
    assert table.budgets[0].choices[1].strategy == "best-of-n"
    assert [c.strategy for c in table.budgets[0].choices][3:] == ["best-of-n", "beam"]


def test_costs_are_those_of_the_chosen_searches():
    evidence = evidence_of(made_up(1))
    chosen = cross_validate(evidence, "model")[8]
    point = optimal_curves(evidence)[CURVES["model"]][8]
    assert point.spent
    with_prm = SPENT.prm_tokens - SPENT.prm_cached_tokens
    scored = fmean(arm.strategy != "majority" for arm in chosen.values())
    assert point.spent.prm_tokens == pytest.approx(with_prm * scored)
    assert point.spent.completion_tokens == pytest.approx(SPENT.completion_tokens)


def test_the_table_says_what_it_was_fitted_on_and_how_many_samples_a_probe_takes():
    evidence = evidence_of(made_up(2))
    table = fit(evidence, "model", evidence.problems)
    origin = table.origin
    assert (origin.policy, origin.prm, origin.dataset) == ("policy", "prm", "set")
    assert (origin.num_problems, origin.reduction) == (len(NAMES), "last")
    assert [(budget.n, budget.probe) for budget in table.budgets] == [(4, 1), (8, 2)]
    assert all(sum(c.num_problems for c in b.choices) == len(NAMES) for b in table.budgets)


def test_only_problems_that_every_arm_has_done_count():
    runs = made_up(3)
    kept = {key: r for key, r in runs[0].records.items() if (r.id, r.strategy) != ("p4", "beam")}
    failed = {
        key: replace(r, error="no answer") if (r.id, r.strategy) == ("p5", "best-of-n") else r
        for key, r in runs[1].records.items()
    }
    evidence = evidence_of([replace(runs[0], records=kept), replace(runs[1], records=failed)])
    assert evidence.problems == set(NAMES) - {"p4", "p5"}


def test_a_run_by_a_table_may_be_among_the_runs_but_is_no_strategy_to_choose():
    runs = made_up(4)
    by_table = [
        replace(record("compute-optimal", 8, [(0, 0.5)] * 8, name=name, correct=(True,) * 3),
                allocation=Allocation(1, 0.5, 2, "majority", None))
        for name in NAMES
    ]  # fmt: skip
    tables = [{"compute-optimal": {"table": to_builtins(table(edge=e))}} for e in (0.2, 0.5)]
    more = [run(*by_table, name=f"by-{i}", m=4, own=own, **{**MODELS, "n": [8]})
            for i, own in enumerate(tables)]  # fmt: skip
    assert evidence_of([*runs, *more]).arms.keys() == evidence_of(runs).arms.keys()
    assert cross_validate(evidence_of([*runs, *more]), "model") == cross_validate(
        evidence_of(runs), "model"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda runs: [without(runs[0], "best-of-n")], "no best-of-n samples"),
        (lambda runs: [without(runs[1], "beam", "dvts")], "only strategy to choose"),
        (
            lambda runs: [runs[0], with_setting(runs[1], policy="other")],
            "policy is 'policy' in m2 and 'other' in m4",
        ),
        (
            lambda runs: [runs[0], with_setting(runs[1], temperature=0.5)],
            "temperature is None in m2 and 0.5 in m4",
        ),
        (
            lambda runs: [
                with_setting(runs[0], own={"beam": {"lookahead": 0}, "dvts": {"lookahead": 2}}),
                with_setting(runs[1], own={"beam": {"lookahead": 1}}),
            ],
            "lookahead is 0 in m2 and 1 in m4",
        ),
        (lambda runs: made_up(0, NAMES[:9]), "9 problems .* at least 10"),
        (lambda runs: [without(runs[0], "best-of-n", "beam", "dvts")], "no best-of-n samples"),
        (lambda runs: list(map(imported, runs)), "m2 was imported, so its M is not known"),
    ],
)
def test_runs_that_no_table_can_be_fitted_on_are_refused(change, says):
    with pytest.raises(ConfigError, match=says):
        evidence_of(change(made_up(0)))


def without(found: Run, *strategies: str) -> Run:
    return replace(
        found, records={k: r for k, r in found.records.items() if r.strategy not in strategies}
    )


def imported(found: Run) -> Run:
    return replace(found, settings={k: v for k, v in found.settings.items() if k != "m"})


def with_setting(found: Run, **settings) -> Run:
    return replace(found, settings={**found.settings, **settings})
