"""Who pays against best-of-n, in words and as a table; the sizes of the demo models."""

import json
from math import prod
from pathlib import Path

import ttc_servers
from tests.analysis.test_payoff import BASELINE, BEAM, BEST_OF_N, DVTS, point
from ttc_client.analysis.curves import Curve
from ttc_client.analysis.payoff import payoffs
from ttc_client.report.equal_tokens import payoff_table, payoffs_said
from ttc_client.report.sources import DEMO_POLICY_PARAMS, DEMO_PRM_PARAMS

MODELS = Path(ttc_servers.__file__).parent / "models"
POINTS = {
    Curve("greedy", "majority"): {1: point(0.2, 90)},
    BEST_OF_N: BASELINE,
    DVTS: {4: point(0.7, 200), 64: point(0.9, 9000)},
    BEAM: {4: point(0.5, 400)},
    Curve("rebase", "weighted"): {4: point(0.1, 400)},
}


def test_a_row_says_pays_or_does_not_pay_here():
    table = payoff_table(payoffs(POINTS, 1.0))
    rows = {(row["strategy"], row["N"]): row for row in _rows(table)}
    assert {key: row["verdict"] for key, row in rows.items()} == {
        **{("best-of-n", str(n)): "" for n in BASELINE},
        ("greedy", "1"): "",
        ("dvts", "4"): "pays",
        ("dvts", "64"): "pays, at more tokens",
        ("beam", "4"): "level: does not pay here",
        ("rebase", "4"): "does not pay here",
    }
    assert rows["dvts", "64"]["as best-of-n at"] == "more than 16"
    assert (rows["dvts", "4"]["gain"], rows["dvts", "4"]["as best-of-n at"]) == ("35.0", "2")
    assert [key for key, row in rows.items() if row["best so far"] == "yes"] == [
        *(("greedy", "1"), ("dvts", "4"), ("dvts", "64")),
    ]


def _rows(table) -> list[dict[str, str]]:
    return [dict(zip(table.header, row, strict=True)) for row in table.texts()]


def test_findings_name_what_pays_and_who_reaches_the_largest_best_of_n_first():
    better, reached = payoffs_said(payoffs(POINTS, 1.0))
    assert better.startswith("Better than best-of-n at equal tokens: dvts at 4 (")
    assert "beam" not in better
    assert reached == (
        "The accuracy of best-of-n at 16 (60.0 %) is reached first by dvts at 4 (70.0 %), with an "
        "eighth of the tokens."
    )


def test_where_nothing_pays_or_reaches_it_that_is_said():
    points = {BEST_OF_N: BASELINE, BEAM: {4: point(0.5, 400)}}
    assert payoffs_said(payoffs(points, 1.0)) == [
        "Better than best-of-n at equal tokens: nothing.",
        "Nothing reaches the accuracy of best-of-n at 16 (60.0 %) with fewer tokens; nearest is "
        "beam at 4 (50.0 %), with a quarter of the tokens.",
    ]
    assert payoffs_said(payoffs({BEAM: points[BEAM]}, 1.0)) == []


def test_the_demo_models_have_as_many_parameters_as_is_said():
    for name, said in (("policy", DEMO_POLICY_PARAMS), ("prm", DEMO_PRM_PARAMS)):
        assert abs(num_parameters(name) / said - 1) < 0.05


def num_parameters(name: str) -> int:
    """Count them in the header of the weights' file."""
    content = (MODELS / name / "model.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return sum(prod(t["shape"]) for key, t in header.items() if key != "__metadata__")
