"""The exact texts that the models were trained on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_client.clients.prompts import (
    RLHFLOW_APPROVAL,
    RLHFLOW_SYSTEM,
    math_shepherd_solution,
    question,
    qwen_prm_solution,
    render_chatml,
    render_llama3,
    rlhflow_question,
)
from ttc_client.search.steps import split_steps
from ttc_client.tasks.prompts import META_MATH_SYSTEM_PROMPT
from ttc_client.types import Message


def test_the_llama_3_prompt_pins_the_date_and_leaves_the_answer_open():
    assert render_llama3(question("What is 1+1?", "Be brief.\n")) == (
        "<|start_header_id|>system<|end_header_id|>\n\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
        "Be brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhat is 1+1?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_the_chatml_prompt_leaves_the_answer_open():
    assert render_chatml(question("What is 1+1?", "Be brief.")) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nWhat is 1+1?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


CONVERSATION = (
    Message("system", " Be brief.\n"),
    Message("user", "What is 1+1? "),
    Message("assistant", "2\n\n"),
    Message("user", "And 2+2?"),
)


def test_the_llama_3_prompt_holds_every_turn_untrimmed_and_one_system_turn():
    assert render_llama3(CONVERSATION) == (
        "<|start_header_id|>system<|end_header_id|>\n\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
        "Be brief.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhat is 1+1? <|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n2\n\n<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nAnd 2+2?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_without_a_system_prompt_the_llama_3_prompt_keeps_its_own_system_turn():
    assert render_llama3(CONVERSATION[1:]) == render_llama3(
        (Message("system", ""), *CONVERSATION[1:])
    )
    assert render_llama3(CONVERSATION[1:]).startswith(RLHFLOW_SYSTEM)


def test_the_chatml_prompt_holds_every_turn():
    assert render_chatml(CONVERSATION) == (
        "<|im_start|>system\n Be brief.\n<|im_end|>\n"
        "<|im_start|>user\nWhat is 1+1? <|im_end|>\n"
        "<|im_start|>assistant\n2\n\n<|im_end|>\n"
        "<|im_start|>user\nAnd 2+2?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_rlhflow_reads_a_turn_per_step_and_the_problem_in_the_first():
    conversation = (
        RLHFLOW_SYSTEM
        + rlhflow_question("What?", 0, "one")
        + RLHFLOW_APPROVAL
        + rlhflow_question("What?", 1, "two ")
    )
    assert conversation == (
        "<|start_header_id|>system<|end_header_id|>\n\n"
        "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhat? one<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n+<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\ntwo<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n"
    )


def test_math_shepherd_and_qwen_read_a_marker_after_each_step():
    assert math_shepherd_solution("What?", ("one", "two")) == "What? one ки\ntwo ки"
    assert qwen_prm_solution("What?", ("one", "two")) == (
        "<|im_start|>system\nPlease reason step by step, and put your final answer within "
        "\\boxed{}.<|im_end|>\n"
        "<|im_start|>user\nWhat?<|im_end|>\n"
        "<|im_start|>assistant\none<extra_0>two<extra_0>"
    )


@pytest.mark.parametrize("render", [render_llama3, render_chatml])
def test_no_prompt_holds_a_bos(render):
    prompt = render(question("p", META_MATH_SYSTEM_PROMPT))
    assert "<|begin_of_text|>" not in prompt
    assert "<s>" not in prompt


def test_blank_steps_are_none():
    assert split_steps("one\n\n\n\ntwo \n\n \n\n") == ("one", "two")
    assert split_steps("") == ()


@given(st.lists(st.text("ab \n", min_size=1).filter(lambda s: s.strip() and "\n\n" not in s)))
def test_steps_that_were_joined_are_found_again(steps):
    stripped = tuple(step.strip() for step in steps)
    assert split_steps("\n\n".join(stripped)) == stripped
