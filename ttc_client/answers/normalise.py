r"""Rewrite the many spellings of an answer into one plain LaTeX.

Drops what carries no value (delimiters, spacing, fonts, degree, percent and currency signs,
thousands separators) and repairs braces (`\frac12`). Knows nothing of structure, of units or of
equality. Its regular expressions are meant for answers of a few hundred characters.
"""

import re

from ttc_client.answers.unicode_math import to_latex
from ttc_client.answers.units import is_lone_unit

FUNCTIONS = (
    *("arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
    *("sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "ln"),
)

_CONTROLS = str.maketrans(
    {chr(code): None for code in (*range(9), *range(14, 32), 127)} | {"\xa0": " "}
)
_NAMES = "|".join(
    (
        *("sqrt", "pi", "infty", "alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda"),
        *("sigma", "omega", "rho", "tau", "phi", "mu", *FUNCTIONS),
    )
)
_FUNCTION = "|".join(FUNCTIONS)
_DROPPED = "|".join(
    (
        *("displaystyle", "textstyle", "scriptstyle", "limits", "nolimits", "tiny", "small"),
        *("normalsize", "large", "Large", "LARGE", "huge", "Huge", "bf", "it", "sf", "tt", "rm"),
        *("strut", "mathstrut", "nonumber", "notag", "hfill", "noindent", "hline", "ensuremath"),
        *(
            "checkmark",
            "underline",
            "uline",
            "mathbf",
            "mathit",
            "boldsymbol",
            "bm",
            "mathopen",
            "mathclose",
        ),
    )
)
_END = r"(?![a-zA-Z])"
"""Behind the name of a command."""
_CIRCLE = rf"\s*\^?\s*\{{?\s*\\(?:circ|degrees?){_END}\s*\}}?"
_GROUP = r"\{(?:[^{}]|\{[^{}]*\})*\}"
_INSIDE = r"((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*?)"
_ONE_TOKEN = rf"(\d|[a-zA-Z]|\\pi{_END})"
_MOD = rf"(?:\\[bp]?mod{_END}|\\text ?\{{ ?mod(?:ulo)? ?\}}|(?<![\\a-zA-Z])mod(?:ulo)?{_END})"
_OR, _AND = (
    rf"(?:,\s*)?(?:\\text\s*\{{\s*,?\s*{word}\s*,?\s*\}}|(?<=[\s}})\]]){word}(?=[\s\\(\[]))"
    for word in ("or", "and")
)
_RECURRING = r"(\d*\.\d*?)(?:(\d)\2\2+|(\d\d+?)\3+) ?(?:\.\.\.|\\[lc]?dots)$"
_SCIENTIFIC = [
    (e, rf"(?<![\w.}}])({mantissa}){e}({exponent})(?!\w|\.\d)", r"\1\\times 10^{\2}")
    for e in "eE"
    for mantissa, exponent in (
        (r"\d+\.\d*|\.\d+|1", r"[+-]?\d{1,3}"),
        (r"\d+", r"\d{1,3}|[+-]0\d"),  # `2e-3` may be two times Euler's number less three
    )
]


def _closed_up(bold: re.Match[str]) -> str:
    """Return a bold number whose digits were read off paper apart."""
    return bold[1].replace(" ", "")


_REWRITES = [
    (trigger, re.compile(pattern), replacement)
    for trigger, pattern, replacement in (
        # Spacing, delimiters and fonts.
        (",", r"(?<=\d)(?:\{,\}\s*|,\s*\\!\s*|\\,\s*)(?=\d{3}(?!\d))", ""),
        ("\\", rf"\\\\\s*\[-?[\d.]+\s*[a-z]{{2}}\]|\\cr{_END}", r"\\\\"),
        ("\\", r"(?<!\\)\\!", ""),
        ("\\mathbb", r"(?<=\\mathbb\{R\}) ?\\ (?=\\?\{)", r"\\setminus"),
        ("\\", rf"(?<!\\)\\[,;:> ]|\\q?quad(?:{_END}|(?=[a-z]_))", " "),
        ("~", "~", " "),
        ("\\", rf"\\(?:left|right|middle|[bB]igg?[lrm]?){_END}\.?", ""),
        ("\\mathbf", r"\\mathbf ?\{ ?(-? ?\d(?: \d)+) ?\}", _closed_up),
        ("\\rm", r"\{\s*\\rm\s*([^{}]*)\}", r"\\text{\1}"),
        ("\\", rf"\\(?:{_DROPPED}){_END}", ""),
        ("\\", rf"\\(?:tag|label|[hv]?(?:space|phantom)|(?:text)?color(?:box)?)\*?\s*{_GROUP}", ""),
        ("\\", r"(?<!\\)\\[()\[\]]", ""),
        ("$", r"(?:US|CA|HK)?\\?\$", ""),
        ("Rs", r"(?<![a-zA-Z])Rs\.? ?(?=\d)", ""),
        (
            "\\",
            r"\\(?:text|math)(?:rm|bf|it|sf|tt|normal|up)|\\[mh]box|\\operatorname\*?",
            r"\\text",
        ),
        ("\\text", r"^\s*\\text\s*\{([^{}]*)\}\s*\.?\s*$", r"\1"),
        ("box", r"^\s*\\f?box(?:ed)?\s*\{(.*)\}\s*$", r"\1"),
        ("**", r"^ ?\*\*([^*]+)\*\* ?$", r"\1"),
        *((dots, _RECURRING, r"\1\\overline{\2\3}") for dots in ("...", "dots")),
        ("  ", r"\s+", " "),
        # Other names of the same thing.
        ("frac", rf"\\(?:[dtcsx]|nice|flat)frac{_END}", r"\\frac"),
        ("binom", rf"\\[dt]binom{_END}", r"\\binom"),
        ("\\over", rf"\{{{_INSIDE}\\over{_END}{_INSIDE}\}}", r"\\frac{\1}{\2}"),
        ("\\over", rf"^{_INSIDE}\\over{_END}{_INSIDE}$", r"\\frac{\1}{\2}"),
        ("\\choose", rf"\{{{_INSIDE}\\choose{_END}{_INSIDE}\}}", r"\\binom{\1}{\2}"),
        ("choose", r"^([^{}a-z\\]*) ?\\?choose(?![a-zA-Z])([^{}a-z\\]*)$", r"\\binom{\1}{\2}"),
        ("\\not", r"\\not\s*=", r"\\ne "),
        ("!=", r" != ?", r"\\ne "),
        ("\\", rf"\\(le|ge|ne)q(?:slant|q)?{_END}", r"\\\1"),
        ("dots", rf"\\[lc]dots{_END}", r"\\dots"),
        ("\\mathbb", r"\\mathbb\s*([A-Z])", r"\\mathbb{\1}"),
        ("\\", rf"\\(?:R|[rR]eals){_END}", r"\\mathbb{R}"),
        ("\\lt", rf"\\lt{_END}", "<"),
        ("\\gt", rf"\\gt{_END}", ">"),
        ("\\vert", rf"\\vert{_END}", "|"),
        ("\\var", rf"\\var(phi|epsilon|theta|rho|sigma){_END}", r"\\\1"),
        ("\\vee", rf"\\vee{_END}", r"\\lor"),
        ("\\wedge", rf"\\wedge{_END}", r"\\land"),
        ("\\", rf"\\(?:Longrightarrow|implies|therefore){_END}", r"\\Rightarrow"),
        ("\\", rf"\\(?:backslash|smallsetminus){_END}", r"\\setminus"),
        ("\\mathbb", r"(?<=\\mathbb\{R\}) ?-(?= ?\\\{)", r"\\setminus"),
        ("\\prime", r"\^\s*\{?\s*\\prime\s*\}?", "'"),
        ("_", r"_ ?\{ ?(\\?\w+) ?\}", r"_{\1}"),
        ("_", r"_ ?\{? ?\\text ?\{ ?(\w{1,8}) ?\} ?\}?", r"_{\1}"),
        ("_", r"([a-zA-Z]) ?\^ ?(\w|\{[^{}]*\}) ?_ ?(\w|\{\w+\})", r"\1_\3^\2"),
        ("<=", r"<=", r"\\le "),
        (">=", r">=", r"\\ge "),
        ("\\", rf"\\(?:varnothing|O){_END}|\\\{{\s*\\\}}", r"\\emptyset"),
        ("\\lbrace", rf"\\lbrace{_END}", r"\\{"),
        ("\\rbrace", rf"\\rbrace{_END}", r"\\}"),
        ("**", r"\*\*", "^"),
        ("mod", r"\\text\s*\{\s*\(? ?mod(?:ulo)? ([^(){} ][^(){}]*?)\s*\)?\s*\}", r" \\mod{\1}"),
        ("mod", rf"\( ?{_MOD} ?\{{? ?([^(){{}}]+?) ?\}}? ?\)", r" \\mod{\1}"),
        ("mod", rf"{_MOD} ?(?:\{{ ?([^{{}}]*?) ?\}}|(\d+|[a-zA-Z]))", r" \\mod{\1\2}"),
        ("\\text", rf"\\text\s*\{{\s*({_FUNCTION})\s*\}}(?<!sec\}})", r"\\\1 "),
        (
            "",
            rf"(?<![\\a-zA-Z])({_NAMES}){_END}(?<!text\{{sec)(?<!text\{{ sec)(?!(?<=\d sec) ?\.?$)",
            r"\\\1",
        ),
        ("", rf"(?<![\\a-zA-Z])(?:infinity|inf|oo){_END}", r"\\infty"),
        ("(", r"(\\sqrt|\^)\s*\(([^()]*)\)", r"\1{\2}"),
        ("^", r"\^\s*([+-]\d+)", r"^{\1}"),
        ("10", r"(?<=\d)\s*[xX]\s*(?=10\s*\^)", r"\\times "),
        *_SCIENTIFIC,
        # Braces that LaTeX lets one leave out.
        ("\\", rf"\\(frac|binom)\s*{_ONE_TOKEN}", r"\\\1{\2}"),
        ("\\", rf"\\(frac|binom)\s*({_GROUP})\s*{_ONE_TOKEN}", r"\\\1\2{\3}"),
        ("\\sqrt", rf"\\sqrt\s*(\[[^\[\]]*\])?\s*{_ONE_TOKEN}", r"\\sqrt\1{\2}"),
        # Words between answers.
        ("or", _OR, r" \\lor "),
        ("and", _AND, r" \\land "),
        (",", r",\s*,", ","),
        ("%", r"\\?%", ""),
    )
]
"""A text that the rule needs, which is looked for first; a pattern; what it becomes."""

_BETWEEN_SIGNS = re.compile(
    r"(?<=[$%])\s*,\s*|(?<=\\circ)\s*,\s*|(?<=\\circ\})\s*,\s*|(?<=\\\))\s*,\s*|,\s*(?=\\?\$|\\\()"
)
"""A comma beside a sign that is to be dropped divides members, not thousands."""
_ESCAPED_TWICE = re.compile(
    r"\\\\(?:d?frac|left|right|sqrt|pi|text|begin|cdot|times|infty|pm|in|cup|le|ge)(?![a-zA-Z])"
)
_ESCAPED_ONCE = re.compile(r"(?<!\\)(?:\\\\)*\\(?!\\)")
_TRIGONOMETRY = re.compile(rf"\\(?:sin|cos|tan|cot|sec|csc){_END}")
_DEGREES = re.compile(rf"(\d+(?:\.\d+)?){_CIRCLE}")
_CIRCLES = re.compile(rf"{_CIRCLE}(?:\s*(?:[CF]{_END}|\\(?:text|mathrm)\s*\{{\s*[CF]\s*\}}))?")
_LONE_TEXT = re.compile(r"(?P<number>(?<=[\d)}\]])\s?)?\\text\s*\{\s*(?P<letter>[^{}]?)\s*\}")
_SPACES = re.compile(r"\s+")
"""Not left long: many rules allow space in several places, and would try all ways to share it."""
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:(?:,\d{3})+|(?: \d{3})+)(?![\d,])")
_BRACKETS = re.compile(r"[()\[\]]|\\[{}]")
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)


def normalise(text: str) -> str:
    """Return the answer in plain LaTeX, its value unchanged."""
    if _PLAIN.fullmatch(text):
        return text
    text = text.translate(_CONTROLS)
    if not text.isascii():
        text = to_latex(text)
    text = _SPACES.sub(" ", text)
    if "," in text:
        text = _BETWEEN_SIGNS.sub(", ", text)
    if "\\" in text:
        if _ESCAPED_TWICE.search(text) and not _ESCAPED_ONCE.search(text):  # JSON within JSON
            text = text.replace(r"\\", "\\")
        if _TRIGONOMETRY.search(text):
            text = _DEGREES.sub(r"{\\frac{\1\\pi}{180}}", text)
        text = _CIRCLES.sub("", text)
    for trigger, pattern, replacement in _REWRITES:
        if trigger in text:
            text = pattern.sub(replacement, text)
    if r"\text" in text:
        text = _LONE_TEXT.sub(_lone_letter, text)
    if not _BRACKETS.search(text):
        text = _THOUSANDS.sub(lambda match: re.sub("[, ]", "", match[0]), text)
    return text.strip().lstrip("= ").rstrip(".,;:=\\ \t\r\n")


def _lone_letter(match: re.Match[str]) -> str:
    """Keep one upright letter where it is a unit behind a number or in a fraction."""
    is_behind_number = match["number"] is not None
    is_in_fraction = match.string[: match.start()].endswith((r"\frac{", "}{"))
    if (is_behind_number or is_in_fraction) and is_lone_unit(match["letter"]):
        return match[0]
    is_behind_letter = match.string[: match.start()][-1:].isalpha()
    return (match["number"] or " " * is_behind_letter) + match["letter"]
