"""Say the styles of mathematical letters by Unicode's own letters, which every browser draws."""

_SPANS = {
    "double-struck": (0x1D538, 0x1D552, 0x1D7D8),
    "bold": (0x1D400, 0x1D41A, 0x1D7CE),
    "script": (0x1D49C, 0x1D4B6, None),
    "fraktur": (0x1D504, 0x1D51E, None),
    "sans-serif": (0x1D5A0, 0x1D5BA, 0x1D7E2),
    "monospace": (0x1D670, 0x1D68A, 0x1D7F6),
}
"""Where a style's A, a and 0 stand."""
_ELSEWHERE = {
    "double-struck": dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True)),
    "script": dict(zip("BEFHILMRego", "ℬℰℱℋℐℒℳℛℯℊℴ", strict=True)),
    "fraktur": dict(zip("CHIRZ", "ℭℌℑℜℨ", strict=True)),
}
"""The letters that Unicode had before it had the rest of their style."""


def styled(text: str, style: str) -> str:
    """Return a text in a style of MathML's `mathvariant`; as it is where Unicode has none."""
    if style not in _SPANS:
        return text
    return "".join(_letter(letter, style) for letter in text)


def _letter(letter: str, style: str) -> str:
    upper, lower, zero = _SPANS[style]
    if found := _ELSEWHERE.get(style, {}).get(letter):
        return found
    if "A" <= letter <= "Z":
        return chr(upper + ord(letter) - ord("A"))
    if "a" <= letter <= "z":
        return chr(lower + ord(letter) - ord("a"))
    if zero and "0" <= letter <= "9":
        return chr(zero + ord(letter) - ord("0"))
    return letter
