"""What the settings accept, from wherever they come."""

import pytest

from ttc_client.errors import ConfigError
from ttc_client.settings.config import load_settings, merge_settings
from ttc_client.settings.servers import Servers


@pytest.mark.parametrize(("given", "meant"), [("auto", "auto"), ("16", 16), (None, "auto")])
def test_concurrency_is_a_number_or_auto(given, meant):
    assert load_settings({"concurrency": given}, {}).servers.concurrency == meant
    if given:
        settings = load_settings({}, {"TTC_CONCURRENCY": given})
        assert settings.servers.concurrency == meant
        assert settings.origins["concurrency"] == "TTC_CONCURRENCY"


@pytest.mark.parametrize("value", ["lots", "1.5", "0", "-1", "AUTO", ""])
def test_another_concurrency_is_refused_by_name_and_value(value, tmp_path):
    with pytest.raises(ConfigError, match=f"concurrency is '?{value}'?.* or auto"):
        load_settings({}, {"TTC_CONCURRENCY": value})
    file = tmp_path / "ttc.toml"
    file.write_text(f'concurrency = "{value}"\n')
    with pytest.raises(ConfigError, match=f"concurrency is '?{value}'?.* or auto"):
        load_settings({}, {}, file)


@pytest.mark.parametrize("value", ["lots", 1.5, 0, None])
def test_another_concurrency_is_refused_from_python_too(value):
    with pytest.raises(ConfigError, match=f"concurrency is .?{value}.?: it must be 1 or more"):
        Servers(concurrency=value)


@pytest.mark.parametrize("name", ["", "X Session", "X-Session:", "X\r\nY", "Schlüssel"])
def test_a_header_that_cannot_be_one_is_refused(name):
    with pytest.raises(ConfigError, match=r"session_header is .* such as X-Session-ID"):
        Servers(session_header=name)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://u:secret@[::1", "policy is not a valid URL"),
        ("http://u:sec\u2100ret@gpu1", "policy is not a valid URL"),
        ("http://u:secret@gpu1", "of gpu1 with a user name or a query"),
        ("http://gpu1?key=secret", "of gpu1 with a user name or a query"),
    ],
)
def test_a_url_that_is_none_or_holds_a_secret_is_refused_unseen(url, says):
    with pytest.raises(ConfigError, match=says) as raised:
        Servers(policy=url)
    assert "secret" not in f"{raised.value}{raised.value.__cause__}"


def test_a_key_that_no_header_can_carry_is_refused_unseen():
    with pytest.raises(ConfigError, match=r"TTC_PRM_API_KEY .* line break") as raised:
        Servers(prm_api_key="sk-secret\n")
    assert "secret" not in str(raised.value)


def test_a_list_of_places_that_is_none_is_refused_without_its_password():
    table = {"policy": [1, "http://me:secret@gpu"]}
    with pytest.raises(ConfigError, match=r"policy .*must be a list of URLs") as raised:
        merge_settings({}, {}, table, "ttc.toml")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "wish"), [("n", "a whole number"), ("temperature", "a number"), ("top_k", "a whole")]
)
def test_a_number_that_is_none_is_refused_with_what_it_must_be(name, wish):
    with pytest.raises(ConfigError, match=rf"^{name} is 'abc' \(from flag\): it must be {wish}"):
        load_settings({name: "abc"}, {})
