import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_client.answers import extract_answer

CASES = {
    r"so $\boxed{\frac{1}{2}}$. I hope it is correct.": r"\frac{1}{2}",
    r"$\boxed{1}$, no: $\boxed{2}$": "2",
    r"\fbox{7}": "7",
    r"\boxed{3}. Then \fbox{4}": "4",
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


LONG_TAIL = "\nLet me know if any step needs more detail." * 200

KINDS = {
    "nested announcements": {
        "Final Answer: The final answer is $19$. I hope it is correct.": "19",
        "**Final Answer:** The final answer is $(2, \\sqrt{3})$": "(2, \\sqrt{3})",
        "### Final Answer:\nThe final answer is 19.": "19",
        "Final Answer: The perimeter of $PQRS$ is 64. I hope it is correct.": "64",
        "**Answer:** The number of paths is **35**.": "35",
        "**Final Answer**\n\nThe final answer is 19": "19",
        "Final Answer: The train is late.": "The train is late",
    },
    "sentences behind the answer": {
        "The answer is 54, in all, so both are paid.": "54",
        "The answer is 54 because 6*9=54.": "54",
        "The answer is 54 (since 6*9 is 54).": "54",
        "The answer is 54, since $6\\cdot 9 = 54$.": "54",
        "The answer is $54, which is what they spent.": "54",
        "The answer is about 4.5 km.": "4.5 km",
        "The answer is (5, -2), since both equations hold.": "(5, -2)",
        "The answer is C, because the others are even.": "C",
        "The answer is $4$ and $9$.": "4, 9",
        "The answer is $4$, and $x$ is unique.": "4",
        "The answer is 54. I checked, and my answer is correct.": "54",
        "The answer is blue, because red is taken.": "blue, because red is taken",
        "The correct answer is option (B).": "(B)",
        "So the correct choice is **B**.": "B",
        "The best option is to wait for 6 days.": "6",
        "The answer is –6.": "–6",
        "We ask whether the answer is 3. No: it is 5.": "5",
    },
    "money and formulas": {
        "He is left with $90,000 - $35,000 = $55,000.": "$55,000",
        "That is $6 + $9 = $15": "$15",
        "The fine is 7*$4=$28, plus $5 = $33": "$33",
        "She keeps $14.50.": "$14.50",
        "The price is $14$.": "14",
        "The volume is $14 \\text{ cm}^3$.": "14 \\text{ cm}^3",
        "It is $n$ dollars, and $n = 14$.": "14",
        "It is $\\$14$.": "\\$14",
    },
    "a plain last number": {
        "Hence y equals −8.": "−8",
        "Hence y equals - 8.": "- 8",
        "Hence the slope is −2/5.": "−2/5",
        "Hence the mass is 4.7e3.": "4.7e3",
        "Hence there are 3^12 ways.": "3^12",
        "Hence it has length 5√7.": "5√7",
        "Hence it is 6π.": "6π",
        "Hence there are 7! of them.": "7!",
        "Hence the ratio is 4 : 9.": "4 : 9",
        "Hence it needs 2 3/4 cups.": "2 3/4",
        "Hence there are 2.5 × 10^6 cells": "2.5 × 10^6",
        "Hence 20-12 = 8": "8",
        "Between 20 - 12": "12",
        "Hence it lasts from 10-12": "12",
        "Hence t ≥ 12.": "t ≥ 12",
        "Hence the line is **y = 3x - 7**.": "y = 3x - 7",
        "Hence w = 12 - 5i": "w = 12 - 5i",
        "Hence t = 4 or t = 12.": "t = 4 or t = 12",
        "Hence (a, b) = (4, 12)": "(a, b) = (4, 12)",
        "They meet at (4, 12).": "(4, 12)",
        "The side is sqrt(12).": "sqrt(12)",
        "Hence t = 12": "12",
        "Hence $s = 4$ or $s = 12$.": "s = 4, s = 12",
        "Hence $s = 4$ and there are $12$.": "12",
        "The greatest value is $12$, attained at $t = 4$.": "12",
        "The greatest value is 12 when t = 4.": "12",
        "Hence $t = 12$ (for example $a = 2$, $b = 3$).": "12",
        "When t = 4, the greatest value is 12.": "12",
        "There are 4 cats, so when b = 3 the total is 12.": "12",
    },
    "display mathematics over lines": {
        "The final answer is:\n\n$$\n31\n$$": "31",
        "The answer is\n\\[\n\\frac{3}{7}\n\\]\n": "\\frac{3}{7}",
        "Therefore,\n$$\ny = 31\n$$\n": "31",
        "Therefore\n\\begin{align*}\ny &= 20+11 \\\\\n  &= 31\n\\end{align*}": "31",
        "So\n$$\n\\begin{aligned}\ny &= 20+11 \\\\\n&= 31\n\\end{aligned}\n$$": "31",
        "The answer is\n\\begin{equation}\ny = 31\n\\end{equation}": "y = 31",
    },
    "thoughts": {
        "<think>so \\boxed{3}?</think>\nThe answer is 9.": "9",
        "perhaps \\boxed{3}</think> It is 9": "9",
        "<think>a</think>\\boxed{9} <think>\\boxed{3}</think> \\boxed{8}": "8",
        "<think>the answer is 3, \\boxed{3}": "",
    },
    "LaTeX without dollars": {
        "\\frac{6}{35}": "\\frac{6}{35}",
        "Each gets (\\frac{3}{8}) of the cake.": "\\frac{3}{8}",
        "Hence it is -\\frac{3}{8} in all.": "-\\frac{3}{8}",
        "Hence the side is 4\\sqrt{6}.": "4\\sqrt{6}",
        "Hence the range is [\\frac{-\\pi}{4}, \\infty)": "[\\frac{-\\pi}{4}, \\infty)",
        "We add \\frac{3}{8} and get 4.": "4",
    },
    "lists in the last line": {
        "$4$ and $7$ and $9$": "4, 7, 9",
        "Its zeros are $4$, $7$ and $9$.": "4, 7, 9",
        "The corners are $(4,7)$ and $(0,9)$.": "(4,7), (0,9)",
        "So it lies between $4$ and $7$.": "7",
        "The sum of $4$ and $7$ is $11$.": "11",
        "$AB = 4, CD = 7$": "AB = 4, CD = 7",
        "Hence $u=4,v=7;u=5,v=9$": "u=4,v=7;u=5,v=9",
    },
    "what a formula is followed by": {
        "$$u \\ge 4.$$ Therefore, the cost rises by 60%.": "60%",
        "Hence u = 4, and $u+v$ = 9": "9",
        "How many $? Just over 60$": "60",
        "Pay $4 and then $5 more, so $9": "$9",
        "Its area is $9$ (independent of $T$).": "9",
        "With $T=4,[PQR]=9$.": "[PQR]=9",
        "It equals $u v$, where $u > 4$. So the sum must equal $4+5=9$.": "9",
        "The plate reads KX7B": "",
        "The bus K7 has 40 seats": "40",
        "总共有99颗弹珠": "99",
    },
    "quotes": {
        'The final answer is "54".': "54",
        'The final answer is \\"$4 $ and $7 $\\". Done.': "4, 7",
        "The answer is “blue”.": "blue",
    },
    "several boxes": {
        "Hence \\(\\boxed{4}\\) and \\(\\boxed{-7}\\).": "4, -7",
        "\\(u = \\boxed{4}\\) and \\(v = \\boxed{7}\\)": "u=4, v=7",
        "The zeros are \\boxed{2}, \\boxed{4}, \\boxed{9}": "2, 4, 9",
        "So $t = \\boxed{2}$ or $t=\\boxed{9}$.": "2, 9",
        "\\[\n\\boxed{-5} \\quad \\text{and} \\quad \\boxed{6}.\n\\]": "-5, 6",
        "$u = \\boxed{2}$, $v = \\boxed{9}$": "u=2, v=9",
        "\\boxed{2}. The other one is \\boxed{9}": "9",
        "We need \\boxed{2} red balls and \\boxed{9} blue ones.": "2, 9",
        "It is \\boxed{2} and then we get \\boxed{9}": "9",
        "\\boxed{2}\n\n\\boxed{9}": "9",
    },
    "long tails": {
        "So 5+6=11.\n#### 11" + LONG_TAIL: "11",
        "The final answer is 11." + LONG_TAIL: "11",
        "\\boxed{11}" + LONG_TAIL: "11",
    },
    "headings": {
        "#### Summary\nThus n = 6.": "6",
        "#### Final Answer\n\n6": "6",
        "#### 2. Solve for n\nThus n = 6": "6",
        "## Answer\n\n$6$": "6",
        "#### 1,250": "1,250",
        "#### -6": "-6",
    },
    "talk about boxes": {
        "It is \\boxed{16}. I put it in \\boxed as requested.": "16",
        "It is \\boxed{16}.\nAs asked, it stands in \\boxed{...}.": "16",
        "It is \\boxed{16}, with \\boxed{your answer} as the form.": "16",
        "The answer is 16, but not in a \\boxed{}.": "16",
    },
    "relations": {
        "Thus $y <= 7$.": "y <= 7",
        "Thus $y \\ge 7$ holds.": "y \\ge 7",
        "The plane is $2x+y-z+3=0$.": "2x+y-z+3=0",
        "The line is $y = 3x-5$.": "y = 3x-5",
        "The sum is $\\sum_{k=0}^{n} 2^k$.": "\\sum_{k=0}^{n} 2^k",
        "So $5+6 = 11$.": "11",
        "So $V = a^3 = 27$.": "27",
    },
    "special tokens": {
        "so the answer is 13.<|eot_id|>": "13",
        "The final answer is 13<|im_end|>\n": "13",
        "It is 13</s>": "13",
        "It is 13.<|im_end|>\n<|im_start|>user\nAnd with 14?": "13",
        "<|im_start|>assistant\nIt is 13.<end_of_turn>\n<start_of_turn>user\n14?": "13",
        "It is 13.</s>[INST] And with 14? [/INST]": "13",
        "\\boxed{x<|y|}": "x<|y|",
    },
    "an answer behind a box": {
        "We find \\boxed{\\Delta E}.\n\n**Answer: C**": "C",
        "First \\boxed{k=4}.\nSo it is 20.\n\nThe final answer is 20.": "20",
        "\\boxed{20}. The answer is correct.": "20",
        "\\boxed{20}. If the answer is 21, it fails.": "20",
        "\\boxed{\\frac25}. So the answer is approximately 0.4": "\\frac25",
        "\\boxed{20}. Answer: I am sure.": "20",
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_extracts_what_is_meant(kind: str) -> None:
    assert {text: extract_answer(text) for text in KINDS[kind]} == KINDS[kind]


@pytest.mark.parametrize(("text", "answer"), CASES.items())
def test_extracts_what_the_solution_announces(text: str, answer: str) -> None:
    assert extract_answer(text) == answer


@given(
    st.text(st.sampled_from(r"abc12+-=^_ \frac,."), min_size=1).map(str.strip), st.text(max_size=50)
)
def test_a_closed_box_holds_its_content_whatever_precedes_it(content: str, before: str) -> None:
    is_talk = not any(map(str.isalnum, content))
    if content and not content.endswith("\\") and not is_talk:
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
