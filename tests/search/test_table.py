"""The table of compute-optimal scaling: what it says, and what contradicts itself."""

from dataclasses import replace

import pytest

from tests.tables import table
from ttc_client.errors import ConfigError
from ttc_client.search.compute_optimal import COMPUTE_OPTIMAL, TableSettings
from ttc_client.search.params import SearchParams
from ttc_client.search.table import Budget, Choice, bin_of
from ttc_client.types import Allocation


def test_bins_are_numbered_from_the_easiest_and_an_edge_belongs_to_the_easier():
    edges = (0.8, 0.5, 0.5, 0.1)
    assert [bin_of(ease, edges) for ease in (1, 0.8, 0.79, 0.5, 0.49, 0.1, 0)] == [
        *(1, 1, 2, 2, 4, 4, 5),
    ]


@pytest.mark.parametrize(("n", "budget"), [(4, 4), (15, 4), (16, 16), (64, 16)])
def test_a_budget_that_the_table_lacks_goes_by_the_largest_below(n, budget):
    assert table().budget(n).n == budget


def test_below_the_smallest_budget_there_is_nothing_to_go_by():
    with pytest.raises(ConfigError, match="n is 3, but the table's smallest budget is 4"):
        COMPUTE_OPTIMAL.checked(
            SearchParams(strategy="compute-optimal", n=3, settings=TableSettings(table=table()))
        )


def test_a_problem_gets_the_choice_of_its_bin_and_a_tree_is_no_wider_than_what_is_left():
    found = table().allocate(16, 0.6)
    assert found == Allocation(1, 0.6, 4, "best-of-n", None)
    assert table().allocate(16, 0.4) == Allocation(2, 0.4, 4, "dvts", 4)
    assert table().allocate(4, 0.4) == Allocation(2, 0.4, 1, "dvts", 3)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"budgets": ()}, "no budgets"),
        ({"edges": (0.1, 0.5)}, "must fall"),
        ({"edges": ()}, "2 choices, and there are 1 bins"),
        ({"budgets": table().budgets[::-1]}, "must grow"),
        ({"budgets": (Budget(4, 5, table().budgets[0].choices),)}, "probe of 5"),
        ({"budgets": (Budget(4, 1, (Choice("beam", 0),) * 2),)}, "beam with m = 0"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(changes, says):
    with pytest.raises(ConfigError, match=says):
        replace(table(), **changes)


def test_other_models_than_the_fitted_ones_are_named():
    table().check_models("policy", "prm")
    with pytest.raises(ConfigError, match="for the PRM prm, and this one is other"):
        table().check_models("policy", "other")
    with pytest.raises(ConfigError, match="for the policy policy, and this one is other"):
        table().check_models("other", "prm")


def test_compute_optimal_needs_a_table_whose_rewards_are_reduced_alike():
    settings = TableSettings(table=table(), lookahead=1)
    with pytest.raises(ConfigError, match="--table FILE"):
        COMPUTE_OPTIMAL.checked(SearchParams(strategy="compute-optimal"))
    params = SearchParams(strategy="compute-optimal", settings=settings, n=17)
    with pytest.raises(ConfigError, match=r"reduction is min, but the table's bins are of .* last"):
        COMPUTE_OPTIMAL.checked(replace(params, reduction="min"))
    assert COMPUTE_OPTIMAL.checked(params) == params
    assert COMPUTE_OPTIMAL.needs == "prefixes"
