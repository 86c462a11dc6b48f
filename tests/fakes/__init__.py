"""Fake ports, servers and clocks, shared by the tests and by `scripts/`."""
