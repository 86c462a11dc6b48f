"""Random text that looks like LaTeX, and the hostile answers that a model may write."""

import random

_PIECES = r"""
    \frac{ }{ \sqrt{ \sqrt[3]{ ^{ _{ \left( \right) \{ \} \text{ \cup \pm \cdot \times \pi \infty
    \sin \log_ \ln \binom{ ! | \lfloor \rfloor \begin{pmatrix} \end{pmatrix} \\ & = < > \le \in ( )
    [ ] , ; + - * / ^ _ % $ . ' : \emptyset \overline{ ^\circ
    0 1 2 7 10 99 1000 3.14 x y n a e i d x^2 odd dollars or east
"""

HOSTILE = (
    "9^{9^{9^{9}}}",
    "9^{9^{9^{9^{9^{9}}}}}",
    r"((9^{9999})^{9999})^{9999}",
    r"e^{e^{e^{e^{9}}}}",
    r"1000000000!",
    r"((10!)!)!",
    r"\binom{1000000000}{500000000}",
    r"\frac{1}{" * 3000 + "x" + "}" * 3000,
    r"\frac{1}{1+" * 100 + "x" + "}" * 100,
    "{" * 500 + "x" + "}" * 500,
    "(" * 20_000,
    "}" * 20_000,
    "{{{",
    r"\left(\frac{1}{2}",
    "+".join(f"x_{{{i}}}" for i in range(200)),
    "+".join(f"\\frac{{1}}{{x+{i}}}" for i in range(200)),
    r"(x+y+z+1)^{1000}",
    r"(a+b+c+d+f+g+h+k)^{30}",
    r"\operatorname{eye}(3000)",
    r"\operatorname{zeros}(100000,100000)",
    r"\operatorname{rank}(\operatorname{eye}(900))",
    r"\int_0^1 \frac{\sin(x^{x})}{x} dx",
    r"\sum_{i=1}^{1000000000} i^{i}",
    r"\prod_{i=1}^{100000} (x+i)",
    r"\lim_{x\to 0} \frac{\sin x}{x^{x^{x}}}",
    r"\sqrt[9^{9^{9}}]{9^{9^{9}}}",
    r"\sin(10^{10^{5}})",
    r"\gcd(10^{100000},3)",
    r"x^5-x-1=0, x^{7}+y^{7}=z^{7}",
    "1" * 5000,
    "0." + "3" * 900,
    "|" * 300,
    "1" * 900 + "^{" + "9" * 50 + "}",
    "\x00" * 2000,
    "\x1b]0;title\x07\x1b[2J5",
    "18 dollars",
    "odd",
    "\\",
    "\ud800",
    "𝟙" * 300,
    "=" * 500,
    "," * 900,
    r"\pm" * 300,
    r"\text{" * 200,
    "$" * 999,
    "x" * 399,
    "-" * 399 + "1",
    r"\sin " * 60 + "x",
)


def random_answer(seed: int) -> str:
    """Return up to forty random pieces of LaTeX; the same ones for the same seed."""
    rng = random.Random(seed)
    return "".join(rng.choices([*_PIECES.split(), " ", "\x00", "\x1b[31m"], k=rng.randint(1, 40)))
