"""The proxy that the environment names, and what needs none."""

import pytest

from ttc_client.settings.proxies import environment_proxy

PROXY = "http://proxy:3128"


@pytest.fixture
def environment(monkeypatch):
    """Clear what the machine sets; return what sets variables in its place."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def put(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def test_a_scheme_has_a_proxy_of_its_own(environment):
    assert environment_proxy("http://gpu") is None
    environment(HTTP_PROXY=PROXY, https_proxy="https://secure:1")
    assert environment_proxy("http://gpu:8000") == PROXY
    assert environment_proxy("https://gpu") == "https://secure:1"


@pytest.mark.parametrize("proxy", ["proxy:3128", "me:secret@proxy:3128", "10.0.0.1:3128"])
def test_a_proxy_may_be_given_without_a_scheme(environment, proxy):
    environment(http_proxy=proxy)
    assert environment_proxy("http://gpu") == f"http://{proxy}"


@pytest.mark.parametrize(
    "host",
    [
        *(
            "localhost",
            "localhost.",
            "LOCALHOST",
            "api.localhost",
            "127.0.0.1",
            "127.1",
            "127.9.9.9",
        ),
        *("0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"),
    ],
)
def test_this_machine_needs_no_proxy(environment, host):
    environment(http_proxy=PROXY)
    assert environment_proxy(f"http://{host}:8000") is None


@pytest.mark.parametrize("host", ["localhost.example", "mylocalhost", "127.example", "128.0.0.1"])
def test_another_machine_needs_one(environment, host):
    environment(http_proxy=PROXY)
    assert environment_proxy(f"http://{host}:8000") == PROXY


@pytest.mark.parametrize(
    ("no_proxy", "covered", "others"),
    [
        ("192.168.0.0/16", ["192.168.7.7"], ["192.169.0.1", "gpu"]),
        ("10.0.0.0/255.0.0.0", ["10.1.2.3", "[::ffff:10.1.2.3]"], ["11.0.0.1"]),
        ("10.0.0.5/8", ["10.9.9.9"], ["11.0.0.1"]),
        ("fd00::/8", ["[fd12::1]"], ["[fe80::1]", "10.0.0.1"]),
        ("2001:db8::1", ["[2001:db8::1]", "[2001:db8:0::1]"], ["[2001:db8::2]"]),
        ("[2001:db8::1]", ["[2001:db8::1]"], ["[2001:db8::2]"]),
        ("[2001:db8::1]:8000", ["[2001:db8::1]"], []),
        ("[2001:db8::1]:8001", [], ["[2001:db8::1]"]),
        ("10.0.0.1:8000, gpu:8001", ["10.0.0.1"], ["10.0.0.2", "gpu"]),
        ("example.org", ["example.org", "EXAMPLE.org.", "a.example.org"], ["badexample.org"]),
        (".example.org", ["example.org", "a.b.example.org"], ["example.org.uk"]),
        ("*.example.org", ["a.example.org"], ["example.net"]),
        ("a b,c", ["a", "b", "c"], ["d"]),
        ("*", ["gpu", "10.0.0.1", "[2001:db8::1]"], []),
        (" , ,/,8/,:,[,.,10.0.0.0/99,::/x", [], ["gpu", "10.0.0.1", "[2001:db8::1]"]),
    ],
)
def test_no_proxy_names_hosts_addresses_and_ranges(environment, no_proxy, covered, others):
    environment(http_proxy=PROXY, no_proxy=no_proxy)
    for host in covered:
        assert environment_proxy(f"http://{host}:8000") is None, host
    for host in others:
        assert environment_proxy(f"http://{host}:8000") == PROXY, host


def test_a_port_that_the_url_leaves_out_is_that_of_its_scheme(environment):
    environment(http_proxy=PROXY, https_proxy=PROXY, no_proxy="gpu:443")
    assert environment_proxy("https://gpu") is None
    assert environment_proxy("http://gpu") == PROXY
