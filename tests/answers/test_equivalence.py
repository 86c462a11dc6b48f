"""Which answers mean the same: a table, and properties of the keys behind it."""

import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ttc_client.answers.canonical import canonical_key, inline_key
from ttc_client.answers.scalars import number_key
from ttc_client.answers.symbolic import expression_key

EQUAL = r"""
    \frac{1}{2}                         | 0.5
    \frac{1}{2}                         | \frac12
    \frac{1}{2}                         | 1/2
    \frac{1}{2}                         | \dfrac 12
    \frac{-1}{3}                        | -\frac{1}{3}
    -\frac{1}{3}                        | \frac{1}{-3}
    \dfrac{17}{50}                      | .34
    0                                   | -0
    5.                                  | 5
    007                                 | 7
    $5$                                 | \(5\)
    \boxed{5}                           | 5
    2^{10}                              | 1024
    2(3)                                | 6
    \sqrt{4}                            | 2
    \sqrt[3]{-8}                        | -2
    \binom{10}{3}                       | 120
    \frac{10!}{3!7!}                    | 120
    2024^{4046}                         | 2024^{4046}
    1.5\times 10^3                      | 1500
    1\frac{4}{5}                        | \frac{9}{5}
    1 \frac45                           | 1.8
    137 \frac{1}{2}                     | 137.5
    3 1/2                               | 3.5
    -1\frac{1}{2}                       | -\frac32
    0.\overline{3}                      | \frac13
    0.1\overline{6}                     | \frac16
    0.\bar{3}                           | \frac13
    10{,}000                            | 10,000
    \$32,\!348                          | 32348
    11,\! 111,\! 111,\! 100             | 11111111100
    58,500                              | 58500
    12 345 678                          | 12345678
    \$18.90                             | 18.9
    10\%                                | 10
    90^\circ                            | 90
    90^{\circ}                          | 90°
    5.4\text{ cents}                    | 5.4
    \frac{270}7\text{ degrees}          | \frac{270}{7}
    864 \mbox{ inches}^2                | 864
    15\mbox{ cm}^2                      | 15
    18 dollars                          | 18
    5 cm                                | 5
    12\pi \text{ cm}^2                  | 12\pi
    \text{5 cm}                         | 5
    5 \mathrm{~cm}                      | 5
    50 percent                          | 50\%
    12^{\text{th}}                      | 12
    12^{th}                             | 12
    \infty                              | +\infty
    \sqrt{5+2\sqrt{6}}                  | \sqrt{2}+\sqrt{3}
    \frac{1}{\sqrt{3}}                  | \sqrt{3}/3
    \frac{\sqrt 3}{3}                   | \frac1{\sqrt3}
    sqrt(3)/2                           | \frac{\sqrt{3}}{2}
    11\sqrt2                            | \sqrt{242}
    \frac{\pi}{2}                       | \frac{1}{2}\pi
    \pi/2                               | π/2
    \sin 30^\circ                       | \frac12
    \log_2 8                            | 3
    \ln e                               | 1
    6-5i                                | -5i+6
    e^{i\pi}                            | -1
    \sqrt{-3}                           | i\sqrt{3}
    (x+1)^2                             | x^2+2x+1
    p - q                               | -q+p
    \frac{11+9a}{20}                    | 0.55+0.45a
    \frac{x^2-1}{x-1}                   | x+1
    x^{10}                              | x^10
    x^(1/2)                             | \sqrt{x}
    x\sqrt{x}                           | \sqrt{x^3}
    \sqrt{x^2}                          | |x|
    \sin^2 x+\cos^2 x                   | 1
    \cot x                              | \frac{\cos x}{\sin x}
    a_1 + a_{2}                         | a_2+a_1
    2\gamma                             | \gamma\cdot 2
    \frac{d}{2}                         | 0.5d
    dx                                  | x d
    3R^2                                | 3 R^{2}
    x=5                                 | 5
    5=x                                 | x=5
    x = \frac12 = 0.5                   | 0.5
    f(x) = 2x+1                         | 2x+1
    P(A) = \frac13                      | \frac13
    \angle ABC = 50^\circ               | 50
    x+2y=3                              | 2x+4y=6
    y=2x+3                              | 2x-y+3=0
    2x > 6                              | 6 < 2x
    x \geq 3                            | [3,\infty)
    -2\le x\le 7                        | [-2,7]
    7 \ge x > -2                        | (-2,7]
    x\in[-2,7]                          | [-2,7]
    x<2 \text{ or } x>3                 | (-\infty, 2) \cup (3, \infty)
    (3,\infty)\cup(-\infty,2)           | (-\infty, 2) \cup (3, \infty)
    \mathbb{R}                          | (-\infty,\infty)
    \left(3,\frac{\pi}{2}\right)        | (3, \pi/2)
    (x,y)=(1,2)                         | (1,2)
    \{1,2,3\}                           | \{3,2,1\}
    \{1,2,2\}                           | 2,1
    \{5\}                               | 5
    1,-2                                | -2,1
    x=1 \text{ or } x=-2                | -2, 1
    x=1,y=2                             | y=2,x=1
    1\pm\sqrt{19}                       | 1+\sqrt{19},1-\sqrt{19}
    \{1\pm\sqrt{5},-2\}                 | -2,1-\sqrt5,1+\sqrt5
    \pm 3                               | 3,-3
    \emptyset                           | \varnothing
    \{\}                                | \emptyset
    \begin{pmatrix}1/5\\-3\end{pmatrix} | \begin{bmatrix} 0.2 \\ -3 \end{bmatrix}
    \text{east}                         | east
    \text{Even}                         | even
    \text{no solution}                  | No solution.
    odd                                 | \text{odd}
    \text{A, C}                         | C, A
    10 \text{ or } 12                   | $12$ and $10$
    7:30\text{ p.m.}                    | 7:30
    \text{all real numbers}             | \mathbb R
    \left(\begin{array}{c}1\\2\end{array}\right) | \begin{pmatrix}1\\2\end{pmatrix}
    a_n = 2n+1                          | 2n+1
    V = 12\pi                           | 12\pi
    x^2+y^2=25                          | 25 - x^2 = y^2
    \frac{1\pm\sqrt5}{2}               | \frac{1-\sqrt{5}}{2},\frac{1+\sqrt{5}}{2}
    \frac{5}{18}\approx 0.278           | \frac{5}{18}
    \sin 75^\circ                       | \frac{\sqrt{6}+\sqrt{2}}{4}
    \tan^{-1}(1)                        | \frac{\pi}{4}
    \frac{1}{i}                         | -i
    \lfloor 3.7 \rfloor                 | 3
    2xyz                                | 2zyx
    \text{(C)}                          | C
    \textbf{(A)}                        | A
    (A)                                 | \text{A}
    52_8                                | 52_{8}
    123_{10}                            | 123
"""

DIFFERENT = r"""
    11_2                                | 11_3
    52_8                                | 52
    0.5                                 | 50
    0.3333                              | \frac13
    1,234                               | 1, 234
    (100,200)                           | (100200)
    (3,4]                               | [3,4)
    (1,2)                               | [1,2]
    (1,2)                               | (2,1)
    (1,2)                               | 1,2
    (-\infty, 2) \cup (3, \infty)       | (-\infty, 2] \cup (3, \infty)
    x^2+2x+1                            | y^2+2y+1
    \text{east}                         | seat
    \text{even}                         | \text{odd}
    9^{9^{9}}                           | 9^{81}
    2^{1000}                            | 2^{1000}+1
    2024^{4046}                         | 2024^{4047}
    q - p                               | p - q
    \sqrt{x^2}                          | x
    y=2x+3                              | y=2x+4
    2x > 6                              | 2x < 6
    2x > 6                              | 2x \ge 6
    x > 3                               | x = 3
    x=1,y=2                             | x=2,y=1
    6-5i                                | 6+5i
    (A)                                 | (B)
    4:30                                | 2:15
    1\pm\sqrt{19}                       | 1
    3                                   | -3
    \infty                              | -\infty
    \overline{AB}                       | \overline{CD}
    \begin{pmatrix}1\\2\end{pmatrix}    | \begin{pmatrix} 1 & 2 \end{pmatrix}
    1.41421356                          | \sqrt{2}
    3.14159265358979                    | \pi
"""


def key(answer: str) -> str:
    return canonical_key(answer, expression_key)


def pairs(table: str) -> list[tuple[str, str]]:
    rows = (line.partition(" | ") for line in table.strip().splitlines())
    return [(left.strip(), right.strip()) for left, _, right in rows]


@pytest.mark.parametrize(("left", "right"), pairs(EQUAL))
def test_equivalent_answers_have_one_key(left: str, right: str) -> None:
    assert key(left) == key(right)


@pytest.mark.parametrize(("left", "right"), pairs(DIFFERENT))
def test_different_answers_have_different_keys(left: str, right: str) -> None:
    assert key(left) != key(right)


@pytest.mark.parametrize("answer", ["3)", "1..2", "2 3", r"\frac{1}{0}", "x^", "f(x)", "0=0"])
def test_what_has_no_value_is_compared_as_a_string(answer: str) -> None:
    assert "text:" in key(answer)
    assert key(answer) == key(answer.replace("", " ").strip().replace("\\ f r a c ", r"\frac "))


def test_an_empty_answer_has_an_empty_key() -> None:
    assert [key(""), key(" \n")] == ["", ""]


@given(st.fractions(max_denominator=10_000))
def test_every_spelling_of_a_fraction_is_the_same_number_without_sympy(number: Fraction) -> None:
    sign = "-" if number < 0 else ""
    top, bottom = abs(number.numerator), number.denominator
    spellings = [
        f"{sign}\\frac{{{top}}}{{{bottom}}}",
        f"\\dfrac{{{sign}{3 * top}}}{{{3 * bottom}}}",
        f"{sign}{top}/{bottom}",
        f"{sign}{top // bottom}\\frac{{{top % bottom}}}{{{bottom}}}",
        f"$ x = {sign}\\tfrac{{{top}}}{{{bottom}}} \\text{{ cm}} $",
    ]
    assert {inline_key(spelling) for spelling in spellings} == {number_key(number)}


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9
    )
)
def test_a_decimal_is_the_fraction_that_it_is_exactly(number: object) -> None:
    assert inline_key(str(number)) == number_key(Fraction(str(number)))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=2, max_size=5), st.integers(0, 10**6))
def test_a_polynomial_is_the_same_in_any_form_and_no_other(roots: list[int], seed: int) -> None:
    expanded = [1]
    for root in roots:
        shifted = [0, *expanded]
        expanded = [a - root * b for a, b in itertools.zip_longest(shifted, expanded, fillvalue=0)]
    terms = [f"{coefficient:+}x^{{{power}}}" for power, coefficient in enumerate(expanded)]
    random.Random(seed).shuffle(terms)
    factored = "".join(f"(x{-root:+})" for root in roots)
    assert key("".join(terms)) == key(factored)
    assert key("".join(terms) + "+1") != key(factored)
    assert key("".join(terms) + " = 0") == key(f"-2{factored} = 0")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([left for left, _ in pairs(EQUAL)]), max_size=2), st.randoms())
def test_members_of_a_set_have_no_order(members: list[str], rng: random.Random) -> None:
    assume(all("=" not in member and "," not in member for member in members))
    shuffled = rng.sample(members, len(members))
    assert key(rf"\{{{';'.join(members)}\}}") == key(rf"\{{{';'.join(shuffled)}\}}")


@given(st.sampled_from(pairs(EQUAL)), st.sampled_from(["  ", r"\;", r"\,", "\\ ", r"\quad "]))
@settings(max_examples=50, deadline=None)
def test_space_around_an_answer_does_not_matter(pair: tuple[str, str], space: str) -> None:
    assert key(space + pair[0] + space) == key(pair[1])


def test_a_key_does_not_depend_on_what_was_read_before() -> None:
    answers = ["x+1", "1+x", r"\frac{2x+2}{2}", "18 dollars", "odd", r"2\,dx", "18 dogs", "xd"]
    fresh = {answer: key(answer) for answer in answers}
    for order in itertools.islice(itertools.permutations(answers), 0, 40_320, 4_032):
        assert {answer: key(answer) for answer in order} == fresh
    assert fresh["x+1"] == fresh["1+x"] == fresh[r"\frac{2x+2}{2}"]
