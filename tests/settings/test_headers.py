"""Headers of the user's own: named in settings, valued in the environment, shown nowhere."""

import pytest

from ttc_client.errors import ConfigError
from ttc_client.settings.config import load_settings
from ttc_client.settings.headers import headers_for
from ttc_client.settings.servers import Servers

NAMED = ("authorization=LOGIN", "policy:X-Team=TEAM", "prm:X-Team=OTHER")
ENVIRONMENT = {"LOGIN": "Basic dXNlcjpwYXNz", "TEAM": "red", "OTHER": "blue"}


def test_each_role_gets_its_own_headers_and_those_of_both():
    login = {"Authorization": "Basic dXNlcjpwYXNz"}
    assert headers_for("policy", NAMED, ENVIRONMENT) == {**login, "X-Team": "red"}
    assert headers_for("prm", NAMED, ENVIRONMENT) == {**login, "X-Team": "blue"}


def test_they_come_from_a_flag_a_variable_or_a_file(tmp_path):
    file = tmp_path / "ttc.toml"
    file.write_text('header = ["X-Team=TEAM", "policy:X-Key=KEY"]\n')
    wanted = ("X-Team=TEAM", "policy:X-Key=KEY")
    assert load_settings({"header": [*wanted]}, {}).servers.header == wanted
    assert load_settings({}, {"TTC_HEADER": ",".join(wanted)}).servers.header == wanted
    assert load_settings({}, {}, file).servers.header == wanted


@pytest.mark.parametrize(
    "given",
    ["Authorization: Basic secret", "Basic secret==", "X-Key", "X-Key=", "=KEY", "X Key=KEY",
     "verifier:X-Key=KEY", "X-Key=a-secret", "X-Key=KEY\r\nX: y"],
)  # fmt: skip
def test_what_does_not_name_a_variable_is_refused_unseen(given):
    with pytest.raises(ConfigError, match="header is not NAME=VARIABLE, such as") as raised:
        Servers(header=(given,))
    assert "secret" not in str(raised.value)


def test_a_header_of_the_protocol_is_left_to_it():
    with pytest.raises(ConfigError, match="header names Content-Length"):
        Servers(header=("Content-Length=SIZE",))


@pytest.mark.parametrize(("value", "says"), [(None, "LOGIN, which"), ("s3cret\n", "line break")])
def test_a_variable_that_holds_no_header_is_refused_unseen(value, says):
    environment = {} if value is None else {"LOGIN": value}
    with pytest.raises(ConfigError, match=says) as raised:
        headers_for("policy", NAMED, environment)
    assert "s3cret" not in str(raised.value)
