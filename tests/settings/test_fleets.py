"""Replicas that a file lists."""

import asyncio
import socket

import pytest

from ttc_client.errors import ConfigError
from ttc_client.settings.config import load_settings
from ttc_client.settings.fleets import located
from ttc_client.testing import ScriptedPolicy


async def test_a_file_lists_replicas_beside_those_that_are_given(tmp_path):
    file = tmp_path / "hosts.txt"
    file.write_text("http://a:8000\n\n# spare\nhttp://b:8000  # the second\r\n  http://c:8000\n")
    flags = {"policy": [f"@{file}", "http://d:8000"], "prm": [f"@{file}"]}
    servers = load_settings(flags, {}).servers
    assert servers.policies == (f"@{file}", "http://d:8000")
    hosts = [f"http://{host}:8000" for host in "abcd"]
    assert await located("policy", servers.policies) == hosts
    assert await located("prm", servers.verifiers) == hosts[:3]
    by_variable = load_settings({}, {"TTC_POLICY": f"@{file}"}).servers
    assert await located("policy", by_variable.policies) == hosts[:3]
    file.write_text("http://e:8000/v1/\nhttp://d:8000\n")
    assert await located("policy", servers.policies) == ["http://e:8000", "http://d:8000"]


async def test_places_count_once_and_models_that_have_no_hash_stay_as_they_are():
    model = ScriptedPolicy(lambda request, i: ("", "eos"))
    other = ScriptedPolicy(lambda request, i: ("", "eos"))
    places = [model, "http://a", other, "http://a", model]
    assert [*map(id, await located("policy", places))] == [*map(id, (model, places[1], other))]


async def test_a_name_stands_for_its_addresses(monkeypatch):
    asked = []

    async def getaddrinfo(host, port, **_):
        asked.append((host, port))
        if host == "gone":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = [(socket.AF_INET, ("10.0.0.2", port)), (socket.AF_INET, ("10.0.0.1", port))]
        found += [(socket.AF_INET6, ("fd00::1", port, 0, 0)), found[0]]
        return [(family, socket.SOCK_STREAM, 6, "", address) for family, address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    found = await located("policy", ["dns+http://policy.svc:8000/llm/v1", "http://a"])
    ips = ("10.0.0.1", "10.0.0.2", "[fd00::1]")
    assert found == [*(f"http://{ip}:8000/llm" for ip in ips), "http://a"]
    assert await located("policy", ["dns+http://policy.svc"]) == [f"http://{ip}:80" for ip in ips]
    assert asked == [("policy.svc", 8000), ("policy.svc", 80)]
    with pytest.raises(ConfigError, match=r"http://gone, which has no address: Name or"):
        await located("policy", ["dns+http://gone"])
    with pytest.raises(ConfigError, match="certificates are for names"):
        await located("policy", ["dns+https://policy.svc"])
    with pytest.raises(ConfigError, match="user name"):
        load_settings({"policy": ["dns+http://user:secret@policy.svc"]}, {})


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
