r"""Write Unicode mathematics as plain LaTeX: `2√3`, `½`, `x⁴`, `10⁻³`, `π`, full-width digits.

Letters and digits of other shapes take their plain form (NFKC). Knows characters only, no
structure: a superscript is a power, also where its author meant a footnote.
"""

import re
import unicodedata

_GREEK = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ",
        (
            *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota"),
            *("kappa", "lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi"),
            *("chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma"),
            *("Phi", "Psi", "Omega"),
        ),
        strict=True,
    )
)
_COMMANDS = {
    character: command
    for characters, command in (
        *(("×✕✖", "times"), ("·⋅∙•∗", "cdot"), ("÷", "div"), ("±", "pm"), ("∓", "mp")),
        *(("√", "sqrt"), ("∞", "infty"), ("∪", "cup"), ("∩", "cap"), ("∖", "setminus")),
        *(("∅", "emptyset"), ("∈", "in"), ("∣", "mid"), ("∧⋀", "land"), ("∨⋁", "lor")),
        *(("≤⩽≦", "le"), ("≥⩾≧", "ge"), ("≠", "ne"), ("≈≃≅", "approx"), ("≡", "equiv")),
        *(("⌊", "lfloor"), ("⌋", "rfloor"), ("⌈", "lceil"), ("⌉", "rceil")),
        *(("⟨", "langle"), ("⟩", "rangle"), ("∠", "angle"), ("△", "triangle"), ("∆", "Delta")),
        *(("⇒⟹", "Rightarrow"), ("→", "to"), ("∑", "sum"), ("∏", "prod"), ("∫", "int")),
    )
    for character in characters
}
_BEFORE_NFKC = str.maketrans(
    {letter: rf"\mathbb{{{plain}}}" for letter, plain in zip("ℝℂℤℕℚ", "RCZNQ", strict=True)}
    | {"º": "°", "˚": "°", "⁄": "/", "∛": r"\sqrt[3]√", "∜": r"\sqrt[4]√"}
)
_AFTER_NFKC = str.maketrans(
    {letter: rf"\{name} " for letter, name in (_GREEK | _COMMANDS).items()}
    | {
        "°": r"^\circ ",
        "∶": ":",
        "′": "'",
        "’": "'",
        "‘": "'",
        "，": ",",
        "、": ",",
        "\u00ad": None,
    }
    | dict.fromkeys("−–—‐‒―", "-")
    | dict.fromkeys("£€¥₹₩\u200b\u200c\u200d\u2060\ufeff")
    | dict.fromkeys("“”„", '"')
)
_FRACTION = re.compile("[¼-¾⅐-⅞↉]")
_SUPERSCRIPTS = re.compile("[⁰¹²³⁴-⁾ⁿⁱ]+")
_SUBSCRIPTS = re.compile("[₀-₎ₐ-ₜ]+")
_OVERLINED = re.compile("(?:\\d[\u0304\u0305])+")
_ROOT = re.compile(r"(\\sqrt\[\d\])?√\s*(\d+(?:\.\d+)?)?")


def to_latex(text: str) -> str:
    """Return the text in ASCII as far as it is mathematics; other letters stay."""
    text = _FRACTION.sub(_fraction, text.translate(_BEFORE_NFKC))
    text = _SUPERSCRIPTS.sub(lambda run: f"^{{{unicodedata.normalize('NFKC', run[0])}}}", text)
    text = _SUBSCRIPTS.sub(lambda run: f"_{{{unicodedata.normalize('NFKC', run[0])}}}", text)
    text = _OVERLINED.sub(lambda run: rf"\overline{{{run[0][::2]}}}", text)
    text = _ROOT.sub(_root, unicodedata.normalize("NFKC", text))
    return text.translate(_AFTER_NFKC)


def _fraction(character: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", character[0]).partition("⁄")
    return rf"\frac{{{top}}}{{{bottom}}}"


def _root(root: re.Match[str]) -> str:
    """Write `√12` as the root of twelve: LaTeX's own `\\sqrt12` is that of one, times two."""
    sign = root[1] or r"\sqrt"
    return f"{sign}{{{root[2]}}}" if root[2] else f"{sign} "
