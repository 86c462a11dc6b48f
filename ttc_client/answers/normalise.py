r"""Rewrite the many spellings of an answer into one plain LaTeX.

Drops what carries no value (delimiters, spacing, units, degree, percent and currency signs,
thousands separators) and repairs braces (`\frac12`). Knows nothing of structure or of equality.
Its regular expressions are meant for answers of a few hundred characters.
"""

import re

FUNCTIONS = (
    *("arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
    *("sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "ln"),
)

_CHARACTERS = str.maketrans(
    {chr(code): None for code in (*range(9), *range(14, 32), 127, 0x200B, 0xFEFF)}
    | {"−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "÷": r"\div ", "π": r"\pi "}
    | {"∞": r"\infty ", "∪": r"\cup ", "∈": r"\in ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne "}
    | {"±": r"\pm ", "°": r"^\circ ", "∅": r"\emptyset ", "²": "^2", "³": "^3"}
    | {"£": None, "€": None, "\xa0": " "}
)
_FUNCTION = "|".join(FUNCTIONS)
_CIRCLE = r"\s*\^?\s*\{?\s*\\(?:circ|degrees?)(?![a-zA-Z])\s*\}?"
_GROUP = r"\{(?:[^{}]|\{[^{}]*\})*\}"
_ONE_TOKEN = r"(\d|[a-zA-Z]|\\pi(?![a-zA-Z]))"
_TEXT = r"\\text\s*\{\s*([^{}]*?)\s*\}"
_UNIT = (
    "cm|mm|km|kg|mg|m[lL]|mph|ft|lb|hours?|min|minutes?|sec|seconds?|days?|inch(?:es)?|feet|foot"
    "|yards?|miles?|met(?:er|re)s?|degrees?|dollars?|cents?|percent|units?|radians?"
)
_UNIT_END = r"(?:\^\{?\d\}?)?\s*\.?\s*$"
_NOT_A_UNIT = r"(?!\s*(?:if|for|when|where|is|or|and|choose|mod|base)\b)"

_REWRITES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # Spacing, delimiters and fonts.
        (r"(?<=\d)(?:\{,\}\s*|,\s*\\!\s*|\\,\s*)(?=\d{3}(?!\d))", ""),
        (r"(?<!\\)\\!", ""),
        (r"(?<!\\)\\[,;:> ]|\\q?quad(?![a-zA-Z])|~", " "),
        (r"\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])\.?", ""),
        (r"\\(?:displaystyle|textstyle|limits)(?![a-zA-Z])", ""),
        (r"^\s*(?:\\\(|\\\[)|(?:\\\)|\\\])\s*$|\\\$|\$", ""),
        (r"\\(?:math(?:bf|it)|boldsymbol|bm)\s*(\{[^{}]*\})", r"\1"),
        (r"\\(?:text|math)(?:rm|bf|it|sf|tt|normal)|\\[mh]box|\\operatorname\*?", r"\\text"),
        (r"^\s*\\text\s*\{([^{}]*)\}\s*\.?\s*$", r"\1"),
        (r"^\s*\\boxed\s*\{(.*)\}\s*$", r"\1"),
        (r"\s+", " "),
        # Other names of the same thing.
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\(le|ge|ne)q(?:slant)?(?![a-zA-Z])", r"\\\1"),
        (r"\\[lc]dots(?![a-zA-Z])", r"\\dots"),
        (r"\\mathbb\s*([A-Z])", r"\\mathbb{\1}"),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"<=", r"\\le "),
        (r">=", r"\\ge "),
        (r"\\(?:varnothing|O)(?![a-zA-Z])|\\\{\s*\\\}", r"\\emptyset"),
        (r"\\lbrace(?![a-zA-Z])", r"\\{"),
        (r"\\rbrace(?![a-zA-Z])", r"\\}"),
        (r"\*\*", "^"),
        (rf"(?<![\\a-zA-Z])(sqrt|pi|infty|{_FUNCTION})(?![a-zA-Z])", r"\\\1"),
        (r"(?<![\\a-zA-Z])(?:infinity|inf|oo)(?![a-zA-Z])", r"\\infty"),
        (rf"\\text\s*\{{\s*({_FUNCTION})\s*\}}", r"\\\1 "),
        (r"(\\sqrt|\^)\s*\(([^()]*)\)", r"\1{\2}"),
        # Braces that LaTeX lets one leave out.
        (rf"\\(frac|binom)\s*{_ONE_TOKEN}", r"\\\1{\2}"),
        (rf"\\(frac|binom)\s*({_GROUP})\s*{_ONE_TOKEN}", r"\\\1\2{\3}"),
        (rf"\\sqrt\s*{_ONE_TOKEN}", r"\\sqrt{\1}"),
        # Words between answers, and the notes that follow one.
        (r"\\text\s*\{\s*,?\s*(?:or|and)\s*\}|\s(?:or|and)\s|\\(?:lor|vee)(?![a-zA-Z])", ","),
        (r",\s*,", ","),
        (r"(?<=\d)\s*\^?\s*\{?\s*(?:\\text\s*\{)?\s*(?:st|nd|rd|th)\s*\}{0,2}\s*$", ""),
        (r"\\?%", ""),
        (rf"\s*\\text\s*\{{\s*(?:{_UNIT})\s*\}}{_UNIT_END}", ""),
        (rf"(?:(?<=[\d)}}\]])|(?<=\\pi))\s*\\text\s*\{{{_NOT_A_UNIT}[^{{}}]*\}}{_UNIT_END}", ""),
        (rf"(?<=[\d}}])\s*(?:square|cubic|sq\.?)?\s*(?:{_UNIT}){_UNIT_END}", ""),
        (rf"(?<=\d)\s+{_NOT_A_UNIT}[a-zA-Z]{{3,}}[a-zA-Z ]*\.?\s*$", ""),
        # Mixed numbers.
        (r"(?<=\d)\s+(\d+)\s*/\s*(\d+)\s*$", r"\\frac{\1}{\2}"),
    )
]
_TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")
_DEGREES = re.compile(rf"(\d+(?:\.\d+)?){_CIRCLE}")
_CIRCLES = re.compile(_CIRCLE)
_TEXTS = re.compile(_TEXT)
_SPACES = re.compile(r"\s+")
"""Not left long: many rules allow space in several places, and would try all ways to share it."""
_WORD = re.compile(r"[a-zA-Z]{2}")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+)(?![\d,])")
_BRACKETS = re.compile(r"[()\[\]]|\\[{}]")


def normalise(text: str) -> str:
    """Return the answer in plain LaTeX, its value unchanged."""
    text = _SPACES.sub(" ", text.translate(_CHARACTERS))
    if _TRIGONOMETRY.search(text):
        text = _DEGREES.sub(r"{\\frac{\1\\pi}{180}}", text)
    text = _CIRCLES.sub("", text)
    for pattern, replacement in _REWRITES:
        text = pattern.sub(replacement, text)
    text = _TEXTS.sub(lambda match: match[0] if _WORD.search(match[1]) else match[1], text)
    if not _BRACKETS.search(text):
        text = _THOUSANDS.sub(lambda match: re.sub("[, ]", "", match[0]), text)
    return text.strip().lstrip("= ").rstrip(".,;:=\\ \t\r\n")
