"""One browser for all tests that open a page, and a strategy that is in no release."""

from collections.abc import Iterator

import pytest

from tests.browser import chromium
from ttc_client.search.found import Found
from ttc_client.search.params import StrategySettings
from ttc_client.search.search import Search
from ttc_client.search.strategies import STRATEGIES
from ttc_client.search.strategy import Strategy


@pytest.fixture(scope="package")
def browser() -> Iterator[str]:
    with chromium() as url:
        yield url


async def _search(search: Search[StrategySettings]) -> Found:
    sampled = await search.expand(search.root, search.params.n, until="end")
    return Found(sampled, search.completions(sampled))


@pytest.fixture
def dice(monkeypatch) -> Strategy[StrategySettings]:
    """A strategy as somebody adds one: its record, and a line in the table."""
    strategy = Strategy("dice", "a tree by chance", _search)
    monkeypatch.setitem(STRATEGIES, strategy.name, strategy)
    return strategy
