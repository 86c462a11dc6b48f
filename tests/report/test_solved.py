"""The page of a single search: answer, votes, candidates and tree, safe whatever was written."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.browser import tab
from ttc_client.cli.report import report
from ttc_client.errors import ConfigError
from ttc_client.report.solved import search_page, write_search
from ttc_client.types import (
    AnswerGroup,
    Candidate,
    Counts,
    Problem,
    ScoredStep,
    SearchResult,
    TreeNode,
    Usage,
)

EVIL = '</script><script>window.ran = 1</script><img src=x onerror="window.ran = 2"> \u202e'
HALF = "\\frac{1}{2}"


def candidate(path: tuple[int, ...], answer: str, reward: float, votes: int) -> Candidate:
    steps = (ScoredStep("Let $x = 1$.\n\n", reward), ScoredStep(f"So {answer}. {EVIL}", reward))
    text = "".join(step.text for step in steps)
    return Candidate(text, steps, reward, answer, "eos", 42, path, votes, group=path[-1])


RESULT = SearchResult(
    problem=Problem(question=f"Halve $1$. {EVIL}"),
    answer=HALF,
    strategy="beam",
    n=4,
    m=2,
    vote="weighted",
    choices={"prm": HALF, "weighted": HALF, "majority": EVIL},
    answers=(AnswerGroup(HALF, 3, 2.5, 0.9), AnswerGroup(EVIL, 1, 0.1, 0.1)),
    candidates=(candidate((0, 0), HALF, 0.9, 3), candidate((0, 1), EVIL, 0.1, 1)),
    tree=(
        TreeNode((0,), "Let $x = 1$.\n\n", 0.9, "stop", 1, True),
        TreeNode((0, 0), f"So ${HALF}$. {EVIL}", 0.9, "eos", 3, True),
        TreeNode((0, 1), "No.", 0.1, "eos", 1, True),
        TreeNode((1,), "Not taken.\n\n", 0.2, "stop", 1, False),
    ),
    counts=Counts(
        first_steps=2,
        distinct_first_steps=2,
        sampled=6,
        finished=4,
        distinct=2,
        cut=0,
        unanswered=0,
        votes=4,
    ),
    usage=Usage(completion_tokens=1234, prm_tokens=99, policy_requests=3, prm_requests=2),
    wall_s=1.5,
    seed=7,
    task="math",
    policy="tiny demo Llama",
    prm="a PRM",
    note=f"decided early {EVIL}",
    demo=True,
)


def written(path: Path, result: SearchResult = RESULT) -> Path:
    path.mkdir()
    (path / "trace.jsonl").write_text("{}\n")
    (path / "result.json").write_bytes(msgspec.json.encode(result))
    return path


async def test_it_shows_the_answer_the_votes_the_candidates_and_the_tree(browser, tmp_path):
    index = write_search(written(tmp_path / "search"), tmp_path / "out")
    async with tab(browser) as page:
        await page.resize(420)
        await page.open(index.as_uri())

        async def texts(selector: str) -> list[str]:
            return await page.evaluate(
                f"[...document.querySelectorAll('{selector}')].map(e => e.innerText)"
            )

        assert await texts("h1") == ["A search by beam at N=4"]
        said = await texts("header > p")
        assert said[0] == "Policy: tiny demo Llama. PRM: a PRM."
        assert said[1].startswith("The demo models searched")
        assert await page.evaluate("document.querySelectorAll('#answer mfrac').length") == 1
        assert (await texts("main > p.muted"))[:3] == [
            "Chosen by the weighted vote: 3 of 4 candidates gave it.",
            "1,234 tokens generated, 99 PRM tokens, 5 requests, 1.5 s, seed 7.",
            "6 steps sampled → 4 completions, 2 of them distinct → 4 votes.",
        ]
        heads = await page.evaluate("[...document.querySelectorAll('th')].map(e => e.textContent)")
        assert heads == ["answer", "votes", "summed reward", "best reward", "chosen by"]
        assert (await texts("#candidates .score"))[0] == "0.900"
        assert await page.evaluate("document.querySelectorAll('#tree .step').length") == 4
        await page.evaluate("byId('close').click()")
        closed = await texts("#tree > ul > li > .step > summary")
        assert "×3" in closed[0]
        assert not {"✓", "✗"} & set("".join(closed))  # nobody graded it
        assert await page.evaluate("document.documentElement.scrollWidth") <= 420
        assert await page.evaluate("window.ran ?? null") is None
        assert "\u202e" not in await page.evaluate("document.body.innerText")
        assert page.complaints == []
        assert page.requests == [index.as_uri()]


def test_what_was_written_is_never_markup():
    page = search_page(RESULT)
    assert "<script>window" not in page
    assert "<img" not in page
    assert "<!--" not in page
    assert page.count("<script") == 2


def test_completions_sampled_whole_come_in_steps_and_without_a_prm_without_scores():
    text = "one\n\ntwo"
    alone = replace(
        RESULT,
        strategy="majority",
        prm=None,
        candidates=(
            Candidate(
                text,
                (ScoredStep("one", None), ScoredStep("two", None)),
                None,
                "2",
                "eos",
                9,
                (0,),
                group=0,
            ),
        ),
        answers=(AnswerGroup("2", 1, 0.0, 0.0),),
        tree=(TreeNode((0,), text, None, "eos", 1, True),),
    )
    page = search_page(alone)
    assert '"text":"two","score":null,"finish":"eos"' in page
    assert '"reward_sum":null' in page
    assert "PRM: none." in page


def test_the_command_tells_a_search_from_a_run(tmp_path, capsys):
    report([written(tmp_path / "search")], tmp_path / "out")
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "index.html")
    with pytest.raises(ConfigError, match="report it alone"):
        report([tmp_path / "search", tmp_path], tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "said"), [(None, "did not come to its end"), (b"{torn", "is damaged")]
)
def test_a_search_without_a_result_says_what_is_wrong(tmp_path, content, said):
    path = written(tmp_path / "search")
    (path / "result.json").unlink()
    if content:
        (path / "result.json").write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        report([path], tmp_path / "out")
    assert not (tmp_path / "out").exists()
