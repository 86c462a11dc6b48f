"""Thoughts and responses, in the marks of many families."""

import pytest

from ttc_client.thoughts import opened_by, split_thought, unmarked, with_thought


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>\n2 and 2\n</think>\n\nIt is 4.", "2 and 2", "It is 4."),
        ("<think>\n\n</think>\n\nIt is 4.", "", "It is 4."),
        ("[THINK]2 and 2[/THINK]It is 4.", "2 and 2", "It is 4."),
        ("<thought>2 and 2</thought>\nIt is 4.", "2 and 2", "It is 4."),
        ("◁think▷2 and 2◁/think▷It is 4.", "2 and 2", "It is 4."),
        ("2 and 2\n</think>\n\nIt is 4.", "2 and 2", "It is 4."),  # the prompt opened it
        (
            "<|channel|>analysis<|message|>2 and 2<|end|><|start|>assistant<|channel|>final"
            "<|message|>It is 4.<|return|>",
            "2 and 2",
            "It is 4.",
        ),
        ("analysisThe user adds 2 and 2.assistantfinalIt is 4.", "The user adds 2 and 2.", None),
        ("It is 4.", "", "It is 4."),
        ("analysis of variance says 4.", "", "analysis of variance says 4."),
        ("  It is\n\n4.\n", "", "  It is\n\n4.\n"),  # untouched
    ],
)
def test_the_response_is_what_follows_the_thought(text, thought, answer):
    assert split_thought(text) == (thought, answer or "It is 4.", False)


@pytest.mark.parametrize(
    "text", ["<think>\nWe get \\boxed{4}", "<|channel|>analysis<|message|>so 4", "[THINK]so"]
)
def test_a_thought_without_an_end_is_open_and_no_response(text):
    found = split_thought(text)
    assert found.is_open
    assert not found.answer
    assert found.thought


def test_a_thought_that_the_prompt_opened_is_open_until_it_is_closed():
    assert split_thought("We get 4", opened=True).is_open
    assert split_thought("We get 4</think>4", opened=True) == ("We get 4", "4", False)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>What does </think> do? It closes.</think>\nIt closes a thought.", None),
        ("<think>A <think>pair</think> within.</think>\nIt closes a thought.", None),
        ("<think>The tag <think> opens.</think>\nIt closes a thought.", None),
        ("<think>Easy.</think>\n`</think>` closes it.", "`</think>` closes it."),
        ("<think>Easy.</think>\nWrite <think>x</think> so.", "Write <think>x</think> so."),
    ],
)
def test_marks_that_are_talked_about_end_no_thought(text, answer):
    assert split_thought(text).answer == (answer or "It closes a thought.")


def test_a_thought_beside_the_response_becomes_one_text_that_splits_again():
    assert split_thought(with_thought("2 and 2", "It is 4.")) == ("2 and 2", "It is 4.", False)
    assert split_thought(with_thought("2 and 2", None)) == ("2 and 2", "", True)
    assert with_thought(" ", "It is 4.") == "It is 4."


@pytest.mark.parametrize(
    ("prompt", "mark"),
    [
        ("<|im_start|>assistant\n<think>\n", "</think>"),
        ("[/INST][THINK]", "[/THINK]"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),
        ("<|im_start|>assistant\n", ""),
    ],
)
def test_a_prompt_may_open_the_thought_or_close_it(prompt, mark):
    assert opened_by(prompt) == mark


def test_without_its_marks_a_thought_has_steps():
    steps = [part.strip() for part in unmarked("<think>a\n\nb</think>c").split("\n\n")]
    assert [step for step in steps if step] == ["a", "b", "c"]


def test_a_long_text_of_marks_is_read_in_no_time():
    text = "<think>" + "<think>x</think>" * 50_000 + "</think>4"
    assert split_thought(text).answer == "4"


OPENING = [
    "<think>", "<thinking>", "<thought>", "<reasoning>", "<seed:think>", "[THINK]", "◁think▷",
    "<|begin_of_thought|>",
]  # fmt: skip


@pytest.mark.parametrize("mark", OPENING)
def test_the_mark_that_closes_is_enough(mark):
    close = opened_by(f"…assistant\n{mark}\n")
    assert split_thought(f"2 and 2{close}\nIt is 4.")[:2] == ("2 and 2", "It is 4.")
