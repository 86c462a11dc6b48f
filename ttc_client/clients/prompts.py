"""Render problems and solutions into the exact text that the models were trained on.

Knows the chat formats of the policies and of the PRMs; knows nothing of servers or tokenizers.
No rendered text holds a BOS token: the server that tokenizes it adds one, once.
"""

from collections.abc import Sequence

from ttc_client.types import Message, Step

_CHARACTERS_PER_TOKEN = 3
_LLAMA3_DATES = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
LLAMA3_USER = "<|start_header_id|>user<|end_header_id|>"
LLAMA3_ASSISTANT = "<|start_header_id|>assistant<|end_header_id|>\n\n"
"""How Llama 3's template ends a prompt: the assistant's turn is open."""


def llama3_turn(role: str, content: str) -> str:
    """Return one Llama 3 chat turn; the content is taken as it is, never trimmed."""
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n{content}<|eot_id|>"


def render_llama3(messages: Sequence[Message]) -> str:
    """Return the Llama 3 prompt up to the first character of the assistant's answer.

    The fixed template of the blog post: the date pinned, the assistant's turn open, no BOS.
    """
    has_system = bool(messages) and messages[0].role == "system"
    system = messages[0].content.strip() if has_system else ""
    turns = messages[1:] if has_system else messages
    return (
        llama3_turn("system", _LLAMA3_DATES + system)
        + "".join(llama3_turn(turn.role, turn.content) for turn in turns)
        + LLAMA3_ASSISTANT
    )


def render_chatml(messages: Sequence[Message]) -> str:
    """Return the ChatML prompt (Qwen2.5 and others) up to the assistant's first character."""
    turns = (f"<|im_start|>{turn.role}\n{turn.content}<|im_end|>\n" for turn in messages)
    return "".join(turns) + "<|im_start|>assistant\n"


def question(problem: str, system_prompt: str) -> tuple[Message, Message]:
    """Return the messages of a problem under a system prompt."""
    return Message("system", system_prompt), Message("user", problem)


def text_step(text: str) -> Step:
    """Return a text as a step for a policy that speaks text; its tokens are estimated."""
    return Step(text, "stop", estimated_tokens(len(text)))


def estimated_tokens(length: int) -> int:
    """Return about how many tokens a text of so many characters has, where no server says."""
    return 1 + length // _CHARACTERS_PER_TOKEN


RLHFLOW_SYSTEM = llama3_turn("system", _LLAMA3_DATES)
"""How every RLHFlow conversation begins: the Llama 3.1 template's own, empty system turn."""

RLHFLOW_VERDICTS = ("+", "-")
"""The labels of a good and of a bad step; a score is the probability of the first."""


RLHFLOW_APPROVAL = f"{RLHFLOW_VERDICTS[0]}<|eot_id|>"
"""How a conversation goes on after a step: as if it had been judged good."""


def rlhflow_question(problem: str, index: int, step: str) -> str:
    """Return the turn that puts step `index` (from 0) to the PRM, up to where it answers.

    Follows RLHFlow's `prm_evaluate.py`: the problem opens the first user turn. A whole
    conversation is `RLHFLOW_SYSTEM`, then for each step its question and `RLHFLOW_APPROVAL`; the
    score of a step is read at the last token of its question.
    """
    content = f"{problem} {step}" if index == 0 else step
    return llama3_turn("user", content.strip()) + LLAMA3_ASSISTANT


MATH_SHEPHERD_MARKER = "ки"
"""Ends every step that Math-Shepherd judges; its verdicts are RLHFlow's."""


def math_shepherd_solution(problem: str, steps: Sequence[str]) -> str:
    """Return a solution as Math-Shepherd reads it, up to where it judges the last step.

    A line per step, as on its model card (Wang et al. 2024).
    """
    return f"{problem} " + "\n".join(f"{step} {MATH_SHEPHERD_MARKER}" for step in steps)


QWEN_PRM_SYSTEM = r"Please reason step by step, and put your final answer within \boxed{}."
QWEN_PRM_MARKER = "<extra_0>"
"""The special token at which Qwen2.5-Math-PRM judges the step before it."""


def qwen_prm_solution(problem: str, steps: Sequence[str]) -> str:
    """Return a solution as Qwen2.5-Math-PRM reads it, up to the last step's marker."""
    return render_chatml(question(problem, QWEN_PRM_SYSTEM)) + "".join(
        step + QWEN_PRM_MARKER for step in steps
    )
