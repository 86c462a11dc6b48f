"""Find the program in a reply: in whatever fences, whole, a function alone, or only its body.

Pure: nothing is run here.
"""

import ast
import re
import textwrap
import warnings
from collections.abc import Iterator

MAX_CHARS = 100_000
_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_MOST_BLOCKS = 64
_DOING = (ast.Return, ast.Yield, ast.YieldFrom, ast.Raise, ast.Assign, ast.AugAssign, ast.Call)


def parsed(source: str) -> ast.Module | None:
    """Return the syntax tree of a source, None where it is not Python."""
    if len(source) > MAX_CHARS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings
            return ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def program_in(text: str, entry: str = "", prompt: str = "") -> str:
    """Return the program that a reply holds, "" where it holds none.

    What compiles, and defines the function `entry` where one is asked for, wins: all blocks of code
    together, whose last definition counts, or for a program the last block; then each block, and
    what stands between fences that do not pair up. A function that is alone is put below the
    imports and helpers of the prompt, and a body below the prompt itself. Where nothing compiles it
    is the last block, or a text that has the function's name.
    """
    text = text[-MAX_CHARS:]
    blocks = list(_blocks(text, together=bool(entry)))
    for form in (_whole, _body):
        for block in blocks:
            if program := form(block, entry, prompt):
                return program
    is_code = bool(_FENCE.search(text)) or (entry and re.search(rf"\bdef\s+{entry}\b", text))
    return next((block for block in blocks if block.strip()), "") if is_code else ""


def _blocks(text: str, *, together: bool) -> Iterator[str]:
    fences = list(_FENCE.finditer(text))[-_MOST_BLOCKS:]
    pairs = [
        text[opening.end() + 1 : closing.start()]
        for opening, closing in zip(fences[::2], fences[1::2], strict=False)
    ]
    if together and len(pairs) > 1:
        yield "\n".join(map(textwrap.dedent, pairs))
    yield from reversed(pairs)
    edges = [0, *(edge for fence in fences for edge in (fence.start(), fence.end())), len(text)]
    for start, end in reversed(list(zip(edges[::2], edges[1::2], strict=True))):
        yield text[start:end].strip("\n")
    yield _FENCE.sub("", text)


def _whole(block: str, entry: str, prompt: str) -> str:
    """Return a block that is a program by itself, or needs only what the prompt defines."""
    source = textwrap.dedent(block).strip("\n")
    tree = parsed(source)
    if tree is None or not (defines(tree, entry) if entry else _acts(tree)):
        return ""
    return "\n\n".join(filter(None, (prelude(prompt, entry) if entry else "", source)))


def _body(block: str, entry: str, prompt: str) -> str:
    """Return the prompt, completed by a block that is the body of its function."""
    if not entry or not prompt or not block.strip():
        return ""
    for body in (block, textwrap.indent(textwrap.dedent(block.strip("\n")), "    ")):
        source = f"{prompt.rstrip()}\n{body}\n"
        tree = parsed(source)
        if tree is not None and defines(tree, entry) and _goes_on(source, prompt, entry):
            return source
    return ""


def defines(tree: ast.Module, name: str) -> bool:
    """Whether a program gives a name a value at its top."""
    return any(name in _named(statement) for statement in tree.body)


def _named(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    return {node.id for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}  # fmt: skip


def _acts(tree: ast.Module) -> bool:
    """Whether a program does something; a word of prose compiles, too."""
    return any(isinstance(node, ast.Call | ast.Import | ast.ImportFrom) for node in ast.walk(tree))


def _goes_on(source: str, prompt: str, entry: str) -> bool:
    """Whether what stands below the prompt is part of its function."""
    tree = parsed(source)
    start = len(prompt.rstrip().splitlines())
    functions = [node for node in tree.body if entry in _named(node)] if tree else []
    body = [node for node in functions if (node.end_lineno or 0) > start]
    return any(isinstance(node, _DOING) for each in body for node in ast.walk(each))


def completed(prompt: str) -> ast.Module | None:
    """Return the syntax tree of a prompt that ends in a function without a body."""
    return parsed(prompt) or parsed(f"{prompt.rstrip()}\n    pass\n")


def prelude(prompt: str, entry: str) -> str:
    """Return the imports and helpers of a prompt: all but the function that is asked for."""
    tree = completed(prompt)
    if tree is None:
        return ""
    kept = [statement for statement in tree.body if entry not in _named(statement)]
    return "\n".join(map(ast.unparse, kept))


def last_function(prompt: str) -> str:
    """Return the name of the function that a prompt ends with, "" where it ends with none."""
    return found.name if (found := _last_function(prompt)) else ""


def docstring(prompt: str) -> str:
    """Return that of the function that a prompt ends with."""
    return (ast.get_docstring(found) or "") if (found := _last_function(prompt)) else ""


def _last_function(prompt: str) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    tree = completed(prompt)
    last = tree.body[-1] if tree and tree.body else None
    return last if isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef) else None
