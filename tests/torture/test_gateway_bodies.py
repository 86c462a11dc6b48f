"""A few of the cases of `scripts/torture/gateway_bodies.py`."""

from scripts.torture.gateway_bodies import fuzz


async def test_a_spoiled_body_is_answered_as_asked_or_refused_in_openais_shape():
    ends, wrong = await fuzz(range(150))
    assert wrong == {}
    assert ends.total() == 150
    assert ends["200"] > 15
    assert ends["400"] > 50
