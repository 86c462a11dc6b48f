"""What the gold answer lets an answer be read as, kind by kind, and what stays wrong beside it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ttc_client.answers import AnswerPool
from ttc_client.answers.grading import grade

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Each gold answer, and under it what is right (=) and what is wrong (!) beside it.
KINDS = {
    "an equation beside a value": r"""
        91
            = a-b+c = 91 ; 91 = a-b+c ; a+b = 90+1 = 91 ; \text{Perimeter} = 91
            ! a-b+c = 90 ; 90+2 = 91
        13
            = |w| = 13 ; g(2) = 13 ; XY^2 = 13 ; [PQRS] = 13 ; 6+7 = 13
            ! x < 13 ; x \ne 13 ; x=4, y=13
        \frac34
            = \cos\alpha = 0.75 ; P(A \cap B) = 3/4
            ! \cos\alpha = 0.74
        0
            = k = 0 ; f(1) = 0 ; \lim_{n\to\infty} \frac{2}{n} = 0
            ! x-3 = 0 ; x^2-9 = 0
        15
            = \sum_{k=1}^5 k = 15 ; x-4 = 11 \Rightarrow x = 15
            ! \sum_{k=1}^5 k = 14
        0.667
            = \frac23 \approx 0.667
            ! \frac23 \approx 0.67
        \frac{PQ}{RS} = \frac{2}{9}
            = \frac{2}{9} ; 2/9 ; \frac{PQ}{RS} = 2/9
            ! \frac{9}{2}
        |w| = 6
            = |w| = 6
            ! 6
        V_1:V_2 = 4:7
            = 4:7
            ! 7:4
        \{4,9\}
            = A \cap B = \{4,9\}
            ! A \cap B = \{4\}
    """,
    "a formula beside its name": r"""
        6s^2
            = S = 6s^2 ; 6s^2 = S ; S(s) = 6 s^{2}
            ! s = 6s^2 ; 6s^2 = 0 ; s-1 = 6s^2
        3x^2
            = \frac{dy}{dx} = 3x^2 ; f'(x) = 3x^2 ; y' = 3x^2
            ! x+1 = 3x^2 ; f'(x) = 3x
        (a-2)(a+2)
            = a^2-4 = (a-2)(a+2)
            ! a^2-5 = (a-2)(a+2)
        y=4x-1
            = 4x-y=1
            ! 4x-1
        6x-5
            = \frac{d}{dx}h(x) = 6x-5
            ! 5-6x = \frac{d}{dx}h(x)
    """,
    "upright letters": r"""
        1-2i
            = 1-2\mathrm{i} ; 1 - 2\text{i}
            ! 1-2 ; -1
        4\text{k}
            = 4k
            ! 4
        9\operatorname{e}
            = 9e
            ! 9
        6y
            = 6\text{y} ; 6\mathrm{y}
            ! 6
        8
            = 8\mathrm{m} ; 8\text{ g}
            ! 8\text{y} ; 8\mathrm{i} ; 8y ; 8 y
        8m
            = 8\mathrm{m}
            ! 8
    """,
    "e-notation": r"""
        7.5e12
            = 7.5 \cdot 10^{12} ; 7500000000000 ; 7.5E12 ; 7.5 x 10^12
            ! 7.5e11 ; 7.5e
        1e-4
            = 10^{-4} ; 0.0001 ; 1e-04
            ! 1e4 ; e^{-4}
        -3.2e-5
            = -3.2\times10^{-5}
            ! 3.2e-5
        6e-4
            = 6 \times 10^{-4}
            ! 6e^{-4}
        0.0006
            = 6e-4
            ! 6e-3
        3e-2
            = 3e-2 ; -2+3e
            ! 0.03
        5e
            = 5e
            ! 50
    """,
    "Unicode mathematics": r"""
        7-\sqrt{11}
            = 7 − √11 ; 7 – √11
            ! 7 − √12 ; 7 - √1·1
        \frac{\sqrt{7}}{4}
            = √7/4 ; √7⁄4
            ! √7/5
        \frac58
            = ⅝ ; ５/８
            ! ⅜
        5\frac58
            = 5⅝
            ! 5\cdot ⅝
        y^{12}
            = y¹²
            ! y₁₂
        10^{-6}
            = 10⁻⁶
            ! 10⁶
        2\pi\theta
            = 2πθ ; 2·π·θ
            ! 2πφ
        \sqrt{y+2}
            = √(y+2)
            ! √y+2
        \sqrt[3]{20}
            = ∛20
            ! √20
        [4,\infty)
            = y ⩾ 4 ; y ≥ 4
            ! y ≤ 4
        -17
            = −17 ; ‑17 ; —17 ; －１７
            ! １７
        0.\overline{6}
            = 2/3 ; 0.6̅
            ! 0.6
        \mathbb{R}
            = ℝ
            ! ℤ
        28
            = 4✕7
            ! 4+7
        2.72
            = ≈ 2.72
            ! ≈ 2.71
    """,
    "signs between the members of a list": r"""
        45, 225
            = $45$,$225$ ; 45^\circ,225^\circ ; 45°,225° ; \(45\),\(225\)
            ! 45225 ; $45,225$
        15\%,120\%
            = 15, 120 ; \$15,\$120
            ! 15120
        12345
            = \$12,345 ; $12,345$
            ! 12, 345
    """,
    "scale words": r"""
        4000000
            = 4 million ; \$4\text{ million} ; 4 \text{ million people} ; 4,000 thousand
            ! 4 ; 4 billion
        4
            ! 4 million ; 4\text{ dozen} ; 4 hundred
        84
            = 7 dozen ; 7\text{ dozen eggs}
            ! 7
        2.5\text{ billion}
            = 2500000000 ; 2.5\times10^9
            ! 2.5
        6
            ! 6 hundredths ; 6 sevenths
    """,
    "and, or, and chains of relations": r"""
        (-3,8)
            = t>-3 \text{ and } t<8 ; t < 8 and t > -3 ; 8>t>-3 ; t>-3 \wedge t<8
            ! t>-3 \text{ or } t<8 ; t>-3 and s<8 ; t>-3, t<8 ; t \ge -3 and t<8
        (-\infty,-3)\cup(8,\infty)
            = t<-3 or t>8 ; t>8 \vee t<-3 ; 8<t \text{ or } -3>t
            ! t<-3 and t>8
        \emptyset
            = \{\}
            ! t<-3 and t>8
        \mathbb{R}
            = t>-3 or t<8
            ! t>-3, t<8 ; t>-3 and t<8
        t<1
            = -t > -1 ; -1 < -t ; (-\infty,1)
            ! -t < -1 ; t > -1 ; -t > 1
        [-5,2)
            = -2 < -t \le 5 ; 5 \ge -t > -2
            ! -2 \le -t < 5 ; 2 < -t \le 5
        p<q<r
            = r>q>p
            ! p<r<q ; p<q ; r<q<p
        u=v=w
            = w=u=v
            ! u=v
        10,14
            = 10 and 14 ; $10$ \text{ or } $14$
            ! 10
    """,
    "named members": r"""
        6,-4
            = r_1 = 6, r_2 = -4 ; r_{1}=-4 and r_{2}=6
            ! r_1 = 6 ; r=6, s=4 ; r=-4, s=6
        (5,-3)
            = (P,Q) = (5,-3) ; (z_1,z_2)=(5,-3) ; (\lambda,\mu) = (5,-3) ; p=5, q=-3
            = q=-3, p=5
            ! p=-3, q=5 ; q=5, p=-3 ; z_1=-3, z_2=5 ; 5,-3
        r=7, \theta=2
            = (7,2) ; (r,\theta)=(7,2)
            ! (2,7) ; 7, 2 ; 9
        (-6,8)
            = Q(-6,8) ; Q_1(-6, 8) ; \text{Vertex: } (-6,8)
            ! f(-6,8) ; Q(8,-6)
        t_1=3,t_2=4
            = t_{1}=3, t_{2}=4 ; 3, 4 ; 3 and 4 ; t_1 = 3,\quadt_2 = 4
            ! t_1=4,t_2=3 ; 3 ; 4, 3 ; (4,3) ; 3, 5
        7,9
            = m=7, n=9
            ! m=9, n=7
    """,
    "names of something else": r"""
        k = 7
            = 7 ; k=7 ; 7 = k ; k_{1} = 7 ; \text{The value} = 7 ; k = m = 7 ; k \approx 7
            ! x = 7 ; 7 = x ; K = 7 ; \theta=7 ; m \approx 7
        f(2) = 3
            = 3 ; f(2)=3 ; f( 2 ) = 3 ; y = 3
            ! f(1) = 3 ; g(2) = 3
        AB = 6
            = BA = 6 ; 6 ; \text{length} = 6 ; x = 6
            ! CD = 6 ; AC = 6
        (x,y) = (1,-2)
            = (1,-2) ; x=1, y=-2 ; (x_0, y_0) = (1,-2) ; y=-2 and x=1 ; P = (1,-2)
            ! (y,x) = (1,-2) ; (a,b) = (1,-2) ; a=1, b=-2
        t > 4
            = (4,\infty) ; 4 < t ; t \in (4,\infty)
            ! x > 4 ; x \in (4,\infty) ; t < 4
        t=2 \text{ or } t=9
            = 2, 9 ; t=9, t=2 ; t_1 = 2, t_2 = 9
            ! x=2, x=9
        y = 8
            ! x = 8
    """,
    "sets by a condition or a gap": r"""
        (5,\infty)
            = \{t \mid t>5\} ; \{t : t > 5\} ; \{t\in\mathbb{R} | t>5\}
            ! \{t \mid t \ge 5\} ; \{t\in\mathbb{Z} \mid t>5\} ; \{5\}
        (-\infty,9]
            = {t | t \le 9} ; {t : t ≤ 9}
            ! {t | t < 9} ; {9}
        (-2,4]
            = \{y | -2<y\le 4\} ; \{y \mid y>-2, y\le 4\} ; ]-2,4]
            ! \{y | -2<y<4\} ; ]-2,4[
        (-\infty,7)\cup(7,\infty)
            = \mathbb{R}\setminus\{7\} ; \mathbb R - \{7\} ; t \neq 7 ; 7 \ne t
            = all real numbers except 7 ; t<7 or t>7 ; ]-\infty,7[ \cup ]7,\infty[
            ! 7 ; \mathbb{R} ; \mathbb{R}\setminus\{8\}
        (-\infty,-2)\cup(-2,2)\cup(2,\infty)
            = t\ne\pm2 ; t \ne 2, t\ne -2 ; t\neq 2, -2 ; \mathbb{R}\backslash\{2,-2\}
            ! t \ne 2 ; t\ne 2 or t\ne -2
        (1,6)
            = ]1,6[ ; (1,3]\cup(2,6) ; (0,6)\setminus(0,1]
            ! [1,6] ; (1,3)\cup(3,6)
    """,
    "residues": r"""
        5 \pmod{11}
            = 5 \bmod 11 ; 5 (mod 11) ; n \equiv 5 \pmod{11} ; 16 \pmod{11}
            = n \equiv 5 \text{ (mod 11)}
            ! 5 ; 5 \pmod{12} ; 6 \pmod{11}
        5
            = 5 \pmod{11} ; n \equiv 5 \pmod {11}
            ! 16 \pmod{11} ; 15 mod 10
        n \equiv 2, 9 \pmod{11}
            = n\equiv 9,2 \pmod{11}
            ! n \equiv 2 \pmod{11}
    """,
    "compound units": r"""
        80
            = 80 mi/h ; 80 \text{ km/h} ; 80\ \mathrm{km}\cdot\mathrm{h}^{-1}
            = 80 kilometers per hour ; 80\,\frac{\text{km}}{\text{h}}
            ! 80 p/q ; 80x/y ; 81 km/h ; 80 km/h + 1
        1.6
            = 1.6 m/s^2 ; 1.6 \mathrm{~m} / \mathrm{s}^{2} ; 1.6 m/s² ; 1.6 \text{ g/cm}^3
            = 1.6\text{ N}\cdot\text{m}
            ! 1.6 m/n
        47
            = 47 \frac{\text{m}}{\text{s}} ; 47 m s^{-1} ; 47\ \Omega ; 47\Omega
            ! 47 \frac{\text{m}}{\text{n}} ; 47\Omega + 1
        3m/s
            = 3 m / s
            ! 3
    """,
    "matrices": r"""
        \begin{pmatrix}5&6\\7&8\end{pmatrix}
            = \begin{bmatrix} 5 & 6 \\[2ex] 7 & 8 \end{bmatrix}
            = \begin{pmatrix}5&6\cr7&8\end{pmatrix}
            = \left(\begin{smallmatrix}5&6\\7&8\end{smallmatrix}\right)
            ! \begin{pmatrix}5&7\\6&8\end{pmatrix}
        \begin{pmatrix}2/3\\-1\end{pmatrix}
            = \frac13\begin{pmatrix}2\\-3\end{pmatrix}
            = -\frac{1}{3}\cdot\begin{pmatrix}-2\\3\end{pmatrix}
            ! \begin{pmatrix}2\\-3\end{pmatrix} ; \frac13\begin{pmatrix}2&-3\end{pmatrix}
        \begin{pmatrix}1-t\\2t\end{pmatrix}
            = \begin{pmatrix}1\\0\end{pmatrix}+t\begin{pmatrix}-1\\2\end{pmatrix}
            ! \begin{pmatrix}1\\0\end{pmatrix}-t\begin{pmatrix}-1\\2\end{pmatrix}
            ! \begin{pmatrix}1\\0\end{pmatrix}+t\begin{pmatrix}-1\\2\\3\end{pmatrix}
    """,
    "vectors": r"""
        \begin{pmatrix}4\\-9\end{pmatrix}
            = (4,-9) ; \langle 4, -9 \rangle ; [4,-9]^T ; \begin{bmatrix}4\\-9\end{bmatrix}
            ! (-9,4) ; (4,9) ; 4, -9 ; \begin{pmatrix}4&-9\end{pmatrix}
        \langle 7,2 \rangle
            = \begin{pmatrix}7\\2\end{pmatrix} ; (7,2)
            ! \begin{pmatrix}2\\7\end{pmatrix} ; \begin{pmatrix}7&2\\0&1\end{pmatrix}
        7\mathbf{i}-2\mathbf{j}
            = 7\hat{i}-2\hat{j} ; 7\hat{\imath}-2\hat{\jmath}
            = 7\mathbf{\hat{i}} - 2\mathbf{\hat{j}}
            ! 7\hat{j}-2\hat{i}
    """,
    "floats of a program": r"""
        \frac{5}{12}
            = 0.416666666666667 ; 0.4166666666666667 ; 0.41666666666666669 ; .416666666666667
            ! 0.4167 ; 0.41666666667 ; 0.416666666676667 ; -0.416666666666667 ; 416666666666667
        0.7
            = 0.7000000000000001
            ! 0.7000000001
        \sqrt{2}
            = 1.4142135623730951
            ! 1.41421356 ; 1.414213562573095
        -\frac{1}{300}
            = -0.0033333333333333335
            ! 0.0033333333333333335
    """,
    "LaTeX spellings": r"""
        \left(\frac{2}{5},\frac{1}{7}\right)
            = \\left(\\frac{2}{5},\\frac{1}{7}\\right) ; \\left( \\frac25, 1/7 \\right)
            ! \\left(\\frac{1}{7},\\frac{2}{5}\\right)
        \begin{pmatrix}3\\\sqrt{2}\end{pmatrix}
            = \begin{pmatrix}3\\ \sqrt2\end{pmatrix}
            ! \begin{pmatrix}3 \sqrt{2}\end{pmatrix}
        T_{\max} = \frac{q v}{2 k_{\mathrm{B}}}
            = \frac{vq}{2k_B} ; T_{\max } = \frac{q v}{2 k_{B}}
            = T_\max = \frac{1}{2} \frac{qv}{k_{\text{B}}}
            ! \frac{v}{2k_B} ; \frac{vq}{2k_A}
        \Psi(u,v) = \frac{u+2}{v}
            = \Psi(u, v) = \frac{u}{v}+\frac{2}{v} ; \frac{u+2}{v}
            ! \Psi(u,v) = \frac{u+v}{2} ; \Phi(u,v) = \frac{u+2}{v}
        \frac{v_0^2}{2g}
            = \frac{v^2_0}{2g} ; \frac{v_{0}^{2}}{2 g}
            ! \frac{v^0_2}{2g} ; \frac{v_2^0}{2g}
        472
            = \mathbf{4 7 2} ; \mathbf{472}
            ! 4 7 2 ; 47 2 ; \mathbf{4 72}
        3\hbar\omega'
            = 3\omega'\hbar ; 3 \hbar \omega^{\prime}
            ! 3\hbar\omega ; 3h\omega'
        21
            = \dbinom{7}{2} ; {7 \choose 2} ; 7 choose 2 ; \tbinom72
            = C(7,2) ; {}_7C_2 ; ^7C_5 ; {}^{7}C_{2}
            ! \dbinom{7}{3} ; 7 ; C(7,3)
        \cos^2 t
            = (\cos t)^2 ; \cos^{2} t
            ! \cos t^2 ; \cos(t^2)
        t \ne 6
            = t != 6 ; 6 \neq t
            ! t = 6
        0.1\overline{6}
            = 0.1666... ; 1/6 ; 0.1666\ldots
            ! 0.1666 ; 0.16...
        0.\overline{45}
            = 0.4545... ; 5/11
            ! 0.4545
        no solution
            = No solutions ; \emptyset ; \text{There are no solutions}
            ! one solution ; \{0\}
        \frac{\sqrt5}{3}
            = {\sqrt{5} \over 3} ; \nicefrac{\sqrt5}{3} ; \sfrac{\sqrt{5}}{3}
            ! {3 \over \sqrt5}
        \sqrt[4]{3}
            = \sqrt[4]3 ; 3^{1/4}
            ! \sqrt3
        17
            = \textcolor{blue}{17} ; {\color{red}17} ; \underline{17} ; 17\tag{2}
            = {\Large 17} ; \mathbf{17} ; **17** ; 17\,\checkmark
            ! \overline{17} ; 18\tag{17}
        \{2,4,6,8\}
            = {2,6} \cup {4,8} ; \{2,6\}\cup\{4,8\}
            ! {2,6} \cup {4,9}
    """,
    "choices with their text": r"""
        D
            = D: the second law ; (D) 14 ; \text{(D) }14 ; \textbf{(D)}\ 14 ; D. 14 ; D) 14
            = Option D ; The answer is D ; (D), because it is cheaper
            ! C: the second law ; D or E ; (D) and (E) ; D, E ; D = 4 ; Dogs ; A dog ; D:E
            ! not D ; The answer is not D
        J. Adams
            = \text{J. Adams}
            ! J. Monroe ; J
        \textbf{(B)}\ 12
            = B
            ! C
    """,
    "boxed sentences": r"""
        96
            = \text{The answer is 96} ; The total is 96. ; \text{There are 96 such numbers}
            = It takes 96 minutes ; \text{Bella: } 96
            ! \text{The answer is 69} ; The answer is not 96 ; The total is less than 96
            ! There are 96 or 97 ; more than 96 ; At least: 96
        \frac35
            = \text{The probability is }\frac{3}{5}
            ! \text{The probability is not }\frac{3}{5}
    """,
    "words that are products or operations": r"""
        4pqr
            = 4 pqr ; 4 p q r
            ! 4
        5\alpha
            = 5 alpha
            ! 5
        14
            = 14 cats ; 14 students ; 14 ways
            ! 14 abc ; 14 squared ; 14 factorial ; 14 mod 5 ; 14 choose 3 ; 14 thirds
            ! 14 base five
    """,
    "percentages": r"""
        0.35
            = 35\% ; x = 35\% ; 35 percent
            ! 35 ; 3.5\%
        \frac{7}{20}
            = 35\%
            ! 35
        35
            = 35\% ; 35
            ! 0.35
        35\%
            = 35 ; 35\%
            ! 0.35
    """,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[AnswerPool]:
    async with AnswerPool(workers=1, time_limit_s=60, total_deadline_s=120) as pool:
        yield pool


def cases(table: str) -> dict[str, dict[str, bool]]:
    """Return for each gold answer whether each of the answers under it is right."""
    found: dict[str, dict[str, bool]] = {}
    for line in map(str.strip, table.strip().splitlines()):
        if line[:2] in ("= ", "! "):
            answers = found[list(found)[-1]]
            answers |= dict.fromkeys(map(str.strip, line[2:].split(" ; ")), line[0] == "=")
        else:
            found[line] = {}
    return found


@pytest.mark.parametrize("kind", KINDS)
async def test_the_gold_answer_decides_how_an_answer_is_read(pool: AnswerPool, kind: str) -> None:
    for gold, answers in cases(KINDS[kind]).items():
        graded = {answer: (await grade(pool, [answer], gold)).correct[0] for answer in answers}
        assert {gold: graded} == {gold: answers}


async def test_a_group_with_one_key_is_right_or_wrong_as_a_whole(pool: AnswerPool) -> None:
    assert (await grade(pool, [r"50\%"], "0.5")).correct == (True,)
    assert (await grade(pool, [r"50\%", "50"], "0.5")).correct == (False, False)
