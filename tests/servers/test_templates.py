"""The fixed chat template beside the stock one, each line of difference pinned."""

from pathlib import Path

import pytest
from jinja2 import Environment, Template

from ttc_client.clients.prompts import (
    RLHFLOW_APPROVAL,
    RLHFLOW_SYSTEM,
    llama3_turn,
    question,
    render_llama3,
    rlhflow_question,
)
from ttc_client.tasks.prompts import META_MATH_SYSTEM_PROMPT

FIXED = Path(__file__).parents[2] / "servers" / "templates" / "llama3.jinja"
STOCK_LIKE = Path(__file__).with_name("stock_like.jinja")

PROBLEM = r"  What is $\frac{1}{2} + 1$?"
STEP = "## Step 1: Add\n$1 + 2 = 3$\n\n"


def environment() -> Environment:
    """Return jinja2 set up as transformers and vLLM set it up for chat templates."""
    return Environment(trim_blocks=True, lstrip_blocks=True)


@pytest.fixture(name="fixed")
def fixed_template() -> Template:
    return environment().from_string(FIXED.read_text())


@pytest.fixture(name="stock")
def stock_template() -> Template:
    return environment().from_string(STOCK_LIKE.read_text())


def conversation(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in turns]


def test_the_two_differences_the_post_warns_of(fixed: Template, stock: Template) -> None:
    messages = conversation(("system", "Solve."), ("user", "1 + 2?"), ("assistant", STEP))
    values = {
        "messages": messages,
        "bos_token": "<|begin_of_text|>",
        "strftime_now": lambda _: "26 Jul 2024",
    }
    trimmed = stock.render(**values)
    kept = fixed.render(**values)

    assert trimmed.startswith("<|begin_of_text|><|start_header_id|>system")
    assert trimmed.endswith("$1 + 2 = 3$<|eot_id|>")
    assert kept.startswith("<|start_header_id|>system")
    assert kept.endswith("$1 + 2 = 3$\n\n<|eot_id|>")
    assert kept.replace("3$\n\n<", "3$<") == trimmed.removeprefix("<|begin_of_text|>")


def test_date_is_the_same_every_day(fixed: Template, stock: Template) -> None:
    messages = conversation(("user", "1 + 2?"))
    assert "Today Date: 26 Jul 2024\n\n" in fixed.render(messages=messages)
    next_year = stock.render(messages=messages, strftime_now=lambda _: "26 Jul 2025")
    assert "Today Date: 26 Jul 2025\n\n" in next_year


def test_a_problem_is_rendered_as_the_client_renders_it(fixed: Template) -> None:
    messages = conversation(("system", META_MATH_SYSTEM_PROMPT), ("user", PROBLEM))
    rendered = fixed.render(messages=messages, add_generation_prompt=True)
    assert rendered == render_llama3(question(PROBLEM, META_MATH_SYSTEM_PROMPT))


def test_prm_conversation_is_rendered_as_the_client_renders_it(fixed: Template) -> None:
    steps = ["## Step 1: Add\n$1 + 2 = 3$", "Therefore, it is 3."]
    messages = conversation(
        ("user", f"1 + 2? {steps[0]}"), ("assistant", "+"), ("user", steps[1]), ("assistant", "+")
    )
    expected = RLHFLOW_SYSTEM + "".join(
        rlhflow_question("1 + 2?", index, step) + RLHFLOW_APPROVAL
        for index, step in enumerate(steps)
    )
    assert fixed.render(messages=messages) == expected


def test_client_and_template_agree_on_a_turn(fixed: Template) -> None:
    text = fixed.render(messages=conversation(("user", " a\n")))
    assert text == RLHFLOW_SYSTEM + llama3_turn("user", " a\n")
