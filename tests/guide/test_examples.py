"""Every example that is shown runs, and every problem that is shown comes out right."""

import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio
from typer.main import get_command

from tests.guide.shown import (
    GUIDE,
    MARKDOWN,
    PAGES,
    ROOT,
    Command,
    code_lines,
    commands,
    commands_of,
    flags,
    links,
    scripts,
    snippets,
)
from tests.tables import table
from ttc_client import Client, SearchParams, Servers
from ttc_client.cli import demo
from ttc_client.cli.app import make_app
from ttc_client.settings.config import SETTINGS, Settings, load_settings
from ttc_client.settings.table_file import write_table
from ttc_client.tasks.task import Task

TRUTHS = {
    "Let $f(x) = 6x + 17$. Find $f(4)$.": "41",
    "Compute $17 + 25$.": "42",
    "Solve $3x + 5 = 20$ for $x$.": "5",
    "What is $1 + 1$?": "2",
    "Compute $1 + 2$.": "3",
}
"""The right answer of every problem that is shown; a new one needs its answer here."""

TRUTHS_OF_TASKS = {("parity", "Compute $17 + 25$."): "even"}
"""The same for tasks other than mathematics, by their names."""

SEEDS = (0, 1, 2)
COMMANDS = commands()
SOLVING = [c for c in COMMANDS if c.name == "solve" and c.whole]
MAIN = "from ttc_client.cli import main; main()"
TTC: Any = get_command(make_app(all_shown=True))

CLIENTS = GUIDE / "clients.md"
"""The page whose snippets need what scripts/install_clients installs: see tests/real_clients."""

SCRIPTS = ("launch_policy", "launch_prm", "launch_cpu")


class Shown(NamedTuple):
    """What `ttc up` prints: two URLs, and a command."""

    policy: str
    prm: str
    command: str


@pytest.fixture(scope="module")
def up() -> Iterator[Shown]:
    """Run the demo servers by `ttc up`, for all searches of this module."""
    arguments = [sys.executable, "-c", MAIN, "up", "--policy-port", "0", "--prm-port", "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            lines = [process.stdout.readline().rstrip() for _ in range(4)]
            yield Shown(lines[0].split()[-1], lines[1].split()[-1], lines[3])
        finally:
            process.terminate()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(up: Shown) -> AsyncIterator[Client]:
    async with Client(Servers(policy=(up.policy,), prm=(up.prm,))) as client:
        yield client


def command_of(words: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """Return a command of the command line, and the arguments after its name."""
    command = TTC
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def options_of(command: Any) -> set[str]:
    return {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("-")
    } | {"-h", "--help", "--help-all", "--debug", "--version"}


def leaves(command: Any) -> Iterator[Any]:
    """Give the commands of a group, and of the groups in it."""
    for member in command.commands.values() if hasattr(command, "commands") else ():
        yield from leaves(member)
    if not hasattr(command, "commands"):
        yield command


def problem_of(command: Command) -> str:
    """Return the problem that a command is given, "" if it is read from elsewhere."""
    parser, arguments = command_of(command.words)
    context = parser.make_context(command.name, list(arguments), resilient_parsing=True)
    found = context.params["problem"] or ""
    return "" if found.startswith("$problem") else found


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_that_is_shown_has_the_flags_that_it_is_shown_with(command: Command) -> None:
    parser, arguments = command_of(command.words)
    if not hasattr(parser, "commands"):
        used = {a.split("=")[0] for a in arguments if re.match(r"--?[a-zA-Z]", a)}
        assert used <= options_of(parser)
        if command.whole and "--help-all" not in used:
            parser.make_context(command.name, list(arguments))


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_flag_that_is_spoken_of_exists(page: Path) -> None:
    known = set().union(*map(options_of, leaves(TTC)))
    for script in SCRIPTS:
        text = (ROOT / "scripts" / script).read_text()
        text += (ROOT / "scripts" / "lib" / "launch.sh").read_text()
        known |= set(re.findall(r"--[a-z-]+", text))
    for script in (ROOT / "scripts").glob("*/*.py"):
        known |= set(re.findall(r'"(--[a-z-]+)"', script.read_text()))
    assert flags(page) <= known


def test_there_are_examples() -> None:
    sources = {command.source for command in SOLVING}
    assert {"README.md", "ttc_client/cli/solve.py", "servers/deploy/compose.yaml"} <= sources
    assert {problem_of(command) for command in SOLVING} - {""} == set(TRUTHS)


def settings_of(command: Command) -> Settings:
    """Return how a command searches and for what, by its own flags."""
    parser, arguments = command_of(command.words)
    given = parser.make_context(command.name, list(arguments)).params
    flags = {name: given[name] for name in SETTINGS if given.get(name) not in (None, ())}
    return load_settings(flags, {})


def prepare(directory: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write what some commands read: a table, and the guide's own strategy and task."""
    models = {role: name or "" for role, name in client.models.items()}
    write_table(table(**models), directory / "table.json")
    for page in ("own-strategy.md", "own-task.md"):
        for snippet in snippets(GUIDE / page):
            (directory / snippet.name).write_text(snippet.text)
    monkeypatch.chdir(directory)
    monkeypatch.syspath_prepend(directory)


_answers: dict[object, str] = {}


async def answer(client: Client, problem: str, params: SearchParams, task: Task) -> str:
    """Return what a search finds; the same search is shown in several places."""
    key = (problem, repr(params), task.name)
    if key not in _answers:
        if task.name == client.task.name:
            _answers[key] = (await client.solve(problem, params)).answer
        else:
            async with Client(client.servers, task) as other:
                _answers[key] = (await other.solve(problem, params)).answer
    return _answers[key]


async def check(command: Command, client: Client) -> None:
    problem, settings = problem_of(command), settings_of(command)
    task, params = settings.task, settings.params
    truth = TRUTHS_OF_TASKS.get((task.name, problem)) or TRUTHS[problem]
    found = {s: await answer(client, problem, replace(params, seed=s), task) for s in SEEDS}
    assert found == dict.fromkeys(SEEDS, truth)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("command", [c for c in SOLVING if problem_of(c)], ids=str)
async def test_a_problem_that_is_shown_comes_out_right(
    command: Command, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(tmp_path, client, monkeypatch)
    await check(command, client)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_command_that_up_prints_comes_out_right(up: Shown, client: Client) -> None:
    (command,) = commands_of(up.command, "ttc up")
    assert {up.policy, up.prm} <= set(command.words)
    await check(command, client)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_demo_says_what_is_true(seed: int, capsys: Any) -> None:
    with pytest.warns(UserWarning, match="tiny demo models"):
        make_app()(["demo", "--seed", str(seed)], standalone_mode=False)
    said = capsys.readouterr().out
    assert (TRUTHS[demo.EXAMPLE], True) == (demo.TRUTH, demo.EXAMPLE in said)
    marks = re.findall(r"^  ([\w-]+) .*?(\d+) ([✓✗])", said, re.MULTILINE)
    assert [mark for _, _, mark in marks] == [
        "✓" if found == demo.TRUTH else "✗" for _, found, _ in marks
    ]
    assert marks[-1] == ("dvts", demo.TRUTH, "✓")
    if seed == 0:
        shown = re.search(r"^    Let .*?(?=^\S)", (ROOT / "README.md").read_text(), re.M | re.S)
        assert shown
        for line in filter(None, shown[0].splitlines()):
            assert line.removeprefix("    ") in said.splitlines()


@pytest.mark.parametrize(
    "page", [page for page in (ROOT / "README.md", *PAGES) if page != CLIENTS], ids=lambda p: p.name
)
def test_a_snippet_runs_as_a_file(page: Path, tmp_path: Path) -> None:
    for snippet in snippets(page):
        (tmp_path / snippet.name).write_text(snippet.text)
    for snippet in snippets(page):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", snippet.name],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for problem, truth in TRUTHS.items():
            if problem in snippet.text:
                assert re.search(rf"^{truth} ", done.stdout, re.MULTILINE)


def test_the_guide_lists_its_pages_and_shows_each(capsys: Any) -> None:
    make_app()(["guide"], standalone_mode=False)
    listed = capsys.readouterr().out
    for page in PAGES:
        text = page.read_text()
        title, *lines = text.splitlines()
        assert title.startswith("# ")
        assert f"{page.stem:<14} {title.removeprefix('# ')}" in listed
        assert len(lines) < 110
        make_app()(["guide", page.stem], standalone_mode=False)
        assert capsys.readouterr().out.startswith(title)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_in_the_guide_fits_a_terminal(page: Path) -> None:
    assert [line for line in code_lines(page) if len(line) > 78] == []


def test_examples_in_the_help_fit_a_terminal() -> None:
    texts = [path.read_text() for path in (ROOT / "ttc_client" / "cli").glob("*.py")]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    shown = [line for line in lines if line.startswith("ttc ")]
    assert len(shown) > 10
    assert [line for line in shown if len(line) > 76] == []


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_link_leads_somewhere(page: Path) -> None:
    assert [link for link in links(page) if not (page.parent / link.split("#")[0]).exists()] == []


def test_the_readme_names_every_page_and_is_short() -> None:
    text = (ROOT / "README.md").read_text()
    assert all(f"ttc_client/guide/{page.name}" in text for page in PAGES)
    assert len(text.splitlines()) <= 119


def test_the_workflow_runs_the_command_of_ci() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yaml").read_text()
    assert "- run: .ci/run\n" in text


@pytest.mark.parametrize("script", ["launch_policy", "launch_prm"])
def test_a_launch_script_says_what_to_install_where_there_is_no_vllm(script: str) -> None:
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [ROOT / "scripts" / script], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert "pip install 'vllm" in done.stderr


def test_the_quickstart_installs_and_runs_the_demo_with_its_arguments() -> None:
    *_, install, run = (ROOT / "scripts" / "quickstart").read_text().splitlines()
    assert install == "scripts/install report"
    assert run == 'exec .venv/bin/ttc demo "$@"'


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_script_that_is_shown_exists(page: Path) -> None:
    own = {ROOT / snippet.name for snippet in snippets(page)}
    assert [script for script in scripts(page) - own if not script.is_file()] == []
