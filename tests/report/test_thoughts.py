"""Thoughts in a result and on a page: folded, apart from what was said."""

import io
from dataclasses import replace

from rich.console import Console

from tests.browser import tab
from tests.report.test_solved import RESULT, candidate, written
from ttc_client.report.result import print_result
from ttc_client.report.rich import Typesetter
from ttc_client.report.shown import in_steps, shown_nodes
from ttc_client.report.solved import write_search
from ttc_client.types import TreeNode

THOUGHT = "Try one. " * 40
SAID = f"<think>\n{THOUGHT}\n</think>\n\nOne.\n\nTwo."
THOUGHTFUL = replace(
    RESULT,
    candidates=(
        replace(candidate((0, 0), "7", 0.9, 3), thought=THOUGHT),
        replace(candidate((0, 1), "", 0.0, 1), thought="so on", in_thought=True, group=None),
    ),
    tree=(
        TreeNode((0,), f"<think>{THOUGHT}</think>One.\n\n", 0.9, "stop", 1, True),
        TreeNode((0, 0), "Two.", 0.9, "eos", 3, True),
        TreeNode((0, 1), "<think>so on", None, "eos", 1, True),
    ),
    counts=replace(RESULT.counts, unanswered=1, in_thought=1),
)


def test_a_terminal_shows_how_long_was_thought_and_what_has_no_vote():
    console = Console(file=io.StringIO(), width=100)
    print_result(THOUGHTFUL, console, tree=True)
    text = console.file.getvalue()
    assert text.count("(thought for 80 words)") == 2  # in the tree and before the best solution
    assert "Try one." not in text
    assert "1 completion stopped within the thought, with no response: no vote" in text
    assert "without an answer" not in text


def test_the_steps_of_a_whole_completion_are_those_of_its_response():
    whole = TreeNode((0,), SAID, None, "eos", 1, True)
    chain = in_steps(whole, (0.5, 0.7))
    assert [node.score for node in chain] == [0.5, 0.7]
    one, two = shown_nodes(chain, {}, Typesetter())
    assert (one.text, one.thought) == ("One.", THOUGHT.strip())
    assert (two.text, two.thought) == ("Two.", None)


def test_a_step_within_a_thought_is_a_text_and_an_end_there_is_none():
    inside = TreeNode((0,), "<think>so\n\n", 0.5, "stop", 1, True)
    ended = TreeNode((1,), "<think>so on", None, "length", 1, True)
    one, two = shown_nodes([inside, ended], {}, Typesetter())
    assert (one.text, one.thought) == ("<think>so\n\n", None)
    assert (two.text, two.thought) == ("", "so on")


async def test_a_page_folds_thoughts(browser, tmp_path):
    index = write_search(written(tmp_path / "search", THOUGHTFUL), tmp_path / "out")
    folded = "[...document.querySelectorAll('details.thought')]"
    async with tab(browser) as page:
        await page.open(index.as_uri())
        assert await page.evaluate(f"{folded}.length") == 4
        assert await page.evaluate(f"{folded}[0].firstChild.textContent") == "thought for 80 words"
        await page.evaluate("byId('open').click()")
        assert not await page.evaluate(f"{folded}.some(one => one.open)")
        said = await page.evaluate("byId('candidates').textContent")
        assert "stopped in its thought, no vote" in said
        assert page.complaints == []
