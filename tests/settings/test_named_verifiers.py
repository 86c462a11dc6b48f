"""Which verifiers the settings name, and what does not fit together."""

import pytest

from ttc_client.errors import ConfigError
from ttc_client.settings.config import load_settings
from ttc_client.settings.servers import Servers
from ttc_client.settings.verifiers import NamedVerifier, named_verifiers, spread

P, A, B = "http://policy", "http://a", "http://b"


def test_apis_come_with_commas_and_weights():
    assert named_verifiers("judge=2, confidence,python:mine:f=0.5") == (
        NamedVerifier("judge", 2.0),
        NamedVerifier("confidence"),
        NamedVerifier("python:mine:f", 0.5),
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"prm_api": "jugde"}, "prm_api is 'jugde'.*judge"),
        ({"prm_api": "python:mine"}, "python:module:function"),
        ({"prm_api": "judge,confidence"}, "several verifiers need --combine"),
        ({"prm_api": "judge=2"}, "a weight needs several"),
        ({"prm_api": "judge=x,self", "combine": "mean"}, "weight of judge is 'x'"),
        ({"prm_api": "judge=0,self", "combine": "mean"}, "above 0"),
        ({"prm_api": "judge=nan,self", "combine": "mean"}, "above 0"),
        ({"prm_api": "judge=2,self", "combine": "min"}, "weights count nothing"),
        ({"prm_api": "confidence", "prm": (A,)}, "needs no server: leave --prm out"),
        ({"combine": "mean"}, "there is one verifier"),
        ({"combine": "mean", "prm": (A,)}, "there is one verifier"),
        ({"prm_api": "judge,score", "combine": "mean", "prm": (A, B, P)}, "2 verifiers.*but prm 3"),
        ({"combine": "average", "prm": (A, B)}, "combine is 'average'"),
        ({"verdicts": 0}, "verdicts is 0"),
        ({"top_logprobs": 1}, "top_logprobs is 1"),
        ({"top_logprobs": 21}, "top_logprobs is 21"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_fix(given, says):
    with pytest.raises(ConfigError, match=says):
        Servers(policy=(P,), **given)


def test_places_are_replicas_unless_they_are_combined():
    one = NamedVerifier("judge")
    assert spread("judge", [A, B], None) == [(one, [A, B])]
    assert spread("judge", [A, B], "mean") == [(one, (A,)), (one, (B,))]
    named = [(NamedVerifier("auto", 2.0), (A,)), (one, (B,)), (NamedVerifier("confidence"), ())]
    assert spread("auto=2,confidence,judge", [A, B], "mean") == named


@pytest.mark.parametrize("api", ["self", "confidence", "python:mine:f"])
def test_a_search_needs_no_prm_for_a_verifier_without_a_server(api):
    settings = load_settings({"policy": P, "prm_api": api, "strategy": "best-of-n"}, {})
    assert settings.servers.has_verifier
    assert settings.params.strategy == "best-of-n"


@pytest.mark.parametrize(
    ("api", "says"),
    [
        ("auto", r"needs a verifier.*--prm URL.*confidence"),
        ("judge", r"prm_api is judge, .* add --prm URL"),
    ],
)
def test_one_at_a_server_must_be_named(api, says):
    settings = load_settings({"policy": P, "prm_api": api, "strategy": "best-of-n"}, {})
    with pytest.raises(ConfigError, match=says):
        settings.params  # noqa: B018


def test_a_search_without_a_verifier_opens_none():
    settings = load_settings({"policy": P, "prm_api": "confidence", "strategy": "majority"}, {})
    assert not settings.servers_for([settings.params]).has_verifier


def test_public_tests_are_called_by_their_name_and_need_problems_that_have_some():
    (tests,) = named_verifiers("tests")
    assert (tests.api, tests.needs_place) == ("tests", False)
    assert tests.function == "python:ttc_client.tasks.public_tests:public_tests"
    servers = Servers(prm_api="tests")
    servers.check_task("code")
    with pytest.raises(ConfigError, match="the problems of task math have no tests: use --task"):
        servers.check_task("math")
