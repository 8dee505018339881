from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.serve import hosts
from lstm_cli.serve.errors import ApiError
from lstm_cli.serve.hosts import HostPolicy

_SCOPE = {"http_version": "1.1", "server": ("127.0.0.1", 8000)}


@pytest.mark.parametrize(
    ("is_loopback", "has_key", "allowed", "answered"),
    [
        (True, False, (), False),
        (True, True, (), True),
        (False, False, (), True),
        (False, True, (), True),
        (True, True, ("a",), False),
        (False, False, ("a",), False),
        (False, True, ("a",), False),
    ],
)
def test_any_name_is_allowed_with_a_key_or_a_public_address(
    is_loopback, has_key, allowed, answered
):
    policy = hosts.make_policy(allowed, is_loopback, has_key)
    scope = {**_SCOPE, "headers": [(b"host", b"other.example")]}
    if answered:
        policy.check(scope)
    else:
        with pytest.raises(ApiError) as caught:
            policy.check(scope)
        assert caught.value.status == 421
    policy.check({**_SCOPE, "headers": [(b"host", b"a" if allowed else b"localhost")]})


def test_host_is_required_even_if_any_name_is_allowed():
    open_to_all = HostPolicy(allow_any=True)
    open_to_all.check({**_SCOPE, "http_version": "1.0", "headers": []})
    for headers in ([], [(b"host", b"a"), (b"host", b"a")], [(b"host", b"a b")]):
        with pytest.raises(ApiError) as caught:
            open_to_all.check({**_SCOPE, "headers": headers})
        assert caught.value.status == 400


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("10.0.0.7", b"10.0.0.7:8000"),
        ("::ffff:10.0.0.7", b"10.0.0.7"),
        ("fe80::1%eth0", b"[fe80::1]"),
    ],
)
def test_address_that_the_client_connected_to_is_allowed(address, host):
    """Health checks of a load balancer use it; a web page cannot have it as its name."""
    scope = {"http_version": "1.1", "server": (address, 8000), "headers": [(b"host", host)]}
    HostPolicy().check(scope)


@pytest.mark.parametrize(
    "name",
    ["", "a:80", "http://a", "a/b", "a b", "[::1]:80", "[::1]:", "a:", "*", "ä.example", "."],
)
def test_invalid_allowed_host_is_a_usage_error(name):
    with pytest.raises(LstmError) as caught:
        hosts.parse_host(name)
    assert caught.value.exit_code == ExitCode.USAGE


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_random_headers_raise_only_api_errors(host, origin):
    scope = {**_SCOPE, "headers": [(b"host", host), (b"origin", origin)]}
    for policy in (HostPolicy(), HostPolicy(allow_any=True)):
        try:
            policy.check(scope)
        except ApiError as error:
            assert error.status in (400, 403, 421)
            json.loads(error.body("id"))
