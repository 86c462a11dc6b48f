r"""Separate a quantity from what follows it: units, counted things, scale words, ordinals.

Units and things are dropped (`5.4\text{ cents}`, `9.8 m/s^2`, `18 dogs`), scale words multiply
(`10 million`). Letters that may be variables, products and operations are neither (`3\text{n}`,
`3 xyz`, `9 squared`): a word of no table counts as a thing only where it looks like a word.
"""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SYMBOL = re.compile(
    r"(?:[kmcdnpMGTh]|\\?mu ?)?(?:m|g|s|L|l|N|J|W|V|K|C|F|A|T|Hz|Pa|mol|eV|cal|Wh|bar|rad|Wb|Bq|H)"
    r"|min|hr?s?|mins?|secs?|in|ft|yds?|mi|lbs?|oz|mph|rpm|kph|atm|amu|deg|sr|cd|cc|sq|cu|[ap]m"
    r"|yrs?|USD|EUR|GBP|INR"
)
_LONE_LETTERS = frozenset("mgshLNJWVKCF")
"""A single upright letter that is a unit behind a number; the others may be variables."""
_BARE = _words(
    """cm mm km nm kg mg ml mL dL mph ft lb lbs oz yd yds mi hr hrs min mins sec secs rpm kph kHz
    MHz GHz Hz kJ kW MW kWh eV keV MeV GeV kcal kPa MPa Pa mol atm sq cu am pm USD EUR GBP INR"""
)
"""Symbols that need no upright font: they are long or no usual product of variables."""
_BARE_QUOTIENTS = _words(
    "m/s m/s^2 m/s^{2} m/s^{-1} m/h g/L N/m N/C J/K J/s V/m W/m^2 L/s C/s ms^{-1} ms^{-2}"
)
_UNITS = _words(
    """hour minute second day week month year inch foot yard mile meter metre centimeter
    centimetre millimeter millimetre kilometer kilometre gram kilogram ton tonne pound ounce liter
    litre milliliter millilitre gallon degree radian dollar cent euro rupee percent unit point mole
    feet inches ergs erg angstrom volt ampere watt joule newton pascal kelvin celsius fahrenheit
    square cubic per men man boy dog cat pig hen cow egg pen box bag bus car cup pie key kid son
    toy way row cost"""
)
_SCALES = {
    "hundred": "10^{2}",
    "thousand": "10^{3}",
    "lakh": "10^{5}",
    "million": "10^{6}",
    "crore": "10^{7}",
    "billion": "10^{9}",
    "trillion": "10^{12}",
    "dozen": "12",
}
_NO_THINGS = _words(
    """choose mod modulo base binary octal hexadecimal plus minus negative below under over root
    squared cubed factorial half halves third fourth quarter fifth sixth seventh eighth ninth tenth
    eleventh twelfth twentieth hundredth
    thousandth and or not least most than sin cos tan log exp pi sqrt infinity through"""
)
_NOT_FIRST = frozenset({"if", "for", "when", "where", "is", "to", "in", "at"})

_TEXT = r"\\text\s*\{(?:[^{}]|\{[^{}]*\})*\}"
_UNIT = rf"(?:{_TEXT}|(?<![\\a-zA-Z])[a-zA-Z]+)(?: ?\^ ?(?:\{{-?\d\}}|-?\d))?"
_LONGEST_UNIT, _SHORTEST_UNIT = (
    re.compile(
        rf"(?P<head>{head}(?:[\d)}}\]]|\d\.|\\pi))(?P<space> ?)"
        rf"(?P<unit>/? ?{_UNIT}(?: ?(?:/|\\cdot|\*)? ?{_UNIT}){{0,6}}) ?\.?",
        re.DOTALL,
    )
    for head in (".*?", ".*")
)
_MAX_UNITS = 4
_SIDE = rf"\{{ ?((?:{_TEXT}|[a-zA-Z ])+(?:\^ ?\{{?\d\}}?)?) ?\}}"
_FRACTION_OF_UNITS = re.compile(rf"(?<=[\d}} ])\\frac ?{_SIDE} ?{_SIDE}(?= ?\.?$)")
_ORDINAL = re.compile(r"(?<=\d) ?\^? ?\{?(?: ?\\text ?\{)? ?(?:st|nd|rd|th) ?\}{0,2} ?\.?$")
_MIXED = re.compile(r"(?<=\d) (\d+) ?/ ?(\d+)$")
_ATOM = re.compile(r"(\\?[a-zA-Zµ]+)(?: ?\^ ?\{?-?\d\}?)?")
_JOINT = re.compile(r"[ /*.()]|\\cdot ?")
_POWER = re.compile(r" ?\^ ?")
_WORD = re.compile(r"[a-zA-Z]+")
_LONE_TEXT = re.compile(r"\\text\s*\{\s*((?:[^{}]|\{[^{}]*\})*?)\s*\}")
_PLAIN = re.compile(r"[-+]?[\d.]*")


def quantity(text: str) -> str:
    """Return the value of a quantity in plain LaTeX, its unit left out and its scale multiplied."""
    if _PLAIN.fullmatch(text):
        return text
    if r"\text" in text:
        text = _FRACTION_OF_UNITS.sub(r"\1/\2", text)
    text = _MIXED.sub(r"\\frac{\1}{\2}", _ORDINAL.sub("", text))
    for _ in range(_MAX_UNITS):
        for pattern in (_LONGEST_UNIT, _SHORTEST_UNIT):
            match = pattern.fullmatch(text)
            factor = match and _factor(match["unit"], is_apart=bool(match["space"]))
            if match and factor is not None:
                text = match["head"] + factor
                break
        else:
            break
    return unwrapped(text)


def unwrapped(text: str) -> str:
    r"""Return the text with `\text` left out around single letters and signs."""
    if r"\text" not in text:
        return text
    return _LONE_TEXT.sub(lambda match: match[0] if len(match[1]) > 1 else match[1], text)


def is_lone_unit(letter: str) -> bool:
    """Whether one upright letter behind a number is a unit."""
    return letter in _LONE_LETTERS


def _factor(unit: str, is_apart: bool) -> str | None:
    """Return what the unit multiplies its number by, as LaTeX, or None where it is not a unit."""
    if unit.startswith("/") or r"\cdot" in unit or "/" in unit or "*" in unit or "^" in unit:
        return "" if _is_compound(unit, is_apart) else None
    is_upright = r"\text" in unit
    words = _LONE_TEXT.sub(r" \1 ", unit).replace("(", " ").replace(")", " ").split()
    factor = ""
    while words and (scale := _SCALES.get(words[0].lower().rstrip("s."))):
        factor += rf"\times {scale}"
        words = words[1:]
    if words[:1] == ["of"] and factor:
        words = words[1:]
    return factor if not words or _are_things(words, is_upright, is_apart) else None


def _is_compound(unit: str, is_apart: bool) -> bool:
    """Whether the text is a product, quotient or power of units: `kg\\cdot m^2`, `m/s`."""
    is_upright = r"\text" in unit
    plain = _POWER.sub("^", _LONE_TEXT.sub(r" \1 ", unit)).strip().lstrip("/").strip()
    if not is_upright and "".join(plain.split()) in _BARE_QUOTIENTS:
        return is_apart
    atoms = [atom for atom in _JOINT.split(plain) if atom]
    names = [match[1] if (match := _ATOM.fullmatch(atom)) else "" for atom in atoms]
    known = [bool(_SYMBOL.fullmatch(name)) or _is_unit_word(name) for name in names]
    return bool(names) and all(known) and (is_upright or any(len(name) > 1 for name in names))


def _are_things(words: list[str], is_upright: bool, is_apart: bool) -> bool:
    plain = [word.strip(".,;:!'") for word in words]
    if plain[0].lower() in _NOT_FIRST and (len(plain) > 1 or plain[0] != "in" or not is_upright):
        return False
    pieces = [piece.lower() for word in words for piece in _WORD.findall(word)]
    if any(piece in _NO_THINGS or piece.rstrip("s") in _NO_THINGS for piece in pieces):
        return False
    if len(plain) == 1:
        (word,) = plain
        word = word.replace(".", "")
        if is_upright and (word in _LONE_LETTERS if len(word) == 1 else _SYMBOL.fullmatch(word)):
            return True
        is_thing = (is_apart or is_upright) and _is_word(word)
        return is_thing or word in _BARE or _is_unit_word(word)
    if not is_apart and not is_upright:
        return False
    if any(len(piece) == 1 and piece != "a" for piece in pieces) and not is_upright:
        return False
    symbols = all(_SYMBOL.fullmatch(word) or _is_unit_word(word) for word in plain)
    if symbols and (is_upright or all(word in _BARE or _is_unit_word(word) for word in plain)):
        return True
    return _is_word(plain[0]) or _is_unit_word(plain[0]) or plain[0] in _BARE


def _is_unit_word(word: str) -> bool:
    return word.lower() in _UNITS or word.lower().rstrip("s") in _UNITS


def _is_word(word: str) -> bool:
    """Whether letters look like a word, not a product: four or more, a vowel, not in order."""
    if not word.replace("-", "").isalpha() or len(word) < 4 or not set(word.lower()) & set("aeiou"):
        return False
    return sorted(set(word)) != list(word)
