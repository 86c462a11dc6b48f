"""What README, guide, help and scripts show: commands, snippets, links and flags."""

import ast
import re
import shlex
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "ttc_client" / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
DEPLOY = ROOT / "servers" / "deploy"
MARKDOWN = [
    ROOT / "README.md",
    *PAGES,
    *sorted((ROOT / ".github").rglob("*.md")),
    DEPLOY / "README.md",
    ROOT / "servers" / "ttc_servers" / "models" / "README.md",
]
OTHERS = [
    *sorted((ROOT / "ttc_client" / "cli").glob("*.py")),
    *[path for path in sorted(DEPLOY.rglob("*")) if path.suffix in (".yaml", ".slurm")],
    *[path for path in sorted((ROOT / "scripts").iterdir()) if path.is_file()],
]

_CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SNIPPET = re.compile(r'"""(\w+\.py):')
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FLAG = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
_SCRIPT = re.compile(r"(?<![\w/])(?:python (?P<file>\S+\.py)|python -m (?P<module>[\w.]+))")
_LAUNCH = re.compile(r"(?<![\w/.])(?:\./)?(scripts/[a-z_]+)(?![\w/.])")
_RUN_CLIENT = re.compile(r"docker compose .* run --rm client (?P<arguments>.*)")


@dataclass(frozen=True)
class Command:
    """A `ttc` command as it is shown; `whole` if none of it is left out."""

    words: tuple[str, ...]
    source: str
    whole: bool = True
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The command's name."""
        return self.words[0] if self.words else ""

    def __str__(self) -> str:
        return f"{self.source}: ttc {shlex.join(self.words)}"


@dataclass(frozen=True)
class Snippet:
    """A file of Python, as a page shows it."""

    name: str
    text: str


def code_lines(page: Path) -> list[str]:
    """Return the lines of a page that a terminal must not wrap."""
    text = page.read_text(encoding="utf-8")
    fenced = [line for _, code in _FENCED.findall(text) for line in code.splitlines()]
    plain = _FENCED.sub("", text).splitlines()
    return fenced + [line[4:] for line in plain if line.startswith("    ")]


def commands() -> list[Command]:
    """Return all commands that are shown anywhere."""
    found = [c for path in (*MARKDOWN, *OTHERS) for c in _commands(path)]
    return list(dict.fromkeys(found))


def _commands(path: Path) -> list[Command]:
    source = str(path.relative_to(ROOT))
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":  # the docstrings of commands
        nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
        text = "\n".join(ast.get_docstring(node) or "" for node in nodes)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    found = [c for line in lines for c in commands_of(line.strip().lstrip("# "), source)]
    for spoken in _CODE.findall(re.sub(r"(?<=\S)\n(?=\S)", " ", text)):
        if spoken.startswith("ttc "):
            found += [Command(_words(spoken)[1:], source, whole=False)]
    if path.name == "client.yaml":
        found.append(_job(text, source))
    return found


def commands_of(line: str, source: str) -> list[Command]:
    """Return the commands of a line: none, one, or several with pipes between them."""
    if found := _RUN_CLIENT.search(line):
        line = f"ttc {found['arguments']}"
    if not re.match(r"(?:\w+=\S+ )*ttc [a-z-]", line):
        return []
    commands: list[Command] = []
    for words in _piped(_words(line)):
        first = words.index("ttc")
        whole = not {"...", "TOPIC", "COMMAND"} & set(words)
        environment = tuple(tuple(word.split("=", 1)) for word in words[:first])
        commands.append(Command(words[first + 1 :], source, whole, environment))
    return commands


def _words(line: str) -> tuple[str, ...]:
    """Return the words of a command, without its comment and its redirections."""
    words = shlex.split(line, comments=True)
    cut = [i for i, word in enumerate(words) if word in (">", "<")]
    return tuple(w for i, w in enumerate(words) if i not in cut and i - 1 not in cut)


def _piped(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    bounds = [-1, *(i for i, word in enumerate(words) if word == "|"), len(words)]
    parts = [words[start + 1 : end] for start, end in pairwise(bounds)]
    return [part for part in parts if "ttc" in part]


def _job(text: str, source: str) -> Command:
    """Return the command of the Kubernetes job."""
    (arguments,) = re.findall(r"args: \[(.*)\]", text)
    return Command(tuple(part.strip().strip('"') for part in arguments.split(", ")), source)


def snippets(path: Path) -> list[Snippet]:
    """Return a page's Python files; a first line `\"\"\"name.py: ...` names one."""
    fenced = [text for language, text in _FENCED.findall(path.read_text()) if language == "python"]
    return [
        Snippet(named[1] if (named := _SNIPPET.match(text)) else f"snippet_{i}.py", text)
        for i, text in enumerate(fenced)
    ]


def links(path: Path) -> list[str]:
    """Return a page's links and images that lead to files of the checkout."""
    found = _LINK.findall(re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL))
    return [link for link in found if not link.startswith(("http:", "https:", "#"))]


def flags(path: Path) -> set[str]:
    """Return the flags that stand in a page's code spans outside of the commands of others."""
    spans = [s for s in _CODE.findall(path.read_text()) if s.startswith("--")]
    return {flag for span in spans for flag in _FLAG.findall(span) if flag.startswith("--")}


def scripts(path: Path) -> set[Path]:
    """Return the files that a page's commands run, of Python and of the shell."""
    text = path.read_text()
    found = {ROOT / name for name in _LAUNCH.findall(text)}
    for match in _SCRIPT.finditer(text):
        if name := match["file"]:
            found.add(ROOT / name)
        elif match["module"].startswith("scripts."):
            found.add(ROOT / (match["module"].replace(".", "/") + ".py"))
    return found
