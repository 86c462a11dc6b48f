"""The report's page as a browser shows it: drawn, usable, and deaf to what models wrote."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.analysis.records import record, run
from tests.browser import Tab, tab
from tests.fakes.scripted_server import scripted_server
from ttc_client.bench.runs import Run
from ttc_client.report.browsed import NUM_WHOLE
from ttc_client.report.tables import ModelSizes
from ttc_client.report.write import write_report
from ttc_client.runtime.records import Trace, key_of
from ttc_client.types import Problem, TreeNode

EVIL = (
    "<script>window.ran = 1</script></script></details><!-- "
    '<img src="http://127.0.0.1:9/x" onerror="window.ran = 2">'
    "&lt;b&gt; \x1b[2J\x1b]0;title\x07 \u202egnorw\u2066 ' \" ` \\u003cb> $&"
)
LONG = "9" * 20_000
SEEN = EVIL.replace("\x1b", "\ufffd").replace("\x07", "\ufffd").replace("\u202e", "\ufffd")
SEEN = SEEN.replace("\u2066", "\ufffd")
"""The same, with what a reader would not see or be fooled by replaced."""
SAMPLES = [(0, 0.9), (1, 0.5), (1, 0.6), (-1, 0.99)]
CHOICES = {"prm": EVIL, "weighted": LONG, "majority": LONG}
REFUSED = [
    *("connect-src", "frame-src", "img-src"),
    *("script-src-attr", "script-src-elem", "style-src-elem"),
]
TREE = (
    TreeNode((0,), f"{EVIL}\n\n", 0.25, "stop", 1, True),
    TreeNode((0, 0), "left", 0.0, "eos", 2, True),
    TreeNode((0, 1), LONG, 1.0, "length", 1, True),
    TreeNode((1,), "not taken\n\n", 0.5, "stop", 1, False),
)
WHOLE = (TreeNode((0,), "one\n\ntwo\n\nthree", 0.9, "eos", 1, True),)


def trace(found, tree: tuple[TreeNode, ...]) -> Trace:
    return Trace(**key_of(found)._asdict(), tree=tree)


def hostile_run(path: Path) -> Run:
    """A run of a tree search and best-of-n on three problems; `a` is sane but for its answers."""
    records, traces = [], []
    for name in ("a", "b", EVIL):
        for strategy, tree in (("beam", TREE), ("best-of-n", WHOLE)):
            made = record(strategy, 4, SAMPLES, name=name, correct=(True,) * 3)
            zero, one = made.answers
            answers = (replace(zero, answer=EVIL), replace(one, answer=LONG))
            first, *others = made.samples
            scores = (0.1, 0.8, 0.9) if strategy == "best-of-n" else first.scores
            samples = (replace(first, scores=scores), *others)
            made = replace(made, answers=answers, choices=CHOICES, samples=samples)
            records.append(made)
            traces.append(trace(made, tree))
    failed = replace(record("dvts", 4, [], name="b"), error=EVIL)
    made = run(*records, failed, name=str(path), dataset=EVIL, policy=EVIL)
    path.mkdir()
    lines = [msgspec.json.encode(line) + b"\n" for line in traces]
    (path / "traces.jsonl").write_bytes(b"".join(lines))
    problems = {
        name: Problem(question=f"What is {name}? {EVIL}", id=name, gold=EVIL, level=EVIL)
        for name in made.problems
    }
    return replace(made, problems=problems)


@pytest.fixture(scope="module")
def index(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("report of runs")
    found = hostile_run(directory / "run")
    return write_report([found], directory / "out", {EVIL: 0.7}, ModelSizes(1e9, 8e9))


@pytest.fixture
async def page(browser, index) -> AsyncGenerator[Tab]:
    """The open page; whatever a test did to it, it complained of nothing and asked for nothing."""
    async with tab(browser) as opened:
        await opened.open(index.as_uri())
        yield opened
        assert await opened.evaluate("window.ran ?? null") is None
        assert opened.complaints == []
        assert [url for url in opened.requests if not url.startswith("data:")] == [index.as_uri()]


async def choose(page: Tab, problem: int, search: int) -> None:
    await page.evaluate(f"list.children[{problem}].firstChild.click()")
    await page.evaluate(f"searches.querySelectorAll('input')[{search}].click()")


async def texts(page: Tab, selector: str) -> list[str]:
    return await page.evaluate(
        f"[...document.querySelectorAll('{selector}')].map(e => e.innerText)"
    )


async def test_every_figure_is_drawn_and_described(page, index):
    drawn = await page.evaluate(
        """[...document.querySelectorAll("figure svg.wide")].map(svg =>
          [svg.getBoundingClientRect().width, svg.querySelectorAll("path").length,
           svg.getAttribute("aria-label")])"""
    )
    assert len(drawn) == len(list(index.parent.glob("*.svg"))) >= 7
    assert all(width > 300 and paths > 20 for width, paths, _ in drawn)
    assert all(label.endswith(".") for *_, label in drawn)


async def test_tables_open_by_mouse_and_by_keyboard(page):
    tables = "[...document.querySelectorAll('main > details')]"
    names = await texts(page, "main > details > summary")
    assert names[:2] == ["accuracy", "comparisons"]
    assert "failures" in names
    await page.evaluate(f"{tables}[1].querySelector('summary').click()")
    await page.evaluate(f"{tables}[0].querySelector('summary').focus()")
    await page.press("Enter")
    shown = await page.evaluate(f"{tables}.map(t => t.querySelector('table').checkVisibility())")
    assert shown == [True, True] + [False] * (len(names) - 2)
    assert "beam (weighted)" in (await texts(page, "main > details table"))[0]


async def test_another_problem_and_another_search_change_what_is_shown(page):
    assert (await texts(page, "#view > p"))[0].startswith("What is a?")
    assert (await texts(page, "#tree summary .notes")) == ["×2, end", "cut", "not kept"]
    await choose(page, 1, 1)
    assert (await texts(page, "#view > p"))[0].startswith("What is b?")
    assert (await texts(page, "#tree .step > div.text")) == ["one", "two", "three"]
    assert (await texts(page, "#searches label"))[1] == "best-of-n, N=4, seed 0 ✓"
    await page.evaluate("chosen.button.focus()")
    await page.press("ArrowUp")
    assert (await texts(page, "#view > p"))[0].startswith("What is a?")
    assert await page.evaluate("document.activeElement === chosen.button")
    assert (await texts(page, "#tree .step > div.text")) == ["one", "two", "three"]
    await choose(page, 0, 0)
    assert len(await texts(page, "#tree .step")) == len(TREE)


async def test_votes_are_listed_with_who_chose_them(page):
    rows = await page.evaluate(
        "[...treeBox.querySelectorAll('tr')].map(r => [...r.cells].map(c => c.innerText))"
    )
    assert rows[0] == ["answer", "votes", "summed reward", "best reward", "right", "chosen by"]
    assert rows[1:] == [
        [LONG, "2", "1.100", "0.600", "✗", "weighted, majority"],
        [SEEN, "1", "0.900", "0.900", "✓", "prm"],
    ]


async def test_colours_follow_the_scores_and_what_was_not_kept_is_faded(page):
    found = await page.evaluate(
        """[...treeBox.querySelectorAll(".step")].map(box => {
          const {borderLeftColor, opacity} = getComputedStyle(box);
          const [red, green] = borderLeftColor.match(/\\d+/g).map(Number);
          return [box.querySelector(".score").innerText, green / (red + green), Number(opacity)];
        })"""
    )
    by_score = {float(score): (share, opacity) for score, share, opacity in found}
    assert set(by_score) == {0, 0.25, 0.5, 1}
    greens = [by_score[score][0] for score in sorted(by_score)]
    assert greens == sorted(set(greens))
    assert greens[0] < 0.2
    assert greens[-1] > 0.8
    assert {score: opacity < 1 for score, (_, opacity) in by_score.items()} == {
        score: score == 0.5 for score in by_score
    }


async def test_steps_open_and_close_and_a_small_tree_shows_what_was_kept(page):
    states = "[...treeBox.querySelectorAll('details')].map(box => box.open)"
    assert await page.evaluate(states) == [True, True, True, False]
    await page.evaluate("byId('close').click()")
    assert not any(await page.evaluate(states))
    (_, last) = await texts(page, "#tree > ul > li > .step > summary")
    assert last.split("\n") == ["0.500", "not kept", "not taken"]
    await page.evaluate("byId('open').focus()")
    await page.press("Enter")
    assert all(await page.evaluate(states))


async def test_what_was_written_is_text_wherever_it_stands(page):
    await page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    await choose(page, 2, 0)
    shown = await page.evaluate("document.body.innerText")
    assert SEEN in shown
    assert LONG in shown
    places = ("header > p", "#view > p", "#tree td", "#tree .step > .text", "main > details td")
    for place in places:
        assert any(SEEN in text for text in await texts(page, place)), place
    assert SEEN[:60] in (await texts(page, "#list button"))[2]
    assert await page.evaluate("document.scripts.length") == 2
    assert await page.evaluate("document.images.length") == 0


@pytest.mark.parametrize("width", [320, 1400])
async def test_nothing_but_tables_is_wider_than_the_window(page, width):
    await page.resize(width)
    await page.evaluate("for (const box of document.querySelectorAll('details')) box.open = true")
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    assert await page.evaluate(
        "Math.max(...[...document.querySelectorAll('svg')].map(s => s.clientWidth))"
    ) in range(250, width)
    assert (
        await page.evaluate(
            "Math.min(...[...treeBox.querySelectorAll('.step')].map(b => b.clientWidth))"
        )
        > 200
    )


async def test_text_can_be_read_on_a_light_and_a_dark_screen(page):
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await page.call("Emulation.setEmulatedMedia", features=[feature])
        contrasts = await page.evaluate(
            """(() => {
              const lightness = element => {
                const canvas = new OffscreenCanvas(1, 1).getContext("2d");
                canvas.fillStyle = element;
                canvas.fillRect(0, 0, 1, 1);
                const pixel = canvas.getImageData(0, 0, 1, 1).data;
                const [r, g, b] = [...pixel].map(c => (c / 255) ** 2.2);
                return .2126 * r + .7152 * g + .0722 * b;
              };
              const probe = document.createElement("div");
              probe.style.color = "canvas";
              document.body.append(probe);
              const ground = lightness(getComputedStyle(probe).color);
              return ["body", ".right", ".wrong", "figcaption", "a"].map(s => {
                const ink = lightness(getComputedStyle(document.querySelector(s)).color);
                return (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05);
              });
            })()"""
        )
        assert min(contrasts) > 4.5, scheme


async def test_the_policy_lets_no_markup_run_and_nothing_out(browser, index):
    async with scripted_server({}) as server, tab(browser) as opened:
        await opened.open(index.as_uri())
        await opened.evaluate(
            f"""new Promise(resolve => {{
              window.refused = new Set();
              setTimeout(resolve, 20_000);
              addEventListener("securitypolicyviolation", event => {{
                refused.add(event.effectiveDirective);
                if (refused.size === {len(REFUSED)}) resolve();
              }});
              const box = document.createElement("div");
              document.body.append(box);
              box.innerHTML = '<img src="{server.url}/image"><img src="data:," onerror="ran = 1">'
                + '<iframe src="{server.url}/frame"></iframe>';
              for (const [tag, place] of [["script", "src"], ["link", "href"]]) {{
                const made = document.createElement(tag);
                made.rel = "stylesheet";
                made[place] = "{server.url}/" + tag;
                document.head.append(made);
              }}
              const inline = document.createElement("script");
              inline.textContent = "ran = 2";
              document.head.append(inline);
              fetch("{server.url}/fetch").catch(() => 0);
            }})"""
        )
        refused = await opened.evaluate("[...refused].sort()")
        assert await opened.evaluate("window.ran ?? null") is None
    assert refused == REFUSED
    assert server.requests == []


async def test_of_many_whole_completions_the_best_are_shown_and_of_a_large_tree_one_way(
    browser, tmp_path
):
    count = 4 * NUM_WHOLE
    best = record("best-of-n", count, [(0, i / count) for i in range(count)])
    beam = record("beam", count, SAMPLES)
    whole = tuple(TreeNode((i,), f"whole {i}", i / count, "eos", 1, True) for i in range(count))
    tree = [TreeNode((i,), f"step {i}\n\n", i / count, "stop", 1, True) for i in range(count)]
    tree += [TreeNode((i, 0), f"end {i}", 1 - i / count, "eos", 1, True) for i in range(count)]
    found = run(best, beam, name=str(tmp_path / "run"))
    found.path.mkdir()
    lines = [trace(best, whole), trace(beam, tuple(tree))]
    (found.path / "traces.jsonl").write_bytes(
        b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    )
    index = write_report([found], tmp_path / "out", {}, ModelSizes())
    async with tab(browser) as page:
        await page.open(index.as_uri())
        await choose(page, 0, 0)
        assert len(await texts(page, "#tree .step")) == 2 * count
        assert await texts(page, "#tree details[open] > div.text") == ["step 0", "end 0"]
        await choose(page, 0, 1)
        shown = await texts(page, "#tree .step > summary > .text")
        assert f"{NUM_WHOLE} of {count} completions" in (await texts(page, "#tree > p"))[-1]
        assert page.complaints == []
    assert len(shown) == NUM_WHOLE
