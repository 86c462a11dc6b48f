"""The page at `/` in a real browser: by keyboard, live, kept, deaf to what models write."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from tests.browser import Tab, chromium, tab
from tests.gateway.serving import Caller, serving
from ttc_client.search.ports import SampleRequest
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, perfect, walk
from ttc_client.types import Finish

EVIL = '<img src=x onerror="window.ran=1"><script>window.ran=2</script>'
PROFILES = ("hard=dvts:8,task=math", "vote=majority:8")


@pytest.fixture(scope="module")
def browser() -> Iterator[str]:
    with chromium() as url:
        yield url


def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
    text, finish = walk(request, i, p_good=0.7)
    return text.replace("good", f"$\\frac{{1}}{{2}}$ {EVIL} good"), finish


@pytest.fixture
async def caller():
    async with serving(ScriptedPolicy(write), ScriptedVerifier(perfect), PROFILES) as caller:
        yield caller


async def until(page: Tab, condition: str) -> None:
    for _ in range(600):
        if await page.evaluate(condition):
            return
        await asyncio.sleep(0.05)
    shown = await page.evaluate("document.getElementById('status').textContent")
    raise AssertionError(f"{condition} never came; the page says {shown!r}, {page.complaints}")


async def tab_to(page: Tab, wanted: str) -> None:
    """Press Tab until the element with this id has the focus."""
    for _ in range(30):
        await page.press("Tab")
        if await page.evaluate("document.activeElement.id") == wanted:
            return
    raise AssertionError(f"Tab never came to {wanted}")


async def test_the_page_is_driven_by_keyboard_and_grows_the_tree(browser, caller: Caller):
    async with tab(browser) as page:
        await page.resize(420)
        await page.open(caller.url + "/")
        await until(page, "document.querySelectorAll('#profile option').length === 2")
        await tab_to(page, "problem")
        await page.evaluate("document.activeElement.select()")
        await page.call("Input.insertText", text="How many of them?")
        await tab_to(page, "other")
        await page.press("ArrowDown")
        await page.press("ArrowDown")
        await tab_to(page, "search")
        await page.press("Enter")
        await until(page, "document.getElementById('status').textContent.startsWith('Done')")
        assert await page.evaluate("document.querySelectorAll('.run').length") == 2
        assert await page.evaluate("document.querySelectorAll('.run details.step').length") > 8
        assert await page.evaluate("document.querySelectorAll('.run .pruned').length") > 0
        assert await page.evaluate("document.querySelectorAll('.run math').length") > 0
        assert "right" in await page.evaluate("document.querySelector('.race').textContent")
        assert "decided by weighted" in await page.evaluate("document.body.textContent")
        assert await page.evaluate("window.ran ?? 0") == 0
        wide = "document.documentElement.scrollWidth <= window.innerWidth"
        assert await page.evaluate(wide)
        link = await page.evaluate("document.querySelector('.run a').href")
        shown = await page.evaluate("document.querySelector('.run strong').textContent")
        await page.open(link)
        await until(page, "!!document.querySelector('.run strong')")
        assert await page.evaluate("document.querySelector('.run strong').textContent") == shown
        assert (
            await page.evaluate("document.getElementById('problem').value") == "How many of them?"
        )
        assert page.complaints == []
        assert all(url.startswith(caller.url) for url in page.requests)


async def searched(page: Tab, caller: Caller) -> None:
    """Search by the first profile, and wait for the end."""
    await page.open(caller.url + "/")
    await until(page, "document.querySelectorAll('#profile option').length > 0")
    await page.evaluate("document.getElementById('form').requestSubmit()")
    await until(page, "document.getElementById('status').textContent.startsWith('Done')")


CONTROLS = {"button", "textbox", "combobox", "spinbutton", "link", "DisclosureTriangle"}


async def test_a_screen_reader_finds_a_name_for_each_control_and_hears_the_answer(
    browser, caller: Caller
):
    async with tab(browser) as page:
        await searched(page, caller)
        tree = (await page.call("Accessibility.getFullAXTree"))["nodes"]
    said = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node["ignored"]
    ]
    found = [(role, name) for role, name in said if role in CONTROLS]
    assert {role for role, _ in found} >= {"button", "textbox", "combobox", "spinbutton", "link"}
    assert [role for role, name in found if not name.strip()] == []
    assert ("list", "Answers by what speaks for them") in said
    (status,) = [node for node in tree if node.get("role", {}).get("value") == "status"]
    live = {p["name"]: p["value"]["value"] for p in status["properties"]}
    assert live["live"] == "polite"
    assert any(name.startswith("Done. Answer: ") for _, name in said)


FAINT = """(() => {
  const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = color => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = color;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const linear = [r, g, b].map(c => c / 255)
      .map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * linear[0] + .7152 * linear[1] + .0722 * linear[2];
  };
  const behind = node => {
    for (; node; node = node.parentElement) {
      const color = rgba(getComputedStyle(node).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255];
  };
  const texts = [...document.body.querySelectorAll("*")].filter(node => node.checkVisibility()
    && !node.disabled && !node.closest(".pruned")
    && [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()));
  return texts.map(node => {
    const [one, two] = [light(rgba(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(one, two) + .05) / (Math.min(one, two) + .05);
    return [`${node.tagName}.${node.className}`, Math.round(100 * ratio) / 100];
  });
})()"""
"""The contrast of each element with text of its own, by WCAG 2.2."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_stands_out_from_what_is_behind_it(browser, caller: Caller, scheme):
    async with tab(browser) as page:
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await page.call("Emulation.setEmulatedMedia", features=[feature])
        await searched(page, caller)
        found = await page.evaluate(FAINT)
    assert len(found) > 20
    assert [(what, ratio) for what, ratio in found if ratio < 4.5] == []


def write_much(request: SampleRequest, i: int) -> tuple[str, Finish]:
    depth, number = len(request.trajectory.path), request.seed + i
    if depth < 4:
        return f"Step {depth} of {number}: $x_{{{depth}}} = {number}$.\n\n", "stop"
    return f"So it is \\boxed{{{number % 5}}}.", "eos"


async def test_a_thousand_nodes_cost_the_page_little(browser):
    """Counted in the CPU of the page's main thread, whatever else runs on the machine."""
    profiles = ("many=dvts:256,task=math",)
    policy = ScriptedPolicy(write_much)
    async with (
        serving(policy, ScriptedVerifier(perfect), profiles) as caller,
        tab(browser) as page,
    ):
        await page.call("Performance.enable", timeDomain="threadTicks")
        before = await spent(page)
        await searched(page, caller)
        used = await spent(page) - before
        num = await page.evaluate("document.querySelectorAll('.run details.step').length")
    assert num == 64 * 4 * 5
    assert used / num < 0.003


async def spent(page: Tab) -> float:
    """Return the seconds of CPU that the page's main thread has used."""
    metrics = (await page.call("Performance.getMetrics"))["metrics"]
    return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")


async def test_the_page_is_one_file_with_a_strict_policy(caller: Caller):
    answer = await caller.get("/")
    text = answer.body.decode().replace("http://www.w3.org/1998/Math/MathML", "")
    assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert "default-src 'none'; connect-src 'self';" in text
    assert "script-src 'sha256-" in text
    assert not any(word in text for word in ("http://", "https://", "<link", " src="))


async def test_a_search_of_the_page_is_told_in_events_and_kept(caller: Caller, tmp_path):
    caller.gateway.kept.directory = tmp_path
    answer = await caller.post("/ttc/searches", caller.body("hard"))
    names = [name for name, _ in answer.events]
    assert set(names[:-1]) == {"news"}
    assert names[-1] == "result"
    nodes = [node for _, data in answer.events[:-1] for node in json.loads(data)["nodes"]]
    paths = [tuple(node["path"]) for node in nodes]
    assert len(set(paths)) == len(paths)
    told = json.loads(answer.events[-1][1])
    shown = await caller.get(f"/ttc/searches/{told['id']}")
    exported = await caller.get(f"/ttc/searches/{told['id']}/result.json")
    assert exported.json == json.loads((tmp_path / told["id"] / "result.json").read_text())
    assert exported.json["answer"] == told["answer"]
    assert {tuple(node["path"]) for node in shown.json["tree"]} == set(paths)
    for wrong in ("0" * 32, "..%2f..%2fetc", "x"):
        assert (await caller.get(f"/ttc/searches/{wrong}")).status == 404


async def test_the_page_asks_as_strictly_as_others(caller: Caller):
    assert (await caller.post("/ttc/searches", caller.body("hard", n=99))).error["param"] == "n"
    assert (await caller.post("/ttc/searches", caller.body(""))).error["param"] == "model"
