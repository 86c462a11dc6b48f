"""A hundred replicas of uneven speed: none idles, and prefixes stay together all the same."""

from scripts.bench.fleet import OURS, SLOTS, simulated


def test_no_replica_of_a_large_fleet_idles_while_a_request_waits_for_another():
    ours = simulated(128, OURS, SLOTS, share=1.1, times=(5.0, 10.0))
    assert ours.idle == 0
    random = simulated(128, "random", SLOTS, share=1.1, times=(5.0, 10.0))
    assert random.idle > 10


def test_a_prefix_is_held_where_it_is_gone_on_from_and_load_is_nearly_as_even_as_without():
    ours, least, random = [
        simulated(16, way, 2 * SLOTS, share=4.0, times=(20.0, 20.0))
        for way in (OURS, "least-loaded", "random")
    ]
    assert ours.hits > 0.85 > 0.7 > least.hits > random.hits
    assert ours.written > 0.95 * least.written
    assert ours.written > 1.5 * random.written
    assert ours.imbalance < random.imbalance / 2
    assert ours.idle == 0 < random.idle
