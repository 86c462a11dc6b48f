r"""Read which option of a multiple-choice question a reply chooses.

A letter counts only where the text states one ("the answer is (B)", `\boxed{B}`, a last line of
nothing else), whatever markup stands around it, and does not take it back. Letters in words, and
letters that are only mentioned, are not answers. Linear in the text. Knows nothing of problems.
"""

import re
from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import NamedTuple

from ttc_client.answers.canonical import inline_key
from ttc_client.answers.extract import spoken, stated_answer

MAX_OPTIONS = len(ascii_uppercase)

_BOXED = "\0"
_BOX = re.compile(r"\\f?box(?:ed)?\s*\{?")
_MARKUP = re.compile(
    r"\\(?:text|math|emph|mbox)[a-z]*\s*|\\(?:bf|rm|it|left|right)\b\s*|\\[()\[\],;:! ]|[*$`{}]|__"
)
_OF = r"(?:\s+(?:to|for|of)\s[^.:\n]{1,80}?(?=\s+(?:is|was|would|should|must)\b|:))?"
_PLACES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\banswer\b{_OF}",
        r"\b(?:correct|right|best|closest|nearest|likeliest|final|chosen|appropriate|suitable)"
        rf"\s+(?:\w+\s+){{0,2}}?(?:option|choice|one|alternative|statement|letter|match)\b{_OF}",
        r"\b(?:closest|choose|select|pick|go\s+with|chose|selected|picked|mark)\b",
        _BOXED,
    )
]
"""What an answer stands behind."""
_LEAD = re.compile(
    r"(?:[\s:=,]{1,20}|\b(?:is|was|would|should|must|will|be|to|therefore|thus|hence|then|probably"
    r"|most|likely|clearly|indeed|simply|just|definitely|the|our|my|final|correct|option|choice"
    r"|letter|answer)\b){0,12}",
    re.IGNORECASE,
)
_LETTER = re.compile(r"(?P<opening>[\[(<\"'“‘]?)\s*(?P<letter>[A-Za-z])(?![\w'’+#-])")
_CLOSING = re.compile(r"\s*[\])>\"”’]")
_STOP = re.compile(r"[.:;!?,–—]|\s*(?:\n|$|\0)|\s+[–—(-]")
_REASON = re.compile(
    r"\s+(?:because|since|as|which|for|with|given|due|by|from|if|so|where|while|based)\b"
)
_SUBJECT = re.compile(
    r"(?<![\w'’])(?:[\[(]\s*([A-Za-z])\s*[\])]|([A-Z]))\s+(?:is|was|must\s+be)\s+(?:\w+ly\s+)?"
    r"(?:therefore\s+|thus\s+)?(?:the\s+|our\s+|my\s+)?(?:only\s+|most\s+)?"
    r"(?:correct|right|best|answer|closest|accurate|appropriate)\b"
)
_LAST_LINE = re.compile(r"[#>\s-]*[(\[]?([A-Za-z])[)\].:]*\s*")
_LED = re.compile(r"[#>\s-]*(?:[(\[](?P<inside>[A-Z])[)\]]|(?P<letter>[A-Z])[).:])\s*(?=\S)")
_MENTION = re.compile(r"\b(?:option|choice)\s+(?=\W{0,2}[A-Za-z]\b)", re.IGNORECASE)
_SUPPOSED = re.compile(
    r"\b(?:if|suppose|supposing|whether|unless|assume|assuming|not|never|cannot|check(?:ing)?|why"
    r"|rule\s+out|eliminat\w+|reject\w*)\b[^.;:,\n]{0,80}$|n['’]t\b[^.;:,\n]{0,80}$",
    re.IGNORECASE,
)
_NOT = (
    r"(?:(?:is|was|does|do|can|could|would)(?:\s+not\b|n['’]t\b)|cannot\b|fails\b"
    r"|(?:is|was|seems|looks|must\s+be)\s+(?:also\s+|clearly\s+)?"
    r"(?:wrong|incorrect|false|invalid|impossible)\b)"
)
_REVOKED = re.compile(
    rf"[\])\"”]?\s*,?\s*(?:(?:which|that)\s+)?{_NOT}"
    r"|[^\n]{0,80}?\b(?:however|but|wait|no|hmm)\b,?\s*(?:(?:but|no)\b,?\s*)?"
    rf"(?:this|that|it|which)\s+(?:option\s+|choice\s+|answer\s+)?{_NOT}",
    re.IGNORECASE,
)
_LEADING_LETTER = re.compile(r"[(\[]?([A-Za-z])[)\].:]\s*(?=\S)")
_SPELLING = re.compile(r"\\(?:text|math)[a-z]*|\\(?:left|right|[,;:! ])|[\s$*{}.,;:!?'\"’“”`]+")


class _Found(NamedTuple):
    """A letter, where it is stated, and where what follows it begins."""

    letter: str
    start: int
    end: int


def letter_of(text: str, options: Sequence[str]) -> str:
    """Return the letter, "A" to "Z", of the option that a reply chooses, "" where it chooses none.

    The last letter that is stated and not taken back wins; without one, the option whose own text
    is what the reply answers; else the only option that is named at all ("perhaps option J").
    """
    text = spoken(text)
    plain = _MARKUP.sub("", _BOX.sub(_BOXED, text))
    known = ascii_uppercase[: len(options)]

    stated = [each for each in _stated(plain) if each.letter in known and _stands(plain, each)]
    if stated:
        return max(stated, key=lambda each: each.start).letter
    if (found := option_of(stated_answer(text), options)) is not None:
        return ascii_uppercase[found]
    mentions = [each for each in _at_places([_MENTION], plain) if each.letter in known]
    alike = len({each.letter for each in mentions}) == 1
    return mentions[-1].letter if alike and _stands(plain, mentions[-1]) else ""


def option_of(answer: str, options: Sequence[str]) -> int | None:
    """Return the index of the one option that reads as an answer does, or else equals it.

    None where none does, and where several do.
    """
    led = _LEADING_LETTER.match(answer)
    if led and (index := ascii_uppercase.find(led[1].upper())) < len(options):
        rest = answer[led.end() :]
        if index >= 0 and option_of(rest, [options[index]]) == 0:
            return index
    for spelt in (_plain_spelling, _key):
        wanted = spelt(answer)
        same = [index for index, option in enumerate(options) if wanted and spelt(option) == wanted]
        if len(same) == 1:
            return same[0]
    return None


def _stated(plain: str) -> Iterator[_Found]:
    yield from _at_places(_PLACES, plain)
    for match in _SUBJECT.finditer(plain):
        yield _Found((match[1] or match[2]).upper(), match.start(), match.end())
    stripped = plain.rstrip(" \t\r\n" + _BOXED)
    start = stripped.rfind("\n") + 1
    if alone := _LAST_LINE.fullmatch(plain[start:].replace(_BOXED, "")):
        yield _Found(alone[1].upper(), start, len(plain))
    elif not start and (led := _LED.match(plain)):  # the whole reply is `(B) twelve`
        yield _Found(led["inside"] or led["letter"], 0, len(plain))


def _at_places(places: Sequence[re.Pattern[str]], plain: str) -> Iterator[_Found]:
    for place in places:
        for match in place.finditer(plain):
            lead = _LEAD.match(plain, match.end())
            assert lead is not None  # it may be empty
            if found := _letter_at(plain, lead.end()):
                yield found._replace(start=match.start())


def _letter_at(plain: str, place: int) -> _Found | None:
    """Return the letter that stands at a place where an answer does.

    One in brackets, before a stop or before a reason may be small, or one of the words "a" and
    "I"; other capitals may stand before any word.
    """
    match = _LETTER.match(plain, place)
    if match is None:
        return None
    letter, end = match["letter"], match.end()
    closing, stop, reason = (p.match(plain, end) for p in (_CLOSING, _STOP, _REASON))
    is_word = letter in "AI" or letter.islower()
    if closing or stop or (reason and letter.isupper()) or not is_word:
        return _Found(letter.upper(), match.start(), closing.end() if closing else end)
    return None


def _stands(plain: str, found: _Found) -> bool:
    """Whether a letter is neither supposed, as in "if the answer is B", nor taken back."""
    before = plain[max(0, found.start - 120) : found.start]
    return not _SUPPOSED.search(before) and not _REVOKED.match(plain, found.end)


def _plain_spelling(text: str) -> str:
    return _SPELLING.sub("", text).casefold()


def _key(text: str) -> str:
    try:
        return inline_key(text) or ""
    except (ArithmeticError, LookupError, RecursionError, ValueError):
        return ""
