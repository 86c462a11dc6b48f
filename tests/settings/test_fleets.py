"""Replicas that a file lists."""

import pytest

from ttc_client.errors import ConfigError
from ttc_client.settings.config import load_settings


def test_a_file_lists_replicas_beside_those_that_are_given(tmp_path):
    file = tmp_path / "hosts.txt"
    file.write_text("http://a:8000\n\n# spare\nhttp://b:8000  # the second\r\n  http://c:8000\n")
    flags = {"policy": [f"@{file}", "http://d:8000"], "prm": [f"@{file}"]}
    servers = load_settings(flags, {}).servers
    assert servers.policies == tuple(f"http://{host}:8000" for host in "abcd")
    assert servers.verifiers == servers.policies[:3]
    assert load_settings({}, {"TTC_POLICY": f"@{file}"}).servers.policies == servers.policies[:3]


def test_a_hundred_and_more_are_taken(tmp_path):
    file = tmp_path / "hosts.txt"
    file.write_text("".join(f"http://gpu{i}:8000\n" for i in range(128)))
    assert len(load_settings({"policy": f"@{file}"}, {}).servers.policies) == 128


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        ("# none\n", "names no server"),
        ("a b@c\n", "policy"),
    ],
)
def test_a_file_without_servers_is_refused_by_name(tmp_path, content, said):
    file = tmp_path / "hosts.txt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=said):
        load_settings({"policy": [f"@{file}"]}, {})
