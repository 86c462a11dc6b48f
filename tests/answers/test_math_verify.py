"""The grader of the extra `math-verify`."""

import pytest

from ttc_client.answers import math_verify
from ttc_client.answers.math_verify import MathVerify, math_verify_version
from ttc_client.errors import ConfigError


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise math_verify.PackageNotFoundError(name)

    monkeypatch.setattr(math_verify, "version", missing)
    with pytest.raises(ConfigError, match=r"\.\[math-verify\]"):
        MathVerify()


async def test_grades_as_the_library_does() -> None:
    async with MathVerify(workers=1) as grader:
        assert grader.version == math_verify_version()
        verdicts = await grader.grade(["0.5", r"$\frac{2}{4}$", "0.6", "", "x^"], r"\frac12")
    assert verdicts == [True, True, False, False, False]
