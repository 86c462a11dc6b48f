"""When new searches are refused because of the model servers."""

import pytest

from ttc_client.errors import RequestError, TimedOutError, TransientServerError
from ttc_client.gateway import health
from ttc_client.gateway.health import Health

URL = "http://gpu1:8000"
SLOW = TimedOutError("it does not answer", url=URL)
DOWN = TransientServerError("nothing answers", url=URL)
REFUSING = RequestError("it refuses", url=URL, status=401)


def healths(monkeypatch: pytest.MonkeyPatch, *said: Exception | None) -> tuple[Health, list[float]]:
    """Return the health of servers that say so in turn, and the clock, to be moved."""
    answers, clock = iter(said), [0.0]

    async def ready() -> None:
        if error := next(answers):
            raise error

    monkeypatch.setattr(health, "_now", lambda: clock[0])
    return Health(ready), clock


async def test_servers_that_are_slow_for_a_moment_are_still_asked(monkeypatch):
    found, clock = healths(monkeypatch, None, SLOW, SLOW, None)
    await found.check()
    clock[0] = 5.0
    await found.check()
    clock[0] = 12.0
    with pytest.raises(TimedOutError):
        await found.check()
    assert not found.gone.is_set()
    clock[0] = 15.0
    await found.check()


async def test_servers_that_never_answered_are_not_asked(monkeypatch):
    found, _ = healths(monkeypatch, SLOW)
    with pytest.raises(TimedOutError):
        await found.check()


@pytest.mark.parametrize("error", [DOWN, REFUSING])
async def test_servers_that_are_down_or_refuse_are_not_asked(error, monkeypatch):
    found, clock = healths(monkeypatch, None, error)
    await found.check()
    clock[0] = 3.0
    with pytest.raises(type(error)):
        await found.check()
