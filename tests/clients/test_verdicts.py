"""What a judge's reply says, and what it does not say."""

import pytest

from ttc_client.clients.logprobs import Alternative, ChatToken
from ttc_client.clients.verdicts import VerdictForm

YES_NO = VerdictForm("Verdict", "yes", "no")
OF_TEN, OF_HUNDRED = VerdictForm("Rating", low=0, high=10), VerdictForm("Rating", low=0, high=100)


@pytest.mark.parametrize(
    ("line", "form"),
    [
        ("Verdict: yes or no", YES_NO),
        ("  Rating: 0 to 10  ", OF_TEN),
        ("Better: A or B", VerdictForm("Better", "A", "B")),
        ("Rating: 10 to 0", None),
        ("Is it right?", None),
        ("verdict: yes or no", None),
    ],
)
def test_the_last_line_of_a_prompt_is_the_menu(line, form):
    assert VerdictForm.read(line) == form


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Verdict: yes", 1),
        ("Step 2 is wrong.\n\n**Verdict:** No.", 0),
        ("verdict : **yes**", 1),
        (r"Verdict: $\boxed{\text{no}}$", 0),
        ("Verdict:\nyes", 1),
        ("Verdict: yes, as 2 + 2 is 4.", 1),
        ("<think>Verdict: yes?</think>Verdict: no", 0),
        ("Verdict: yes\n\nOn second thoughts:\nVerdict: no", 0),
    ],
)
def test_the_last_marker_decides(reply, verdict):
    assert YES_NO.verdict(reply) == verdict


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "yes",
        "ANSWER: yes",
        "GRADE: yes",
        "**Answer: yes**",
        "Verdict: maybe",
        "Verdict: yes or no",
        "Verdict: yes/no",
        "Verdict: yesterday it was",
        "Verdict: not sure",
        "A flawless one would deserve Verdict: yes. This one does not.\nVerdict: Z",
        "<think>Verdict: yes",
        "Verdict\u200b: yes",
    ],
)
def test_what_is_not_on_the_menu_is_no_verdict_and_no_earlier_one_stands_in(reply):
    assert YES_NO.verdict(reply) is None


@pytest.mark.parametrize(
    ("form", "reply", "verdict"),
    [
        (OF_TEN, "The sum is 8, not 9.\nRating: 7", 0.7),
        (OF_TEN, "Rating: 7.5/10", 0.75),
        (OF_TEN, "Rating: 10.", 1.0),
        (OF_TEN, "Rating: 0", 0.0),
        (OF_HUNDRED, "Rating: 85.5", 0.855),
        (OF_HUNDRED, "Rating: 85%", 0.85),
    ],
)
def test_a_rating_is_one_number_with_its_point(form, reply, verdict):
    assert form.verdict(reply) == pytest.approx(verdict)


@pytest.mark.parametrize(
    ("form", "reply"),
    [
        (OF_TEN, "Rating: 85"),
        (OF_TEN, "Rating: -1"),
        (OF_TEN, "Rating: 4/5"),
        (OF_TEN, "Rating: 80%"),
        (OF_TEN, "Rating: NaN"),
        (OF_TEN, "Rating: eight"),
        (OF_TEN, "Rating: 7 or 8"),
        (OF_HUNDRED, "Rating: 0.8"),
        (OF_HUNDRED, "Rating: 8,5"),
        (OF_HUNDRED, "Rating: 101"),
    ],
)
def test_a_number_out_of_range_or_of_another_scale_is_no_rating(form, reply):
    assert form.verdict(reply) is None


def tokens(*parts: str, at: int = -1, top: dict[str, float] | None = None) -> list[ChatToken]:
    """Return tokens; those at `at` have alternatives."""
    made = [ChatToken(part, -0.2) for part in parts]
    made[at].top_logprobs = [Alternative(text, logp) for text, logp in (top or {}).items()]
    return made


def test_the_place_after_the_marker_is_read_not_the_first_such_word():
    reply = tokens(
        "yes", " it adds up.\n", "Ver", "dict", ":", " no", top={" no": -0.1, " yes": -2.4}
    )
    reply[0].top_logprobs = [Alternative("yes", -0.01), Alternative("no", -5.0)]
    assert YES_NO.probability(reply) == pytest.approx(0.0911, abs=1e-3)


def test_spellings_of_a_word_and_its_beginnings_count_together():
    top = {" yes": -2.0, "Yes": -2.0, " Y": -2.0, " no": -2.0, " maybe": -0.5}
    reply = tokens("Verdict:", " yes", top=top)
    assert YES_NO.probability(reply) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("last", "top"),
    [
        (" maybe", {" yes": -1.0, " no": -1.0}),
        (" yes or no", {" yes": -1.0}),
    ],
)
def test_a_verdict_that_is_not_on_the_menu_has_no_probability(last, top):
    assert YES_NO.probability(tokens("Verdict:", last, top=top)) is None


def test_no_reported_alternative_is_missing_and_neither_zero_nor_nan():
    reply = tokens("Verdict:", " yes", top={"4": -0.1, " yes": -9999.0, " no": float("nan")})
    reply[-1].logprob = -9999.0
    assert YES_NO.probability(reply) is None
    assert YES_NO.probability([]) is None
