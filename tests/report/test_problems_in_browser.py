"""The report's browser of problems, as a reader uses it: formulas, filters, closed branches."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.analysis.records import record, run
from tests.browser import Tab, tab
from ttc_client.report.tables import ModelSizes
from ttc_client.report.write import write_report
from ttc_client.runtime.records import GradedAnswer, Trace, key_of
from ttc_client.types import Problem, TreeNode

HALF, THIRD = "\\frac{1}{2}", "\\frac{1}{3}"
WIDE = "$" + " + ".join(f"\\frac{{{i}}}{{x_{{{i}}}}}" for i in range(1, 30)) + " = 0$"
PROBLEMS = {
    name: Problem(question=question, id=name, gold=HALF, level=level)
    for name, question, level in (
        ("p1", "Solve $x^2 = \\sqrt{2}$ for apples.", "1"),
        ("p2", f"Long: {WIDE} and \\[\\sum_{{i=1}}^n i\\] of pears.", "2"),
        ("p3", "It costs \\$5, not $10$; an apple.", "10"),
    )
}
RIGHT = {"p1": (True, True), "p2": (True, False), "p3": (False, False)}
"""By problem, whether beam and best-of-n are right."""
TREE = (
    TreeNode((0,), "First, $a = 1$.\n\n", 0.9, "stop", 1, True),
    TreeNode((0, 0), f"So $\\boxed{{{HALF}}}$.", 0.8, "eos", 3, True),
    TreeNode((0, 1), f"So $\\boxed{{{THIRD}}}$.", 0.3, "eos", 1, True),
    TreeNode((1,), "Not taken, $b$.\n\n", 0.1, "stop", 1, False),
)


def searched(name: str, strategy: str, right: bool):
    made = record(strategy, 4, [(0, 0.8), (1, 0.3)], name=name, correct=(right,) * 3)
    answers = (GradedAnswer(HALF, float(right)), GradedAnswer(THIRD, float(not right)))
    (one, other) = made.samples
    samples = (replace(one, path=(0, 0), votes=3), replace(other, path=(0, 1)))
    choices = {"prm": HALF, "weighted": HALF, "majority": HALF}
    return replace(made, answers=answers, samples=samples, choices=choices)


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("math")
    records = [
        searched(name, strategy, right)
        for name, rights in RIGHT.items()
        for strategy, right in zip(("beam", "best-of-n"), rights, strict=True)
    ]
    found = run(
        *records, name=str(directory / "run"), policy="tiny demo Llama", prm="PRM", demo=True
    )
    found = replace(found, problems=PROBLEMS)
    found.path.mkdir()
    lines = [Trace(**key_of(r)._asdict(), tree=TREE) for r in records if r.strategy == "beam"]
    (found.path / "traces.jsonl").write_bytes(
        b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    )
    return write_report([found], directory / "out", {}, ModelSizes())


@pytest.fixture
async def page(browser, index) -> AsyncGenerator[Tab]:
    async with tab(browser) as opened:
        await opened.open(index.as_uri())
        yield opened
        assert opened.complaints == []
        assert opened.requests == [index.as_uri()]


async def texts(page: Tab, selector: str) -> list[str]:
    return await page.evaluate(
        f"[...document.querySelectorAll('{selector}')].map(e => e.innerText)"
    )


async def listed(page: Tab) -> list[str]:
    return await page.evaluate("[...list.querySelectorAll('button')].map(b => b.title)")


async def put(page: Tab, control: str, value: str) -> None:
    event = "oninput" if control == "words" else "onchange"
    await page.evaluate(f"{control}.value = '{value}'; {control}.{event}()")


async def test_the_models_are_named_on_top_and_the_demo_is_said_to_be_one(page):
    models, demo = await texts(page, "header > p")
    assert models == "Policy: tiny demo Llama. PRM: PRM."
    assert demo.startswith("The demo models searched: ")


async def test_formulas_are_drawn_in_problems_steps_and_answers(page):
    drawn = await page.evaluate(
        """["#list", "#view p.text", "#view p:last-child", "#tree td", "#tree .step > .text"].map(
          place => [...document.querySelectorAll(`${place} math`)].filter(math => {
            const {width, height} = math.getBoundingClientRect();
            return width > 4 && height > 4 && math.namespaceURI.endsWith("MathML");
          }).length)"""
    )
    assert all(count > 0 for count in drawn), drawn
    for place in ("#view", "#tree", "#list"):
        source = " ".join(await texts(page, place)).replace("$5", "")
        assert not {"$", "\\"} & set(source), place
    edges = (
        "[...document.querySelector('#view mfrac').children].map(e => e.getBoundingClientRect())"
    )
    above, below = await page.evaluate(f"{edges}.map(box => box.top)")
    assert above < below
    assert await page.evaluate("document.querySelector('#view .math').title") == "x^2 = \\sqrt{2}"


async def test_a_dollar_that_is_money_stays_one(page):
    await page.evaluate("list.children[2].firstChild.click()")
    shown = await page.evaluate("document.querySelector('#view > p').textContent")
    assert shown == "It costs $5, not 10; an apple."


async def test_the_mark_that_ends_a_sentence_stays_on_the_line_of_its_formula(page):
    await page.evaluate("list.children[2].firstChild.click()")
    ended = "document.querySelector('#view > p .math.ended')"
    assert await page.evaluate(f"{ended}.textContent") == "10;"
    assert await page.evaluate(f"getComputedStyle({ended}).whiteSpace") == "nowrap"


async def test_problems_are_filtered_by_outcome_level_and_text(page):
    assert await listed(page) == ["p1", "p2", "p3"]
    for outcome, judge, expected in (
        ("right", "", ["p1"]),
        ("wrong", "", ["p3"]),
        ("mixed", "", ["p2"]),
        ("right", "beam", ["p1", "p2"]),
        ("wrong", "best-of-n", ["p2", "p3"]),
        ("", "", ["p1", "p2", "p3"]),
    ):
        await put(page, "judge", judge)
        await put(page, "outcome", outcome)
        assert await listed(page) == expected, (outcome, judge)
    await put(page, "level", "10")
    assert await listed(page) == ["p3"]
    assert (await texts(page, "#view h3")) == ["p3, level 10"]
    await put(page, "level", "")
    await put(page, "words", "APPLE")
    assert await listed(page) == ["p1", "p3"]
    await put(page, "words", "sqrt apples")
    assert await listed(page) == ["p1"]
    assert await texts(page, "#count") == ["1 of 3 problems"]
    await put(page, "words", "nowhere")
    assert await listed(page) == []
    assert "No problem is like this" in (await texts(page, "#view"))[0]
    assert not await page.evaluate("byId('steps').checkVisibility()")


async def test_problems_are_sorted(page):
    for order, expected in (
        ("hardest", ["p3", "p2", "p1"]),
        ("easiest", ["p1", "p2", "p3"]),
        ("level", ["p1", "p2", "p3"]),
        ("text", ["p1", "p2", "p3"]),
        ("set", ["p1", "p2", "p3"]),
    ):
        await put(page, "order", order)
        assert await listed(page) == expected, order


async def test_a_closed_branch_shows_the_answers_that_it_leads_to(page):
    ends = "[...document.querySelectorAll('#tree .step > summary > .ends')]"
    visible = f"{ends}.filter(e => e.checkVisibility()).map(e => e.innerText)"
    assert len(await page.evaluate(visible)) == 2  # of the two ends; the branch is open
    await page.evaluate("byId('close').click()")
    (branch,) = await page.evaluate(visible)
    assert [sign for sign in branch if sign in "✓✗"] == ["✓", "✗"]
    assert "×3" in branch
    assert await page.evaluate(f"{ends}[0].querySelectorAll('math').length") == 2
    labels = f"[...{ends}[0].querySelectorAll('[role=img]')].map(e => e.ariaLabel)"
    assert await page.evaluate(labels) == ["right", "wrong"]


async def test_a_tree_may_grow_and_take_steps_whose_parents_are_not_there_yet(page):
    shown = await page.evaluate(
        """(async () => {
          const grown = new ttc.SearchTree(() => false);
          document.body.append(grown.element);
          const end = {score: 0.5, finish: "eos", multiplicity: 1, kept: true, right: null};
          const step = {...end, finish: "stop", text: "step", answer: null};
          grown.add({...step, path: [0]});
          grown.add({...end, path: [0, 0, 0], text: "end", answer: "7"});
          grown.add({...end, path: [1], text: "other", answer: "8", right: 0.5});
          await Promise.resolve();
          grown.add({...end, path: [0, 1], text: "more", answer: "7", multiplicity: 2});
          await Promise.resolve();
          return [...grown.element.children].map(item => item.querySelector(".ends").textContent);
        })()"""
    )
    assert shown == ["→ 7  ×3", "→ 8 50 %"]


async def test_the_search_chosen_stays_chosen_and_one_without_a_tree_says_so(page):
    await page.evaluate("searches.querySelectorAll('input')[1].click()")
    assert "The tree of this search is not in this page." in (await texts(page, "#tree > p"))
    await page.evaluate("list.children[1].firstChild.click()")
    chosen = "searches.querySelector(':checked').parentElement.innerText"
    assert (await page.evaluate(chosen)).strip() == "best-of-n, N=4, seed 0 ✗"


async def test_problems_are_chosen_by_the_keyboard_and_have_one_tab_stop(page):
    await page.evaluate("chosen.button.focus()")
    for key, expected in (("ArrowDown", "p2"), ("ArrowDown", "p3"), ("ArrowDown", "p3")):
        await page.press(key)
        assert (await texts(page, "#view h3"))[0].startswith(expected)
    stops = "[...list.querySelectorAll('button')].filter(b => b.tabIndex === 0).map(b => b.title)"
    assert await page.evaluate(stops) == ["p3"]
    labels = "[...document.querySelectorAll('main input, main select')].every(e => e.labels.length)"
    assert await page.evaluate(labels)


async def colours(page: Tab, scheme: str) -> list[str]:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    await page.call("Emulation.setEmulatedMedia", features=[feature])
    return await page.evaluate(
        """[getComputedStyle(document.body).backgroundColor].concat(
          [...document.querySelectorAll("figure svg.wide *")].flatMap(e => {
            const {fill, stroke} = getComputedStyle(e);
            return [[fill, "fill"], [stroke, "stroke"]].filter(
              ([colour, name]) => /^rgb\\(/.test(colour) && e.style[name].startsWith("var("));
          }).map(([colour]) => colour))"""
    )


async def test_figures_follow_light_and_dark(page):
    light, dark = await colours(page, "light"), await colours(page, "dark")
    assert len(light) == len(dark) > 20
    assert all(one != other for one, other in zip(light, dark, strict=True))


async def test_at_420_pixels_nothing_is_cut_off(page):
    await page.resize(420)
    await page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    await page.evaluate("list.children[1].firstChild.click()")
    await page.evaluate("byId('close').click()")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 420
    cut = await page.evaluate(
        """[...document.querySelectorAll("main *")].filter(e => e.checkVisibility()
          && e.clientWidth && e.scrollWidth > e.clientWidth + 1 && !e.closest("svg, math, select")
        ).map(e => `${e.tagName} ${e.className} ${e.scrollWidth} ${e.clientWidth}`)"""
    )
    assert cut == []
    kinds = "['wide', 'narrow'].map(k => document.querySelector(`svg.${k}`).checkVisibility())"
    assert await page.evaluate(kinds) == [False, True]
    assert await page.evaluate("document.querySelector('td:nth-child(2)').dataset.label") == "N"
