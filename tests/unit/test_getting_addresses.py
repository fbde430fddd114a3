import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.getting import addresses
from retrain.getting.addresses import Policy, RefusedError, connectable, is_public, parse_url


def no_network(host, port):
    raise AssertionError(f"{host} was resolved")


STRICT = Policy(resolve=no_network)


@pytest.mark.parametrize(
    ("answers", "bad"),
    [
        (["127.0.0.1"], "127.0.0.1"),
        (["8.8.8.8", "10.0.0.1"], "10.0.0.1"),
        (["::1"], "::1"),
        (["::ffff:10.0.0.1"], "::ffff:10.0.0.1"),
        (["fe80::1%eth0"], "fe80::1%eth0"),
        (["nonsense"], "nonsense"),
    ],
)
def test_a_name_that_stands_for_an_inner_address_is_refused(answers, bad):
    policy = Policy(resolve=lambda host, port: answers)
    with pytest.raises(RefusedError, match=f"is {bad}"):
        connectable(parse_url("https://photos.example/", policy), policy)


def test_a_public_name_is_resolved_once_and_its_addresses_are_given():
    asked = []
    policy = Policy(resolve=lambda host, port: asked.append((host, port)) or ["8.8.8.8", "2606:4700::1111"])
    assert connectable(parse_url("https://photos.example/", policy), policy) == ["8.8.8.8", "2606:4700::1111"]
    assert asked == [("photos.example", 443)]


def test_an_inner_address_is_connected_to_where_that_is_asked_for():
    policy = Policy(allow_http=True, allow_private=True, resolve=no_network)
    assert connectable(parse_url("http://127.0.0.1:81/", policy), policy) == ["127.0.0.1"]


def test_a_name_that_stands_for_nothing():
    policy = Policy(resolve=lambda host, port: [])
    with pytest.raises(OSError, match="stands for no address"):
        connectable(parse_url("https://photos.example/", policy), policy)


def test_a_name_that_the_system_cannot_spell(monkeypatch):
    def spell(host, port):
        raise UnicodeError("label too long")

    with pytest.raises(RefusedError, match="too long"):
        connectable(parse_url("https://photos.example/", STRICT), Policy(resolve=spell))


def test_the_system_is_asked_and_doubles_are_left_out(monkeypatch):
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 443))] * 2
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_, **__: rows)
    assert addresses.resolve("photos.example", 443) == ["8.8.8.8"]


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://Photos.Example./a/b.jpg", "https://photos.example/a/b.jpg"),
        ("HTTPS://photos.example", "https://photos.example/"),
        ("https://photos.example:443/?a=b c".replace(" ", "%20"), "https://photos.example/?a=b%20c"),
        ("https://photos.example:8443/x", "https://photos.example:8443/x"),
        ("https://bücher.example/é.jpg#part", "https://xn--bcher-kva.example/%C3%A9.jpg"),
        ("https://[2606:4700:0::1111]/", "https://[2606:4700::1111]/"),
        ("https://8.8.8.8/a%2Fb", "https://8.8.8.8/a%2Fb"),
    ],
)
def test_an_address_is_asked_as_it_is_meant(url, asked):
    assert parse_url(url, STRICT).url == asked


@given(st.text(max_size=60) | st.builds("https://{}/{}".format, st.text(max_size=30), st.text(max_size=30)))
def test_any_text_is_an_address_or_refused(url):
    try:
        address = parse_url(url, STRICT)
    except RefusedError:
        return
    assert address.url.isascii()
    assert " " not in address.url
    assert address.url.isprintable()
    assert parse_url(address.url, STRICT) == address


@given(st.integers(0, 2**32 - 1))
def test_no_inner_address_of_version_4_is_public_in_any_dress(number):
    plain = ipaddress.IPv4Address(number)
    dresses = [f"::ffff:{plain}", f"::{plain}", str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80)))]
    assert not any(is_public(dress) for dress in dresses)
    translated = str(ipaddress.IPv6Address((0x64FF9B << 96) | number))
    assert is_public(translated) == is_public(str(plain))
    if plain.is_private or plain.is_multicast or plain.is_reserved:
        assert not is_public(str(plain))


@pytest.mark.parametrize("text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses(text):
    assert is_public(text)
