"""The way to a server, as its requests name it."""

import pytest

from ttc_client.clients.routes import InvalidProxyError, Route, base_url, find_route
from ttc_client.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "authority"),
    [
        ("http://gpu", "gpu", 80, False, "gpu:80"),
        ("https://gpu", "gpu", 443, True, "gpu:443"),
        ("HTTP://GPU:8000/v1/", "gpu", 8000, False, "gpu:8000"),
        ("http://[::1]:8000", "::1", 8000, False, "[::1]:8000"),
        ("http://bücher.example", "xn--bcher-kva.example", 80, False, "xn--bcher-kva.example:80"),
    ],
)
def test_a_url_names_a_host_and_a_port(url, host, port, tls, authority):
    route = find_route(base_url(url, "policy"), None)
    assert (route.first.host, route.first.port, route.first.tls) == (host, port, tls)
    assert (route.base, route.headers) == ("", f"Host: {authority}\r\n")


def test_a_path_is_kept_and_quoted():
    url = base_url("http://gateway/my model/é%20x/v1", "policy")
    assert find_route(url, None).base == "/my%20model/%C3%A9%20x"


@pytest.mark.parametrize(
    ("pasted", "base"),
    [
        ("http://gpu:8000/v1/chat/completions", "http://gpu:8000"),
        ("http://gpu:8000/v1/completions/", "http://gpu:8000"),
        ("http://gpu:8000/v1/models", "http://gpu:8000"),
        ("http://gpu:8000/v3/chat/completions", "http://gpu:8000/v3"),
        ("http://gpu:8000/generate", "http://gpu:8000"),
        ("http://gpu:8000/prm/score", "http://gpu:8000/prm"),
        ("http://gpu:8000/models", "http://gpu:8000/models"),
        ("http://gpu:8000/highscore/v1", "http://gpu:8000/highscore"),
    ],
)
def test_the_url_of_an_endpoint_is_cut_back_to_the_servers(pasted, base):
    assert base_url(pasted, "policy") == base


@pytest.mark.parametrize(
    "url",
    [
        *("gpu:8000", "http://", "http://gpu:80000", "http://gpu:x", "http://[::1"),
        *("http://" + "a" * 64, ""),
    ],
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(ConfigError, match="it must be a URL"):
        base_url(url, "policy")


def test_through_a_proxy_the_target_is_the_whole_url():
    route = find_route("http://gpu:8000/x", "http://me:s%20t@proxy:3128")
    assert route.first.authority == "proxy:3128"
    assert route.base == "http://gpu:8000/x"
    assert "Host: gpu:8000\r\n" in route.headers
    assert "Proxy-Authorization: Basic bWU6cyB0\r\n" in route.headers
    assert route.behind is None


def test_tls_goes_through_a_tunnel_and_the_proxys_password_with_its_opening_alone():
    route = find_route("https://gpu/x", "http://me:secret@proxy")
    assert route.behind is not None
    assert (route.first.authority, route.behind.authority) == ("proxy:80", "gpu:443")
    assert route.connect.startswith("CONNECT gpu:443 HTTP/1.1\r\nHost: gpu:443\r\nProxy-Auth")
    assert route.connect.endswith("\r\n\r\n")
    assert (route.base, route.headers) == ("/x", "Host: gpu:443\r\n")


def test_routes_are_equal_by_value_and_differ_by_what_a_connection_depends_on():
    def fresh(url: str, proxy: str | None) -> Route:
        find_route.cache_clear()
        return find_route(url, proxy)

    first, again = fresh("https://gpu/x", "http://proxy"), fresh("https://gpu/x", "http://proxy")
    assert first == again
    assert first is not again
    assert hash(first) == hash(again)
    others = [
        ("https://gpu:8443/x", "http://proxy"),
        ("https://gpu/x", "http://other"),
        ("https://gpu/x", "http://me:secret@proxy"),
        ("https://gpu/x", None),
        ("http://gpu/x", "http://proxy"),
    ]
    assert len({first, *(fresh(*other) for other in others)}) == 6


@pytest.mark.parametrize(
    "proxy", ["proxy:3128", "socks5://proxy:1", "http://", "http://p:x", "http://[::1"]
)
def test_what_is_no_proxy_is_refused(proxy):
    with pytest.raises(InvalidProxyError):
        find_route("http://gpu", proxy)
