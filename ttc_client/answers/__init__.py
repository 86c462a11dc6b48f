r"""Answers: find them in text, and tell which of them mean the same.

    extract_answer(r"so it is $\boxed{\frac{1}{2}}$")    # r"\frac{1}{2}"
    group_answers([r"\frac{1}{2}", "0.5", "2"])          # [0, 0, 1]

    async with AnswerPool() as pool:
        keys = await pool.canonical_keys(answers)

Importing this package imports no SymPy: that happens in the pool's worker processes.
"""

from ttc_client.answers.extract import extract_answer
from ttc_client.answers.pool import AnswerPool, group_answers

__all__ = ["AnswerPool", "extract_answer", "group_answers"]
