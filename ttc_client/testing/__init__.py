"""Test a strategy, policy, verifier or task of your own without a server.

    from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, run_search

`ScriptedPolicy` and `ScriptedVerifier` stand in for the servers, `run_search` runs a strategy on
them, and the functions that begin with `check_` are the tests that every implementation passes.
"""

from ttc_client.testing.contracts import (
    check_policy,
    check_strategy,
    check_task,
    check_verifier,
)
from ttc_client.testing.ports import ScriptedPolicy, ScriptedVerifier, perfect, walk
from ttc_client.testing.searches import ROOT, a_problem, run_search

__all__ = [
    "ROOT",
    "ScriptedPolicy",
    "ScriptedVerifier",
    "a_problem",
    "check_policy",
    "check_strategy",
    "check_task",
    "check_verifier",
    "perfect",
    "run_search",
    "walk",
]
