"""What the toolkit does differently, one by one, on scripted ports."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ttc_client.errors import ConfigError, TTCError
from ttc_client.sal import RULES, STRATEGIES, extract_answer
from ttc_client.search.ballot import Ballot
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.search.results import Rules, candidates, vote_on
from ttc_client.search.stepwise import StepwiseSettings
from ttc_client.search.voting import choices
from ttc_client.settings.config import load_settings
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, perfect, run_search, walk
from ttc_client.types import AnswerGroup, Candidate, Finish


def params(strategy: str, n: int = 4, lookahead: int = 0, **settings) -> SearchParams:
    own = {"settings": StepwiseSettings(lookahead=lookahead)} if lookahead else {}
    return SearchParams(strategy=strategy, n=n, compat="sal", **own, **settings)


async def as_they_read(answers: Sequence[str]) -> Sequence[str]:
    return answers


BALLOT = Ballot(extract_answer, as_they_read)


async def grouped(found: Sequence[Candidate], rules: Rules = RULES) -> tuple[AnswerGroup, ...]:
    return (await vote_on(found, BALLOT, rules))[1]


def by_last_word(text: str) -> float:
    """Score a text by the number that its last step holds; an empty step by the one before."""
    words = text.split()
    return int(words[-1]) / 100 if words else 0.0


async def searched(
    search: SearchParams, policy: ScriptedPolicy, prm: ScriptedVerifier | None = None
) -> tuple[tuple[Candidate, ...], str]:
    """Return the candidates, and what the search says of them."""
    strategy = STRATEGIES[search.strategy]
    result = await run_search(search, policy, prm or ScriptedVerifier(by_last_word))
    scored = strategy.needs != "nothing"
    read, _ = await candidates(result.picks, search, BALLOT, RULES, scored=scored)
    return read, result.note


async def found(
    search: SearchParams, policy: ScriptedPolicy, prm: ScriptedVerifier | None = None
) -> tuple[Candidate, ...]:
    return (await searched(search, policy, prm))[0]


def asked(policy: ScriptedPolicy) -> list[tuple[tuple[int, ...], int]]:
    return [(request.trajectory.path, request.n) for request in policy.requests]


async def test_the_pool_refills_to_n_and_the_first_n_that_finish_are_kept():
    """One beam ends at once, the two kept ones are repeated in turn, and eight more end."""

    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        if not request.trajectory.steps:
            return ("1", "eos") if i == 0 else (f"{i}\n\n", "stop")
        return f"{90 - i}", "eos"

    policy = ScriptedPolicy(write)
    read = await found(params("beam", 8), policy)
    assert asked(policy) == [((), 8), ((6,), 4), ((7,), 4)]
    paths = [(0,), (6, 0), (7, 0), (6, 1), (7, 1), (6, 2), (7, 2), (6, 3)]
    assert [c.path for c in read] == paths  # and not (7, 3), the ninth


async def test_beams_that_are_kept_fill_the_pool_even_where_they_do_not_divide_n():
    policy = ScriptedPolicy(lambda r, i: (f"{i}\n\n", "stop") if r.stop else ("5", "eos"))
    await found(params("beam", 8, m=3, max_steps=2), policy)
    assert asked(policy) == [((), 8), ((6,), 4), ((7,), 4)]
    policy = ScriptedPolicy(lambda r, i: (f"{i}\n\n", "stop") if r.stop else ("5", "eos"))
    await found(params("beam", 8, m=2, max_steps=2), policy)
    assert [n for _, n in asked(policy)[1:]] == [2, 2, 2, 2]


async def test_with_n_below_m_every_beam_is_kept():
    policy = ScriptedPolicy(lambda r, i: (f"{i}\n\n", "stop") if r.stop else ("5", "eos"))
    read = await found(params("beam", 3, max_steps=2), policy)
    assert asked(policy) == [((), 3), ((0,), 1), ((1,), 1), ((2,), 1)]
    assert len(read) == 3
    with pytest.raises(ConfigError, match="n to be at least m"):
        await found(params("dvts", 3), policy)  # as the toolkit refuses it
    with pytest.raises(ConfigError, match="n to be at least m"):
        await run_search(SearchParams(strategy="beam", n=3), policy)


async def test_too_few_that_finish_are_padded_with_copies_which_vote_again():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        return (f"{i} \\boxed{{{i}}}", "eos") if i < 3 else ("3\n\n", "stop")

    search = params("beam", 8, max_steps=1)
    read, note = await searched(search, ScriptedPolicy(write), ScriptedVerifier(lambda text: 0.5))
    assert [c.path[0] for c in read] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert [group.votes for group in await grouped(read)] == [3, 3, 2]
    assert "5 are copies" in note


async def test_beam_ignores_lookahead():
    policy = ScriptedPolicy(lambda r, i: (f"{i}\n\n", "stop") if r.stop else ("7", "eos"))
    await found(params("beam", lookahead=1, max_steps=3), policy)
    assert len(policy.requests) == 3
    assert all(request.temperature for request in policy.requests)


async def test_dvts_stores_the_scores_of_what_it_rolled_out_with_the_shorter_text():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        return ("99\n\n" if request.temperature == 0 else f"\\boxed{{{i}}} {i}\n\n"), "stop"

    policy = ScriptedPolicy(write)
    first, *_ = await found(params("dvts", lookahead=2), policy)
    assert sum(request.temperature == 0 for request in policy.requests) == 4 * 2
    assert first.text == "\\boxed{0} 0\n\n"
    assert [step.text for step in first.steps] == ["\\boxed{0} 0", "", "", ""]
    assert [step.score for step in first.steps] == [0.0, 0.99, 0.99, 0.99]
    assert first.reward == 0.99


async def test_what_was_cut_counts_as_finished_and_votes():
    policy = ScriptedPolicy(lambda r, i: (rf"so \boxed{{{i}}}", "length"))
    read = await found(params("beam"), policy, ScriptedVerifier(perfect))
    assert len(policy.requests) == 1
    assert len(await grouped(read)) == 4
    assert not await grouped(read, Rules())


async def test_the_token_limit_is_per_step_and_2048_in_dvts():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        return (f"{i}\n\n", "stop") if request.stop else (f"{i}", "eos")

    for strategy, limit in (("beam", 7), ("best-of-n", 7), ("dvts", 2048)):
        policy = ScriptedPolicy(write)
        settings = {"max_tokens": 7, "max_completion_tokens": 3, "max_steps": 5}
        await found(params(strategy, **settings), policy)
        assert {request.max_tokens for request in policy.requests} == {limit}


async def test_dvts_returns_the_last_siblings_and_drops_those_that_ended_earlier():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        if not request.trajectory.steps:
            return ("8", "eos") if i == 1 else (f"{i + 6}\n\n", "stop")
        return ("90", "eos") if i == 2 else (f"{i}\n\n", "stop")

    policy = ScriptedPolicy(write)
    read, note = await searched(params("dvts"), policy)
    assert [c.path for c in read] == [(3, i) for i in range(4)]
    assert [c.finish for c in read] == ["stop", "stop", "eos", "stop"]
    assert [c.answer for c in read] == ["0", "1", "90", "3"]
    assert sum(group.votes for group in await grouped(read)) == 4
    assert "3 had not come to an end" in note


async def test_a_box_ends_a_subtree_of_dvts_but_no_beam():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        return (rf"\boxed{{1}} {i}" + "\n\n", "stop") if request.stop else ("5", "eos")

    policy = ScriptedPolicy(write)
    assert {len(c.path) for c in await found(params("dvts", max_steps=5), policy)} == {1}
    policy = ScriptedPolicy(write)
    assert {len(c.path) for c in await found(params("beam", max_steps=5), policy)} == {5}


async def test_the_prm_reads_the_empty_step_after_the_delimiter_and_each_step_once():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        return (f" {i}\n\n", "stop") if request.stop else ("5", "eos")

    prm = ScriptedVerifier(by_last_word)
    read = await found(params("dvts", max_steps=3), ScriptedPolicy(write), prm)
    assert [request.prefix for request in prm.requests] == [(), (" 3",), (" 3", " 3")]
    assert prm.requests[0].items[1] == (" 1", "")
    assert prm.requests[2].items[1] == ("5",)
    assert [step.text for step in read[0].steps] == [" 3", " 3", "5"]
    assert [step.score for step in read[0].steps] == [0.03, 0.03, 0.05]


async def test_last_is_the_score_of_the_empty_step():
    def judge(text: str) -> float:
        return 0.9 if text.startswith("0") == text.endswith("\n\n") else 0.1

    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        return (f"{i}\n\n", "stop") if request.stop else ("5", "eos")

    policy = ScriptedPolicy(write)
    await found(params("dvts", max_steps=2), policy, ScriptedVerifier(judge))
    assert asked(policy)[1] == ((0,), 4)


@pytest.mark.parametrize("strategy", ["beam", "dvts"])
async def test_an_empty_step_counts_as_finished(strategy):
    policy = ScriptedPolicy(lambda request, i: ("", "stop"))
    read = await found(params(strategy), policy)
    assert len(policy.requests) == 1
    assert len(read) == 4


async def test_votes_count_the_last_score_whatever_the_search_ranks_by():
    prm = ScriptedVerifier(lambda text: 0.9 if text.endswith("b") else 0.2)
    policy = ScriptedPolicy(lambda request, i: ("a\n\nb", "eos"))
    read = await found(params("best-of-n", 2, reduction="min"), policy, prm)
    assert [c.reward for c in read] == [0.9, 0.9]


async def test_an_empty_answer_can_win():
    texts = ["no answer", "none here", r"\boxed{3}"]
    made = [
        Candidate(text, (), 0.5, extract_answer(text), "eos", 1, (i,))
        for i, text in enumerate(texts)
    ]
    assert set(choices(await grouped(made), scored=True).values()) == {""}
    assert choices(await grouped(made, Rules()), scored=True)["majority"] == "3"


async def test_tokens_are_counted_and_siblings_that_read_alike_stay_apart():
    policy = ScriptedPolicy(lambda r, i: ("1\n\n", "stop") if r.stop else ("1", "eos"))
    read = await found(params("beam", max_steps=3), policy)
    assert [c.num_tokens for c in read] == [3] * 4
    assert [c.votes for c in read] == [1] * 4
    seeds = [request.seed + i for request in policy.requests for i in range(request.n)]
    assert len(set(seeds)) == len(seeds)


async def test_greedy_and_majority_work_without_a_prm():
    (only,) = await found(params("greedy"), policy := ScriptedPolicy(walk))
    assert (policy.requests[0].temperature, only.reward) == (0.0, None)
    assert len(await found(params("majority", 6), ScriptedPolicy(walk))) == 6


@pytest.mark.parametrize("strategy", ["best-of-n", "beam", "dvts"])
async def test_a_continuation_that_failed_is_not_gone_on_without(strategy):
    async def all_but_one(request: SampleRequest) -> Samples:
        samples = await ScriptedPolicy(walk)(request)
        return replace(samples, steps=(None, *samples.steps[1:]))

    with pytest.raises(TTCError, match="1 of 4 continuations failed: --compat sal"):
        await run_search(params(strategy), all_but_one, ScriptedVerifier(perfect))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"the final answer is $\frac{1}{2}$. I hope it is. \boxed{3}", r"\frac{1}{2}"),
        (r"\boxed{1} and \boxed{x^{2}}.", "x^{2}"),
        (r"\boxed{1 and more", "1 and more"),
        (r"so $\boxed 7$.", "7"),
        ("The answer is 4. No: the answer is\n 5.", "5"),
        ("the final answer is: 6/", "6"),
        ("1,234 of 2,345 is left", "2345"),
        ("-.5", "-.5"),
        ("nothing", ""),
        (r"\boxed{}", ""),
    ],
)
def test_an_answer_is_read_as_the_toolkit_reads_it(text, answer):
    assert extract_answer(text) == answer


def test_compat_is_one_of_the_toolkits_that_are_known():
    with pytest.raises(ConfigError, match="compat is 'snell': it must be one of sal"):
        SearchParams(compat="snell")
    chosen = {"strategy": "compute-optimal", "compat": "sal"}
    with pytest.raises(ConfigError, match="strategy is 'compute-optimal': it must be one of"):
        load_settings(chosen, {}).params_for()
