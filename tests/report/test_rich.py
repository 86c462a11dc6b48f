"""Formulas: found in texts, converted where that is safe, and left as they are where it is not."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_client.report import rich
from ttc_client.report.letters import styled
from ttc_client.report.mathml import load_converter, to_mathml
from ttc_client.report.rich import Typesetter

CONVERT = load_converter()
TAGS = {
    *("mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "mstyle", "mpadded"),
    *("msub", "msup", "msubsup", "munder", "mover", "munderover", "mtable", "mtr", "mtd"),
    "mphantom",
}
ATTRIBUTES = {
    *("stretchy", "fence", "accent", "accentunder", "movablelimits", "largeop", "displaystyle"),
    *("separator", "form", "scriptlevel", "width", "height", "depth", "lspace", "rspace"),
    *("voffset", "minsize", "maxsize", "linethickness", "class", "mathvariant"),
}


def formulas(text: str) -> list[str]:
    """The LaTeX of the formulas that are found in a text."""
    typeset = Typesetter()
    parts = typeset.text(text)
    return [typeset.formulas[p].tex for p in parts if isinstance(p, int)]


def flat(node) -> str:
    """A node as one line, such as mfrac(1 2)."""
    tag, *rest = node
    children = [child for child in rest if not isinstance(child, dict)]
    if tag in ("mi", "mn", "mo", "mtext", "mspace"):
        return "".join(children)
    return f"{tag}({' '.join(map(flat, children))})"


def shown(tex: str) -> str:
    rows = to_mathml(tex, CONVERT)
    return " | ".join(map(flat, rows)) if rows else "source"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Compute $2 + 3$.", ["2 + 3"]),
        ("So $$x^2$$ and \\[y\\] and \\(z\\)", ["x^2", "y", "z"]),
        ("The answer is \\boxed{\\frac{1}{2}}.", ["\\boxed{\\frac{1}{2}}"]),
        ("$\\boxed{3}$", ["\\boxed{3}"]),
        (
            "a\n\\begin{align*}x&=1\\\\y&=2\\end{align*}\nb",
            ["\\begin{align*}x&=1\\\\y&=2\\end{align*}"],
        ),
        ("It costs $5 and $10.", []),
        ("$ 5 $", []),
        ("It costs \\$5, and $x$ more", ["x"]),
        ("half open $x + 1", []),
        ("\\[ never closed", []),
        ("\\boxed{never closed", []),
        ("two lines: $x\n\ny$", []),
        ('[asy]label("$O$",(0,0));[/asy] $x$', ["x"]),
        ("$\\undefinedcommand$ and $y$", ["y"]),
        ("no formula", []),
    ],
)
def test_formulas_are_found_between_their_delimiters(text, found):
    assert formulas(text) == found


def test_a_text_keeps_all_that_is_no_formula_in_order():
    typeset = Typesetter()
    assert typeset.text("If $x$ costs \\$5, then $y$; and $x$.") == [
        *("If ", 0, " costs $5, then ", 1, "; and ", 0, "."),
    ]
    assert [f.tex for f in typeset.formulas] == ["x", "y"]
    assert typeset.text("$\\undefinedcommand$ costs \\$5") == "$\\undefinedcommand$ costs \\$5"


def test_only_formulas_on_lines_of_their_own_are_displayed():
    typeset = Typesetter()
    typeset.text("$a$ \\(b\\) \\boxed{c} $$d$$ \\[e\\]")
    assert [f.display for f in typeset.formulas] == [False, False, False, True, True]


@pytest.mark.parametrize("answer", ["\\frac{1}{2}", "x^2", "2516_8", "$3$", "\\text{(A)}"])
def test_an_answer_is_a_formula_without_delimiters_too(answer):
    assert Typesetter().answer(answer) == [0]


@pytest.mark.parametrize("answer", ["42", "(3, 4)", "east", "", "\\undefinedcommand"])
def test_a_plain_answer_stays_text(answer):
    assert Typesetter().answer(answer) == answer


@pytest.mark.parametrize(
    ("tex", "expected"),
    [
        ("\\frac{1}{2}", "mrow(mfrac(mrow(mn(1)) mrow(mn(2))))"),
        ("\\sqrt[3]{x}", "mroot"),
        ("a_1^2", "msubsup"),
        ("\\mathbb{R}", "ℝ"),
        ("\\begin{pmatrix}1\\\\2\\end{pmatrix}^{-1}", "msup(mrow("),
        ("\\begin{cases}1\\\\2\\end{cases}", "mtable"),
    ],
)
def test_mathematics_becomes_what_browsers_draw(tex, expected):
    expected = re.sub(r"m[nio]\((.)\)", r"\1", expected)
    assert expected in shown(tex)


def test_boxes_and_columns_are_classes():
    assert '"class": "boxed"' in repr(to_mathml("\\boxed{3}", CONVERT)).replace("'", '"')
    assert "to-left" in repr(to_mathml("\\begin{cases}1\\\\2\\end{cases}", CONVERT))


def test_signs_stand_close_to_their_numbers_and_lines_break_at_relations():
    (row,) = to_mathml("x=-(-3)", CONVERT) or [[]]
    signs = [child for child in row[1:] if child[0] == "mo" and child[-1] in "-−"]
    assert signs == [["mo", {"form": "prefix"}, signs[0][-1]]] * 2
    assert shown("abcdefgh=ijklmn=op(q=r)").count(" | ") == 2


@pytest.mark.parametrize(
    "tex",
    [
        "\\newcommand{\\a}{\\a\\a}\\a",
        "\\def\\a{\\a\\a}\\a",
        "{" * 50 + "x" + "}" * 50,
        "x" * 2_001,
        "\\unknown",
        "\\frac{1}",
        "{",
        "",
        "\\ ",
    ],
)
def test_what_is_unsafe_or_unknown_stays_source(tex):
    assert to_mathml(tex, CONVERT) is None


@pytest.mark.parametrize(
    "tex",
    [
        "\\text{<script>alert(1)</script>}",
        "\\href{javascript:alert(1)}{x}",
        "\\class{evil}{x}",
        "\\style{position:fixed}{x}",
        "\\color{red;background:url(http://x)}{x}",
        "\\unicode{x3c}script",
        "\\text{&#x3c;img src=x&#x3e;}",
        "\\hspace{9999em}x",
        "\\rule{9999em}{9999em}",
        "\\bbox[url(http://x)]{x}",
    ],
)
def test_only_known_tags_and_attributes_come_out_and_markup_is_text(tex):
    check(to_mathml(tex, CONVERT) or [])


TOKENS = [
    *(
        "\\frac",
        "\\sqrt",
        "\\text",
        "\\left(",
        "\\right)",
        "\\begin{array}",
        "\\end{array}",
        "{cc}",
    ),
    *(
        "\\boxed",
        "\\href",
        "\\class",
        "\\style",
        "\\color",
        "\\hspace",
        "\\\\",
        "\\unicode",
        "\\not",
    ),
    *("{", "}", "[", "]", "^", "_", "&", "$", "#", "%", "x", "1", "<", ">", '"', "'", " ", "99em"),
]


@settings(max_examples=300, deadline=2_000)
@given(st.lists(st.sampled_from(TOKENS), max_size=40).map("".join) | st.text(max_size=60))
def test_whatever_is_written_is_safe_or_stays_source(text):
    check(to_mathml(text, CONVERT) or [])
    parts = Typesetter().text(f"before ${text}$ after")
    assert isinstance(parts, str) or all(isinstance(part, str | int) for part in parts)


@pytest.mark.parametrize(
    "opening", ["$", "$$", "\\[", "\\(", "\\boxed{", "\\begin{align}", "$x", "{"]
)
def test_a_long_text_of_openings_takes_no_long_time(opening):
    Typesetter().text(opening * (20_000 // len(opening)))


def test_without_the_library_everything_stays_source(monkeypatch):
    monkeypatch.setattr(rich, "load_converter", lambda: None)
    typeset = Typesetter()
    assert not typeset.can_convert
    assert typeset.text("Compute $2$.") == "Compute $2$."
    assert typeset.answer("\\frac{1}{2}") == "\\frac{1}{2}"


def test_letters_have_the_styles_that_unicode_has():
    assert styled("RZ1", "double-struck") == "ℝℤ𝟙"
    assert styled("Ag", "script") == "𝒜ℊ"
    assert styled("x+1", "bold") == "𝐱+𝟏"
    assert styled("x", "italic") == "x"


def check(rows) -> None:
    """Assert that rows are lists of known tags, of known attributes with harmless values."""
    for tag, *rest in rows:
        assert tag in TAGS
        for child in rest:
            if isinstance(child, dict):
                assert child.keys() <= ATTRIBUTES
                assert all(re.fullmatch(r"[-+a-z0-9.]{1,12}", value) for value in child.values())
            elif not isinstance(child, str):
                check([child])


def test_limits_stand_above_and_below_on_a_line_of_their_own():
    assert "munderover" in repr(to_mathml("\\sum_{i=1}^n i", CONVERT, display=True))
    assert "msubsup" in repr(to_mathml("\\sum_{i=1}^n i", CONVERT))
