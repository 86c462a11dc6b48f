"""The system prompts of tasks; those that were published, word for word."""

from collections.abc import Sequence

from ttc_client.types import Message, Problem

META_MATH_SYSTEM_PROMPT = r"""Solve the following math problem efficiently and clearly:

- For simple problems (2 steps or fewer):
Provide a concise solution with minimal explanation.

- For complex problems (3 steps or more):
Use this step-by-step format:

## Step 1: [Concise description]
[Brief explanation and calculations]

## Step 2: [Concise description]
[Brief explanation and calculations]

...

Regardless of the approach, always conclude with:

Therefore, the final answer is: $\boxed{answer}$. I hope it is correct.

Where [answer] is just the final number or expression that solves the problem."""
"""Meta's system prompt for MATH, as the blog post and its toolkit use it."""

CHOICE_SYSTEM_PROMPT = """Answer the following multiple-choice question. Think step by step, in \
short paragraphs with a blank line between them. Close with a paragraph of its own that says:

The answer is (X).

X stands for the letter of the option that is right."""

TEXT_SYSTEM_PROMPT = """Answer the following question. Think step by step, in short paragraphs \
with a blank line between them. Close with a line that begins with "Answer:", and then the answer \
alone, in as few words as possible."""

JSON_SYSTEM_PROMPT = """Answer with one JSON value, in a code block marked json, and nothing after \
it."""

CODE_SYSTEM_PROMPT = """Write the Python program or function that is asked for. Give all of it, \
with its imports, in one code block marked python, and nothing after it."""


def under(system_prompt: str, problem: Problem) -> Sequence[Message]:
    """Return a problem's messages under a system prompt, where there is one."""
    if not system_prompt:
        return problem.messages
    return (Message("system", system_prompt), *problem.messages)
