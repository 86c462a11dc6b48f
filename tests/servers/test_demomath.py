"""DemoMath: families, splits, careless authors, and the checker that knows the truth."""

import hashlib
import json
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from fractions import Fraction

import pytest

from ttc_servers.demomath import (
    FAMILIES,
    LEVELS,
    boxed,
    careless_steps,
    check_steps,
    draw_worded,
    first_error,
    fixed_choice_set,
    fixed_test_set,
    generate,
    is_right,
    split_of,
)
from ttc_servers.demomath.latex import parse_number
from ttc_servers.demomath.newcomers import HELD_OUT, bare

TEST_SET_SHA256 = "255016fea4c22cde9d6b000ba9b18aa40df7db713d6eb7434fe695e068ce8320"


def test_the_fixed_test_set_has_math_500s_columns_and_100_problems_of_each_level():
    rows = [problem.row() for problem in fixed_test_set()]
    columns = ["problem", "solution", "answer", "subject", "level", "unique_id"]
    assert all(list(row) == columns for row in rows)
    assert Counter(row["level"] for row in rows) == dict.fromkeys(LEVELS, 100)
    assert len({row["unique_id"] for row in rows}) == len({row["problem"] for row in rows}) == 500


def test_the_fixed_test_set_never_changes():
    text = "".join(json.dumps(problem.row()) + "\n" for problem in fixed_test_set())
    assert hashlib.sha256(text.encode()).hexdigest() == TEST_SET_SHA256


def test_splits_share_no_problem():
    drawn = {
        split: {problem.problem for problem in generate(split, 1500, seed=3)}
        for split in ("train", "validation", "test")
    }
    assert not drawn["train"] & drawn["test"]
    assert not drawn["train"] & drawn["validation"]
    assert not drawn["validation"] & drawn["test"]
    assert all(split_of(text) == split for split, texts in drawn.items() for text in texts)


def test_a_seed_names_its_problems():
    first, again, other = (
        [problem.problem for problem in generate("train", 20, seed=seed)] for seed in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("family", FAMILIES)
def test_right_solutions_check_and_close_with_the_answer(family: str):
    problems = [problem for problem in generate("train", 600) if problem.family == family]
    assert {problem.level for problem in problems} == set(LEVELS)
    for problem in problems:
        steps = problem.steps(rng=random.Random(0))
        assert check_steps(problem, steps) == [True] * len(steps)
        assert first_error(problem, steps) is None
        assert is_right(problem, boxed(steps[-1]))
        assert all(step.startswith(f"## Step {i}: ") for i, step in enumerate(steps[:-1], 1))
        assert all(step.endswith("$.\n\n") for step in steps[:-1])
        assert steps[-1].endswith("$. I hope it is correct.")


@pytest.fixture(scope="module")
def worded():
    rng = random.Random(7)
    return [draw_worded(rng, "train") for _ in range(3000)]


def test_newcomers_questions_have_right_solutions(worded):
    for problem in worded:
        steps = problem.steps(rng=random.Random(0))
        assert check_steps(problem, steps) == [True] * len(steps)
        assert is_right(problem, boxed(steps[-1]))
        assert "$" not in problem.problem
        assert "\\" not in problem.problem


def test_newcomers_sums_come_out_as_they_are_asked(worded):
    spoken = {"plus": "+", "minus": "-", "times": "*", "×": "*", " x ": "*", "divided by": "/"}
    checked = 0
    for problem in worded:
        text = problem.problem
        for word, sign in spoken.items():
            text = text.replace(word, sign)
        asked = max(
            re.findall(r"(?<![\w^)/])\(?-?\d[-+*/() \d]*", text), key=len, default=""
        ).strip()
        if re.search(r"[a-z]\(|x|%|mod|power|cubed|squared|÷|term|: ", text) or "/" in text:
            continue
        if re.search(r"\d\)? ?[-+*] ?\(?-?\d", asked):
            exact = re.sub(r"\d+", r"Fraction(\g<0>)", asked)
            assert parse_number(problem.forms[0]) == eval(exact, {"Fraction": Fraction})
            checked += 1
    assert checked > 400


def test_no_question_to_judge_by_and_no_test_formula_is_ever_drawn(worded):
    drawn = {bare(problem.problem) for problem in worded}
    assert not drawn & {bare(question) for question in HELD_OUT}
    sums = {
        bare(found[1].replace(r"\cdot", "*"))
        for problem in fixed_test_set()
        if (found := re.fullmatch(r"Compute \$(\S+ \S+ \S+)\$\.", problem.problem))
    }
    assert len(sums) > 5
    assert not any(text.endswith(("is" + a, "e" + a)) or text == a for text in drawn for a in sums)
    assert all(split_of(problem.problem) == "train" for problem in worded)


@pytest.mark.parametrize("draw_problems", [lambda _: generate("train", 400, seed=5), iter])
def test_the_equations_of_a_right_solution_hold(worded, draw_problems):
    checked = 0
    for problem in draw_problems(worded):
        for equation in re.findall(r"\$([^$]*)\$", "".join(problem.steps()[:-1])):
            sides = [
                side for side in equation.split(" = ") if not re.search("[a-zA-Z{}]", plain(side))
            ]
            values = {round(eval(plain(side)), 9) for side in sides}  # digits and operators alone
            assert len(values) <= 1, equation
            checked += len(sides) > 1
    assert checked > 800


def plain(latex: str) -> str:
    """Return LaTeX arithmetic as a Python expression."""
    latex = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", latex)
    return latex.replace(r"\cdot", "*").replace(r"\div", "/")


def test_levels_grow_in_steps():
    steps = Counter[int]()
    for problem in generate("train", 1000):
        steps[problem.level] += len(problem.steps())
    assert [steps[level] for level in LEVELS] == sorted(steps.values())


def test_a_changed_digit_spoils_its_step_and_all_that_follow():
    for problem in generate("train", 100):
        steps = problem.steps()
        for bad in range(len(steps) - 1):
            place = re.search(r"\d\$\.|\d\}*\$\.", steps[bad])
            if not place:
                continue
            at = place.start()
            digit = str((int(steps[bad][at]) + 1) % 10)
            spoiled = [*steps]
            spoiled[bad] = steps[bad][:at] + digit + steps[bad][at + 1 :]
            assert check_steps(problem, spoiled)[:-1] == [
                index < bad for index in range(len(steps) - 1)
            ]
            assert first_error(problem, spoiled) == sum(map(len, steps[:bad])) + at


def test_words_do_not_count_but_values_and_order_do():
    problem = next(p for p in generate("train", 50) if len(p.steps()) > 3)
    steps = problem.steps()
    reworded = [re.sub(r": \w+", ": Work", step, count=1) for step in steps[:-1]]
    assert all(check_steps(problem, [*reworded, steps[-1]]))
    swapped = [steps[1], steps[0], *steps[2:]]
    assert check_steps(problem, swapped)[0] == (steps[1] == steps[0])


def test_a_careless_author_is_often_wrong_and_more_so_on_high_levels():
    rng, right = random.Random(0), Counter[int]()
    for problem in generate("train", 2000):
        right[problem.level] += check_steps(problem, careless_steps(problem, rng, 1.0, 0.01))[-1]
    shares = [right[level] / 400 for level in LEVELS]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.6 > 0.45 > shares[-1] > 0.15


def test_the_first_error_of_a_careless_solution_is_in_its_first_bad_step():
    rng = random.Random(1)
    for problem in generate("train", 300):
        steps = careless_steps(problem, rng, 1.0, 0.05)
        labels, error = check_steps(problem, steps), first_error(problem, steps)
        assert (error is None) == all(labels)
        if error is not None:
            bad = labels.index(False)
            start = sum(map(len, steps[:bad]))
            assert start + steps[bad].index("$") < error < start + len(steps[bad])


def test_the_word_that_leads_to_the_equations_tells_how_often_they_are_wrong():
    rng, bad = random.Random(2), defaultdict[str, list[bool]](list)
    for problem in generate("train", 1500):
        steps = careless_steps(problem, rng, 1.0, 0.0)
        labels = [True, *check_steps(problem, steps)]
        for step, good, before in zip(steps[:-1], labels[1:], labels, strict=False):
            if before:
                bad[step.splitlines()[1].split(" $")[0]].append(not good)
    shares = {word: sum(found) / len(found) for word, found in bad.items()}
    assert shares.keys() == {"Compute", "Let", "Solve"}
    assert max(shares["Let"], shares["Solve"]) < 0.5 * shares["Compute"]
    most = max(bad, key=lambda word: len(bad[word]))
    assert most == "Compute"


def test_answers_come_in_equivalent_forms():
    forms = {
        boxed(problem.steps(rng=random.Random(seed))[-1])
        for problem in generate("train", 60)
        if problem.family == "fractions"
        for seed in range(8)
    }
    assert {bool(re.search(pattern, " ".join(map(str, forms)))) for pattern in (
        r"\\frac", r"\d/\d", r"\d\.\d",
    )} == {True}  # fmt: skip


def test_an_answer_is_right_in_any_form_of_its_number():
    problem = next(p for p in generate("train", 3000) if p.forms[0] == r"\frac{3}{2}")
    for answer in (r"\frac{3}{2}", "3/2", "1.5", "6/4", r"\frac{ 12 }{8}"):
        assert is_right(problem, answer)
    for answer in (None, "", "3/0", "-3/2", "15", "3/2x"):
        assert not is_right(problem, answer)


def test_unknown_splits_and_levels_are_refused():
    with pytest.raises(ValueError, match="no split 'dev'"):
        next(generate("dev", 1))
    with pytest.raises(ValueError, match="no level 6"):
        next(generate("train", 1, levels=[6]))


def test_the_command_writes_json_lines_without_numpy_or_torch():
    code = (
        "import sys; from ttc_servers.demomath.__main__ import main;"
        "main(['--split', 'train', '-n', '3', '--levels', '2']);"
        "assert not {'numpy', 'torch'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert [row["level"] for row in rows] == [2, 2, 2]
    assert all(split_of(row["problem"]) == "train" for row in rows)


def test_each_problem_has_four_options_of_which_one_is_right():
    rows = fixed_choice_set()
    problems = fixed_test_set()
    assert rows[::50] == fixed_choice_set()[::50]
    places = Counter()
    for problem, row in zip(problems, rows, strict=True):
        options = row["options"]
        assert len(set(options)) == 4
        assert [is_right(problem, option) for option in options].count(True) == 1
        numbers = [n for option in options if (n := parse_number(option)) is not None]
        assert len(set(numbers)) == len(numbers)
        places[options.index(problem.forms[0])] += 1
    assert min(places.values()) > 80
