"""Here the clock jumps: seconds and hours of waiting take no time."""

from tests.fakes.virtual_time import VirtualLoop


def pytest_asyncio_loop_factories(config, item):
    return {"virtual": VirtualLoop}
