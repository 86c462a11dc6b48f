r"""Read matrices, and sums of them with scalars in front, as rows of cells in plain LaTeX.

`\frac12\begin{pmatrix}1\\0\end{pmatrix}` is read as the cells `(\frac12)(1)` and `(\frac12)(0)`.
Knows nothing of products of matrices, nor of what a cell means.
"""

import re

from ttc_client.answers.structure import enclosed, split

Rows = list[list[str]]

_MATRIX = re.compile(
    r"\\begin\{(?P<kind>[pbB]?(?:small)?matrix|array)\}(?:\{[clr| ]*\})?(?P<cells>.*?)"
    r"\\end\{(?P=kind)\}",
    re.DOTALL,
)
_FACTOR_BEHIND = re.compile(
    r"(?P<matrix>\\begin\{(?:[^\\]|\\(?!end))*\\end\{\w+\}) *(?P<sign>/|\\cdot|\\times|\*) *"
    r"(?P<value>[^\\&]+|\\frac\{[^{}]*\}\{[^{}]*\})",
    re.DOTALL,
)
_JOINT = re.compile(r"(?:\\cdot|\\times|\*)? *$")


def matrix_rows(text: str) -> Rows | None:
    """Return the cells of a matrix or a linear combination of matrices, or None for others."""
    if r"\begin" not in text:
        return None
    terms = _terms(text)
    rows = [_scaled(term) for term in terms]
    found = [matrix for matrix in rows if matrix]
    if not found or len(found) < len(rows) or len({_shape(matrix) for matrix in found}) > 1:
        return None
    if len(found) == 1:
        return found[0]
    return [
        ["+".join(f"({cell})" for cell in cells) for cells in zip(*rows_, strict=True)]
        for rows_ in zip(*found, strict=True)
    ]


def _terms(text: str) -> list[str]:
    """Cut a sum at its outermost signs; a minus stays with its term."""
    parts, signs = split(text, {"+", "-"})
    if not parts[0]:
        parts = parts[1:]
    else:
        signs = ["+", *signs]
    return [f"{'-' * (sign == '-')}{part}" for sign, part in zip(signs, parts, strict=True)]


def _scaled(term: str) -> Rows | None:
    """Return the cells of one matrix, each times the scalar in front of it."""
    sign, term = ("-", term[1:].strip()) if term.startswith("-") else ("", term)
    start = term.find(r"\begin")
    scalar, matrix = term[:start], term[start:]
    if not scalar and (factor := _FACTOR_BEHIND.fullmatch(matrix)):
        matrix = factor["matrix"]
        scalar = rf"\frac{{1}}{{{factor['value']}}}" if factor["sign"] == "/" else factor["value"]
    if scalar.rstrip().endswith(("(", "[")) and matrix.rstrip().endswith((")", "]")):
        scalar, matrix = scalar.rstrip()[:-1], matrix.rstrip()[:-1].rstrip()
    if not (match := _MATRIX.fullmatch(matrix)):
        bracketed = enclosed(matrix)
        match = bracketed and _MATRIX.fullmatch(bracketed[1])
    if not match:
        return None
    rows = [split(row, {"&"})[0] for row in split(match["cells"], {r"\\"})[0] if row]
    scalar = sign + _JOINT.sub("", scalar.strip())
    if not scalar:
        return rows
    scalar = "-1" if scalar == "-" else scalar
    return [[f"({scalar})({cell})" for cell in row] for row in rows]


def _shape(rows: Rows) -> tuple[int, ...]:
    return tuple(map(len, rows))
