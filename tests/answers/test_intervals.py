"""Sets of real numbers by their keys, against membership of points."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ttc_client.answers.intervals import complement, intersection, union

ENDS = st.integers(-3, 3)
POINTS = [Fraction(twice, 2) for twice in range(-10, 11)]


@st.composite
def parts(draw: st.DrawFn) -> str:
    low, high = sorted((draw(ENDS), draw(ENDS)))
    if low == high:
        return str(low)
    left, right = draw(st.sampled_from("[(")), draw(st.sampled_from("])"))
    low_key, high_key = (
        draw(st.sampled_from([str(low), "-oo"])),
        draw(st.sampled_from([str(high), "oo"])),
    )
    left = "(" if low_key == "-oo" else left
    right = ")" if high_key == "oo" else right
    return f"{left}{low_key},{high_key}{right}"


SETS = st.frozensets(parts(), max_size=4)


def members(keys: frozenset[str] | None) -> set[Fraction]:
    assert keys is not None
    return {point for point in POINTS if any(holds(key, point) for key in keys)}


def holds(key: str, point: Fraction) -> bool:
    if "," not in key:
        return point == int(key)
    low, high = (float(end.replace("oo", "inf")) for end in key[1:-1].split(","))
    is_above = point > low or (point == low and key[0] == "[")
    return is_above and (point < high or (point == high and key[-1] == "]"))


@given(SETS, SETS)
def test_sets_hold_the_points_that_they_should(left: frozenset[str], right: frozenset[str]) -> None:
    assert members(union(left | right)) == members(left) | members(right)
    assert members(intersection(left, right)) == members(left) & members(right)
    assert members(complement(left)) == set(POINTS) - members(left)


@given(SETS)
def test_equal_sets_have_equal_parts(keys: frozenset[str]) -> None:
    gaps = complement(keys)
    assert gaps is not None
    assert complement(complement(gaps) or ()) == gaps


def test_what_is_not_on_the_line_is_left_alone() -> None:
    assert union(["(1,2)", "text:east", "(2,3)", "(5,1)"]) == {
        "(1,2)",
        "(2,3)",
        "text:east",
        "(5,1)",
    }
    assert complement(["text:east"]) is None
    assert intersection(["(1,2)"], ["text:east"]) is None
    assert union(
        ["(1,1.41421356237309504880168872421)", "[1.41421356237309504880168872421,3)"]
    ) == {"(1,3)"}
