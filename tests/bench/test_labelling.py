"""Labels by rollouts: values, bisection and its budget, sharing, resuming, failures."""

import math
import random
from contextlib import asynccontextmanager

import pytest

from ttc_client import Client, SearchParams, Servers
from ttc_client.bench.labelling import LABELS, ROLLOUTS, Labelled, Labelling, Rollouts
from ttc_client.bench.ledger import Ledger
from ttc_client.bench.unlabelled import Unlabelled, read_unlabelled
from ttc_client.errors import ConfigError, ServerError
from ttc_client.types import Problem

K = 4
PROBLEM = Problem(question="What is $3 + 4$?", id="p", gold="7")
PARAMS = SearchParams(strategy="majority", n=K)
KINDS = {ROLLOUTS: Rollouts, LABELS: Labelled}


class Policy:
    """Ends every solution at once: never right after a bad step, else as often as `share`."""

    def __init__(self, share: float = 0.5) -> None:
        self.share = share
        self.prefixes: list[str] = []

    async def __call__(self, request):
        written = request.trajectory.text
        self.prefixes.append(written)
        if "refuse" in written:
            raise ServerError("refused", url="http://nowhere", status=400)
        return [self.write(request.seed + i, written) for i in range(request.n)]

    def write(self, seed: int, written: str) -> str:
        right = "bad" not in written and random.Random(seed).random() < self.share
        return rf"so \boxed{{{7 if right else 8}}}"


def solution(name: str, *steps: str, is_right: bool | None = None) -> Unlabelled:
    return Unlabelled(id=name, problem=PROBLEM, steps=steps, is_right=is_right)


@asynccontextmanager
async def labelled(path, policy, method, *solutions, resume=False):
    with Ledger(path, {"k": K}, KINDS, resume=resume) as ledger:
        async with Client(Servers(policy=policy)) as client:
            labelling = Labelling(solutions, method, PARAMS, ledger)
            await labelling.run(client)
            yield labelling


async def test_a_value_is_the_share_of_right_rollouts_and_a_label_whether_any_is(tmp_path):
    policy = Policy()
    one = solution("a", "good 1", "bad 2", r"so \boxed{8}")
    async with labelled(tmp_path, policy, "every", one) as labelling:
        found = labelling.labelled["a"]
    assert found.values[1:] == (0.0, 0.0)
    assert found.values[0] in {i / K for i in range(1, K + 1)}
    assert found.labels == (True, False, False)
    assert not found.is_right
    assert sorted(policy.prefixes) == ["good 1\n\n", "good 1\n\nbad 2\n\n"]
    assert labelling.num_rollouts == 2 * K
    assert labelling.usage.completion_tokens == 0  # a function counts none


async def test_a_right_solution_is_itself_a_completion_from_each_of_its_steps(tmp_path):
    one = solution("a", "step 1", "step 2", r"so \boxed{7}")
    async with labelled(tmp_path, Policy(share=0.0), "every", one) as labelling:
        found = labelling.labelled["a"]
    assert (found.values, found.labels) == ((0.0, 0.0, 1.0), (True, True, True))


@pytest.mark.parametrize("error", range(8))
async def test_bisection_finds_the_first_bad_step_and_rolls_out_from_no_prefix_twice(
    tmp_path, error
):
    policy = Policy(share=1.0)
    steps = [f"bad {i}" if i == error else f"step {i}" for i in range(7)]
    one = solution("a", *steps, r"so \boxed{8}")
    async with labelled(tmp_path, policy, "binary", one) as labelling:
        found = labelling.labelled["a"]
    assert found.labels == (True,) * error + (False,) * (8 - error)
    assert len(set(policy.prefixes)) == len(policy.prefixes) <= math.ceil(math.log2(8))
    assert sum(value is not None for value in found.values) == len(policy.prefixes) + 1


async def test_both_methods_agree_where_values_fall_once(tmp_path):
    rng = random.Random(1)
    solutions = []
    for i in range(20):
        error = rng.randrange(1, 8)  # beyond the last step: right
        steps = [f"bad {i}.{j}" if j == error else f"step {i}.{j}" for j in range(5)]
        answer = 7 if error >= 5 else 8
        solutions.append(solution(str(i), *steps, rf"so \boxed{{{answer}}}"))
    found = {}
    for method in ("every", "binary"):
        async with labelled(tmp_path / method, Policy(1.0), method, *solutions) as labelling:
            found[method] = labelling
    one, other = (
        {n: line.labels for n, line in found[m].labelled.items()} for m in ("every", "binary")
    )
    assert one == other
    assert found["binary"].num_rollouts <= found["every"].num_rollouts / 2


async def test_a_right_solution_costs_bisection_nothing(tmp_path):
    policy = Policy()
    one = solution("a", "step 1", "step 2", r"so \boxed{7}", is_right=None)
    async with labelled(tmp_path, policy, "binary", one) as labelling:
        assert labelling.labelled["a"].labels == (True,) * 3
        assert labelling.labelled["a"].is_right
    assert policy.prefixes == []


async def test_prefixes_that_read_the_same_share_their_rollouts(tmp_path):
    policy = Policy()
    two = [solution(name, "same", f"other {name}", r"so \boxed{8}") for name in ("a", "b")]
    async with labelled(tmp_path, policy, "every", *two) as labelling:
        first, second = (labelling.labelled[name] for name in ("a", "b"))
    assert policy.prefixes.count("same\n\n") == 1
    assert first.values[0] == second.values[0]
    assert (labelling.num_rollouts, labelling.num_shared) == (3 * K, K)


async def test_after_a_kill_no_rollout_is_paid_for_again_and_the_labels_are_the_same(tmp_path):
    solutions = [solution(str(i), f"step {i}", "bad", r"so \boxed{8}") for i in range(6)]
    async with labelled(tmp_path, Policy(), "every", *solutions) as labelling:
        whole = labelling.labelled
    kept = (tmp_path / ROLLOUTS).read_bytes().splitlines(keepends=True)
    (tmp_path / ROLLOUTS).write_bytes(b"".join(kept[:7]) + kept[7][:20])
    labels = (tmp_path / LABELS).read_bytes().splitlines(keepends=True)
    (tmp_path / LABELS).write_bytes(labels[0])
    policy = Policy()
    async with labelled(tmp_path, policy, "every", *solutions, resume=True) as labelling:
        assert labelling.labelled == whole
        assert labelling.num_rollouts == 12 * K
    assert len(policy.prefixes) <= len(kept) - 7
    policy = Policy()
    async with labelled(tmp_path, policy, "every", *solutions, resume=True) as labelling:
        assert labelling.labelled == whole
    assert policy.prefixes == []


async def test_a_solution_that_fails_is_named_and_tried_again_and_the_others_go_on(tmp_path):
    two = [solution("a", "refuse", r"so \boxed{8}"), solution("b", "step", r"so \boxed{8}")]
    async with labelled(tmp_path, Policy(), "every", *two) as labelling:
        assert [line.id for line in labelling.failed] == ["a"]
        assert "refused" in labelling.failed[0].error
        assert labelling.labelled["b"].labels
    policy = Policy()
    async with labelled(tmp_path, policy, "every", *two, resume=True) as labelling:
        assert len(policy.prefixes) >= 1
        assert all("refuse" in prefix for prefix in policy.prefixes)


async def test_steps_from_elsewhere_reach_a_server_of_token_ids_as_ids(tmp_path):
    from tests.fakes.chance_servers import chance_servers

    async with chance_servers() as server:
        servers = Servers(policy=server.url, check=False)
        with Ledger(tmp_path, {}, KINDS, resume=False) as ledger:
            async with Client(servers) as client:
                one = solution("a", "step 1", r"so \boxed{8}")
                await Labelling([one], "every", PARAMS, ledger).run(client)
        (sent,) = server.payloads("/v1/completions")
    assert sent["prompt"][-8:] == [ord(char) for char in "step 1\n\n"]
    assert sent["n"] == K


def test_rows_of_a_file_need_a_problem_an_answer_and_steps_or_a_solution(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"problem": "p", "answer": 7, "steps": ["a", " ", "b"]}\n'
        '{"problem": "p", "answer": 7, "solution": "a\\n\\nb\\n\\n"}\n'
        '{"problem": "q", "answer": 7, "solution": "c"}\n'
        '{"problem": "q", "solution": "c"}\n'
    )
    found = read_unlabelled(str(path), None)
    assert [s.steps for s in found.solutions] == [("a", "b"), ("c",)]
    assert found.note == "1 rows are left out, the first since row 3 has no answer"
    path.write_text('{"problem": "q", "answer": 1}\n')
    with pytest.raises(ConfigError, match="row 0 has no steps or solution"):
        read_unlabelled(str(path), None)
