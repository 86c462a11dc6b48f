"""DemoMath: generated maths problems in the style of MATH, each step checkable by program.

Knows problems and their truth; knows nothing of models or tokens.
"""

from ttc_servers.demomath.options import fixed_choice_set
from ttc_servers.demomath.problems import (
    FAMILIES,
    LEVELS,
    SPLITS,
    Problem,
    boxed,
    careless_steps,
    check_steps,
    draw,
    draw_worded,
    first_error,
    fixed_test_set,
    generate,
    is_right,
    split_of,
)
from ttc_servers.demomath.solutions import fixed_process_set

__all__ = [
    "FAMILIES",
    "LEVELS",
    "SPLITS",
    "Problem",
    "boxed",
    "careless_steps",
    "check_steps",
    "draw",
    "draw_worded",
    "first_error",
    "fixed_choice_set",
    "fixed_process_set",
    "fixed_test_set",
    "generate",
    "is_right",
    "split_of",
]
