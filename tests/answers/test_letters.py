"""Which option a reply chooses: stated letters in any markup, own texts, and nothing else."""

import time

import pytest

from ttc_client.answers.letters import letter_of, option_of

TEN = [f"text {letter}" for letter in "ABCDEFGHIJ"]
NUMBERS = ["3", "12", r"$\frac{1}{2}$", "40"]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("ANSWER: b", "B"),
        ("ANSWER: $B$", "B"),
        ("**B**", "B"),
        ("(B)", "B"),
        ("Some thoughts.\n\n(B)", "B"),
        ("Some thoughts.\n\nb.", "B"),
        (r"So \boxed{B}.", "B"),
        (r"So $\boxed{\text{B}}$, as shown.", "B"),
        (r"So $\boxed{\mathbf{(b)}}$", "B"),
        ("**Answer: (B)**", "B"),
        ("The answer is **B**.", "B"),
        ("The answer is option B", "B"),
        ("the correct choice is: “C”", "C"),
        ("Final answer: C) text C", "C"),
        ("B. text B", "B"),
        ("(B) is correct.", "B"),
        ("Hence C is the right answer, as shown above.", "C"),
        ("The best option would be D.", "D"),
        ("I would go with (E) here.", "E"),
        ("The answer is not listed, but the closest one is (G).", "G"),
        ("The answer is C since I solved the recurrence.", "C"),
        ("The answer is C since A is not valid.", "C"),
        ("The answer is A because nothing else fits.", "A"),
        ("The answer is I.", "I"),
        ("The answer is B. A would need a second root.", "B"),
        ("The answer is B. Wait, that is wrong. The answer is D.", "D"),
        ("Perhaps option J. Each of the rest fails.", "J"),
        ("<think>The answer is A.</think>The answer is B.", "B"),
        ("The answer is\n\nB", "B"),
        ("Answer: text D", "D"),
        ("The correct answer to the question is (H).", "H"),
    ],
)
def test_a_stated_letter_is_read_in_whatever_markup_it_stands(text, letter):
    assert letter_of(text, TEN) == letter


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ANSWER: None of the above",
        "ANSWER: Don't know",
        "I think that a prime is needed.",
        "The answer is a prime number.",
        "The answer is I think unclear.",
        "The answer is K.",
        "The closest is (I) text I. However, this is not the correct answer.",
        "The closest option is (G), but it is not the exact answer.\nAnswer: none of them.",
        "If the answer is B, the sum is odd.",
        "The answer is not B.",
        "Option F is not a strong argument, and option A is wrong, so option D",
        "Options A and B both hold. Every fact counts.",
        "B is not correct.",
        "The answer is C++ or C#.",
        "<think>The answer is A.",
        "Vitamin C helps. Plan B fails.",
    ],
)
def test_letters_in_words_and_those_taken_back_are_no_answer(text):
    assert letter_of(text, TEN) == ""


def test_an_option_may_say_none_of_the_above():
    assert letter_of("ANSWER: None of the above", ["1", "2", "None of the above."]) == "C"


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        (r"Therefore, the final answer is: $\boxed{12}$. I hope it is correct.", "B"),
        (r"\boxed{0.5}", "C"),
        ("The answer is 40.", "D"),
        ("Answer: B. 12", "B"),
        ("We get 12, then 40.", ""),
        (r"\boxed{41}", ""),
    ],
)
def test_an_options_own_text_is_its_letter_where_it_is_stated(text, letter):
    assert letter_of(text, NUMBERS) == letter


def test_two_options_that_read_the_same_are_chosen_by_letter_alone():
    assert option_of("1/2", ["0.5", r"\frac12"]) is None
    assert option_of("0.5", ["0.5", r"\frac12"]) == 0
    assert letter_of("The answer is B.", ["0.5", "0.5"]) == "B"


@pytest.mark.parametrize("text", ["the answer is ", "option A ", "(", "answer not ", "B is "])
def test_long_replies_are_read_in_linear_time(text):
    started = time.process_time()
    letter_of(text * (200_000 // len(text)), TEN)
    assert time.process_time() - started < 5
