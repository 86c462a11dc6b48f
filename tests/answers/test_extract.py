import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_client.answers import extract_answer

CASES = {
    r"so $\boxed{\frac{1}{2}}$. I hope it is correct.": r"\frac{1}{2}",
    r"$\boxed{1}$, no: $\boxed{2}$": "2",
    r"\fbox{7}": "7",
    r"\boxed{3} or \fbox{4}": "4",
    r"\boxed {5}": "5",
    r"\boxed{ 5 }": "5",
    r"$\boxed 5$": "5",
    r"\boxed 5.": "5",
    r"\boxed5": "5",
    r"\boxed{\boxed{5}}": "5",
    r"\boxed{\left\{1, 2\right\}}": r"\left\{1, 2\right\}",
    r"\boxed{\{x\}": r"\{x\}",
    r"\boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}": r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}",
    r"$\boxed{42$. I hope it is correct.": "42",
    r"$\boxed{\frac{1}{2}$, as required.": r"\frac{1}{2}",
    "\\[ \\boxed{x + 1 \\]\nDone.": "x + 1",
    "\\boxed{42\nand on": "42",
    r"\boxed{\$18}": r"\$18",
    r"It is $\boxed{8}$, so I put it into \boxed{}": "8",
    r"\boxed{}": "",
    "Therefore, the final answer is: $5$. I hope it is correct.": "5",
    "The final answer is 3.5. I hope it is correct.": "3.5",
    "The answer is $x=5$.": "x=5",
    "the answer is **12**.": "12",
    "Answer: 7": "7",
    "**Answer:** $\\frac{3}{4}$": r"\frac{3}{4}",
    "Final answer: (B)": "(B)",
    "She sold 48 clips.\n#### 1,072": "1,072",
    "The answer is 4.\nWait, the answer is 6.": "6",
    "First $a = 1$.\nSo the area is $A = \\pi r^2 = 9\\pi$.": r"9\pi",
    "Altogether 48 + 24 = 72 clips.": "72",
    "It costs $-1,250.50$ in all.": "-1,250.50",
    "## Step 1: Count the 3 cases": "",
    "I do not know.": "",
    "": "",
}


@pytest.mark.parametrize(("text", "answer"), CASES.items())
def test_extracts_what_the_solution_announces(text: str, answer: str) -> None:
    assert extract_answer(text) == answer


@given(
    st.text(st.sampled_from(r"abc12+-=^_ \frac,."), min_size=1).map(str.strip), st.text(max_size=50)
)
def test_a_closed_box_holds_its_content_whatever_precedes_it(content: str, before: str) -> None:
    if content and not content.endswith("\\"):
        assert extract_answer(f"{before}\\boxed{{{content}}}") == content


@given(st.text(st.sampled_from("\\boxed{}$ answer is:1\n")))
def test_any_text_has_an_answer_or_none(text: str) -> None:
    assert extract_answer(text).strip("\n") in text


def test_the_answer_of_ten_megabytes_is_found_at_either_end() -> None:
    filler = "word " * 2_000_000
    assert extract_answer(r"\boxed{7}" + filler) == "7"
    assert extract_answer(filler + r"\boxed{7}") == "7"


@pytest.mark.parametrize("text", ["{", "}", "\\boxed{", "\\boxed{}", "\\", "$", "answer is ", "9"])
def test_ten_megabytes_of_one_thing_are_no_obstacle(text: str) -> None:
    assert len(extract_answer(r"\boxed{" + text * (10_000_000 // len(text)))) < 10_000_000
