"""Which answers are right, and what becomes of those that there is no time for."""

from ttc_client.answers import AnswerPool
from ttc_client.answers.grading import grade
from ttc_client.answers.pool import Key


async def test_equivalent_answers_are_right_and_an_empty_one_is_wrong():
    async with AnswerPool(workers=1) as pool:
        answers = ["0.5", r"\frac{2}{4}", "5", "", r"\sin 30^\circ"]
        grades = await grade(pool, answers, r"\frac12")
        assert grades.correct == (True, True, False, False, True)
        assert grades.keys[0] == grades.keys[1] == grades.keys[4]
        assert sum(grades.timed_out) == 0
        assert (await grade(pool, [""], "")).correct == (False,)


async def test_what_takes_too_long_is_wrong_and_counted_unless_it_reads_like_the_gold_answer():
    async with AnswerPool(workers=1, total_deadline_s=1e-6) as pool:
        answers = [r"\sqrt{3}/3", r"\frac{1}{\sqrt 3}", r"\frac{1}{\sqrt{3}}", "2"]
        grades = await grade(pool, answers, r"\frac{1}{\sqrt{3}}")
    assert grades.correct == (False, False, True, False)
    assert sum(grades.timed_out) == 3


async def test_a_string_for_want_of_time_equals_no_proper_key():
    class Pool(AnswerPool):
        async def keys(self, answers):
            return [Key("text:east", timed_out=answer == "slow") for answer in answers]

    assert (await grade(Pool(), ["slow", "east"], r"\text{east}")).correct == (False, True)
