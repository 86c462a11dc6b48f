"""One browser for all tests that open a page."""

from collections.abc import Iterator

import pytest

from tests.browser import chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[str]:
    with chromium() as url:
        yield url
