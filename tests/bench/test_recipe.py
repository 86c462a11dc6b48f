"""What a bench runs: flags over a TOML file, and the searches that a grid comes to."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.tables import table
from ttc_client.bench.grid import Grid
from ttc_client.bench.recipe import load_plan
from ttc_client.errors import ConfigError
from ttc_client.search.adaptive import StopSettings
from ttc_client.search.dvts import SubtreeSettings
from ttc_client.search.strategies import STRATEGIES
from ttc_client.settings.config import load_settings
from ttc_client.settings.table_file import write_table


def searches(grid: Grid, **settings) -> list[tuple[str, int, int]]:
    return [(s.strategy, s.n, s.seed) for s in grid.searches(load_settings(settings, {}))]


def test_tree_searches_run_at_every_n_and_best_of_n_at_the_largest():
    grid = Grid(("greedy", "majority", "best-of-n", "beam"), (1, 4, 16), (7, 8))
    assert searches(grid) == [
        ("greedy", 1, 7),
        ("best-of-n", 16, 7),
        ("best-of-n", 16, 8),
        ("beam", 4, 7),
        ("beam", 4, 8),
        ("beam", 16, 7),
        ("beam", 16, 8),
    ]


def test_majority_runs_by_itself_where_best_of_n_does_not():
    assert searches(Grid(("majority",), (4, 8), (0,))) == [("majority", 8, 0)]


def test_what_stops_early_runs_at_every_n_and_is_read_off_nothing():
    grid = Grid(("majority", "best-of-n"), (4, 8), (0,))
    found = searches(grid, stop_at=0.95)
    assert found == [
        ("majority", 4, 0),
        ("majority", 8, 0),
        ("best-of-n", 4, 0),
        ("best-of-n", 8, 0),
    ]


def test_settings_are_shared_as_far_as_a_strategy_has_them():
    grid = Grid(("best-of-n", "dvts"), (8,), (0,))
    settings = load_settings({"m": 2, "lookahead": 1, "top_p": 0.9}, {"TTC_VOTE": "prm"})
    best_of_n, dvts = grid.searches(settings)
    assert (best_of_n.settings, dvts.settings) == (
        StopSettings(),
        SubtreeSettings(lookahead=1),
    )
    assert best_of_n.vote is None
    assert dvts.m == 2
    assert best_of_n.top_p == dvts.top_p == 0.9


def test_a_tournament_is_run_and_recorded_and_every_other_vote_is_counted_anyway():
    grid = Grid(("best-of-n", "majority"), (8,), (0,))
    settings = load_settings({"vote": "tournament"}, {})
    assert {search.vote for search in grid.searches(settings)} == {"tournament"}
    assert grid.settings(settings)["vote"] == "tournament"
    assert "vote" not in grid.settings(load_settings({}, {}))
    with pytest.raises(ConfigError, match="vote is weighted, but a bench counts every vote"):
        grid.searches(load_settings({"vote": "weighted"}, {}))


@pytest.mark.parametrize(
    ("grid", "says"),
    [
        ((("dvts",), (), (0,)), "no budgets"),
        ((("dvts",), (4, 4), (0,)), "repeat"),
        ((("beam",), (1, 2), (0,)), "n is 2 and m is 4: beam needs n to be at least m"),
        ((("beam",), (4, 10), (0,)), "multiple of m, such as 8"),
    ],
)
def test_an_impossible_grid_is_refused(grid, says):
    with pytest.raises(ConfigError, match=says):
        Grid(*grid).searches(load_settings({}, {}))


def test_compute_optimal_scaling_runs_at_every_n_that_its_table_reaches():
    grid = Grid(("best-of-n", "compute-optimal"), (2, 4, 16), (0,))
    settings = load_settings({"table": table(), "lookahead": 1}, {})
    searches = grid.searches(settings)
    assert [(s.strategy, s.n, getattr(s.settings, "lookahead", None)) for s in searches] == [
        ("best-of-n", 16, None),
        ("compute-optimal", 4, 1),
        ("compute-optimal", 16, 1),
    ]
    with pytest.raises(ConfigError, match="the table's smallest budget is 4"):
        Grid(("compute-optimal",), (1, 2), (0,)).searches(settings)


def test_the_tables_content_is_of_the_settings_where_it_decides_the_outcome(tmp_path):
    path = tmp_path / "table.json"
    write_table(table(), path)
    flags = {"dataset": "demomath", "n": "4,16", "table": str(path)}
    plan = load_plan({**flags, "strategy": "beam,compute-optimal,dvts"}, {})
    assert plan.recorded["own"]["compute-optimal"] == {"lookahead": 0, "table": table()}
    assert plan.recorded["own"]["beam"] == {"lookahead": 0}
    write_table(table(edge=0.25), path)
    plan = load_plan({**flags, "strategy": "compute-optimal"}, {})
    assert plan.recorded["own"]["compute-optimal"]["table"] != table()
    with pytest.raises(ConfigError, match=r"beam has no such setting: .* or use compute-optimal"):
        load_plan({**flags, "strategy": "beam"}, {})
    del flags["table"]
    with pytest.raises(ConfigError, match="--table FILE"):
        load_plan({**flags, "strategy": "beam,compute-optimal"}, {})


RECIPE = """
dataset = "demomath"
limit = 3
levels = [2, 3]
strategy = ["best-of-n", "dvts"]
n = [4, 8]
seed = [0, 1]
temperature = 0.7
"""


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def test_a_recipe_holds_problems_grid_and_settings(recipe):
    plan = load_plan({}, {}, recipe)
    assert {problem.level for problem in plan.problems} == {"2", "3"}
    assert len(plan.problems) == 3
    assert plan.selected.startswith("3 of 500 problems: of level 2, 3, a sample")
    assert [(s.strategy, s.n) for s in plan.searches if s.seed == 1] == [
        ("best-of-n", 8),
        ("dvts", 4),
        ("dvts", 8),
    ]
    assert all(search.temperature == 0.7 for search in plan.searches)


def test_flags_come_before_the_recipe_and_lists_may_be_text(recipe):
    plan = load_plan({"n": "8, 16", "seed": "3", "limit": 1, "temperature": 0.5}, {}, recipe)
    assert len(plan.problems) == 1
    assert {search.n for search in plan.searches} == {8, 16}
    assert {(search.seed, search.temperature) for search in plan.searches} == {(3, 0.5)}


def test_without_a_grid_the_settings_name_the_one_search():
    plan = load_plan({"dataset": "demomath"}, {"TTC_STRATEGY": "beam", "TTC_N": "8"})
    assert [(s.strategy, s.n, s.seed) for s in plan.searches] == [("greedy", 1, 0), ("beam", 8, 0)]
    plan = load_plan({"dataset": "demomath"}, {"TTC_STRATEGY": "greedy"})
    assert [s.strategy for s in plan.searches] == ["greedy"]


def test_a_seed_may_be_below_zero():
    plan = load_plan({"dataset": "demomath", "strategy": "majority", "seed": "-1,0"}, {})
    assert [search.seed for search in plan.searches] == [-1, 0]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({}, "no dataset"),
        ({"dataset": "demomath", "strategy": "bean"}, "bean"),
        ({"dataset": "demomath", "n": "4;8"}, "4;8"),
        ({"dataset": "demomath", "shard": "2"}, "i/k"),
    ],
)
def test_a_wrong_flag_is_named(flags, says):
    with pytest.raises(ConfigError, match=says):
        load_plan(flags, {})


def test_a_misspelt_key_is_named_with_a_near_one(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("datset = 'demomath'\n")
    with pytest.raises(ConfigError, match="did you mean dataset"):
        load_plan({}, {}, path)


@pytest.mark.parametrize("name", ["llama-1b", "llama-3b", "qwen-1.5b"])
def test_the_posts_own_runs_are_shipped(name, monkeypatch):
    rows = [{"problem": "1+1?", "answer": "2"}]
    library = SimpleNamespace(load_dataset=lambda *_, **__: rows)
    monkeypatch.setitem(sys.modules, "datasets", library)
    with pytest.raises(ConfigError, match="demo models know little of HuggingFaceH4/MATH-500"):
        load_plan({}, {}, Path(name))
    assert load_plan({}, {}, Path(name), demo=True).settings.servers.is_demo
    plan = load_plan({}, {"TTC_POLICY": "http://p", "TTC_PRM": "http://q"}, Path(name))
    trees = [(s.strategy, s.n) for s in plan.searches if s.seed == 4]
    assert trees == [
        ("best-of-n", 256),
        *((strategy, n) for strategy in ("beam", "dvts") for n in (4, 16, 64, 256)),
    ]
    assert plan.recorded["dataset"] == "HuggingFaceH4/MATH-500"


def test_a_shipped_recipe_compares_all_strategies_that_the_demo_models_can_do():
    plan = load_plan({}, {}, Path("strategies"))
    assert plan.settings.servers.is_demo
    assert len(plan.problems) == 500
    found = {s.strategy for s in plan.searches} | {"majority"}  # read off best-of-n's samples
    assert found == {*STRATEGIES} - {"compute-optimal", "revise", "rsa"}
    by_n = {n: {s.strategy for s in plan.searches if s.n == n and s.seed == 2} for n in (4, 16, 64)}
    assert by_n[4] == by_n[16] == by_n[64] - {"best-of-n"}
    assert {"beam", "dvts", "particles", "rebase", "mcts"} <= by_n[4]


def test_rows_that_are_left_out_are_said_and_counted(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text('{"problem":"1+1?","answer":"2"}\n{"problem":"1+2?"}\n')
    with pytest.warns(UserWarning, match="1 of 2 rows are left out: row 1 has no answer"):
        plan = load_plan({"dataset": str(path)}, {}, demo=True)
    assert plan.recorded["left_out"] == 1
