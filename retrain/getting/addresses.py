"""Where may be connected to: by default only https, and only addresses that the whole world can reach.

A list of addresses comes from strangers. One that names this machine, its neighbours or the machine that gives out a
cloud's passwords would otherwise be asked with this machine's rights. A name is resolved once, all that it stands for
is looked at, and the connection goes to just that; so a name that answers otherwise the second time changes nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from retrain.errors import RetrainError

_MAX_URL = 8000
_PORTS = {"https": 443, "http": 80}
# What a URL may hold as it is; everything else is percent-encoded.
_URL_SAFE = "/%:=&?~#+!$,;'@()*[]-._"
# The last part of a name decides: to a browser 2130706433, 0x7f.1, 127.1 and 0177.0.0.1 are all this machine.
_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)", re.IGNORECASE)
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
# Translated by the network of a machine that has IPv6 only: the last 32 bits are the address that is reached.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Addresses of version 4 inside version 6, and ranges that Python 3.11 takes for public.
_NEVER = tuple(
    ipaddress.ip_network(text)
    for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2001::/23", "2002::/16", "fec0::/10",
                 "100::/64", "192.88.99.0/24")
)  # fmt: skip

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class RefusedError(RetrainError):
    """An address is not asked, or not asked again: what came is not what may be taken."""


def resolve(host: str, port: int) -> list[str]:
    """Ask the system what a name stands for.

    Args:
        host: a name.
        port: of the service.

    Returns:
        Numeric addresses, the system's favourite first.

    Raises:
        OSError: there is none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(text: str) -> bool:
    """Say whether the whole world can reach an address.

    Args:
        text: numeric address, as the system gives it.
    """
    try:
        ip = _numeric(text)
    except (ValueError, RefusedError):
        return False
    if ip in _NAT64:
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if any(ip in network for network in _NEVER):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified or ip.is_loopback)


@dataclass(frozen=True)
class Policy:
    """What may be connected to.

    Args:
        allow_http: addresses without encryption too.
        allow_private: servers in one's own network, and any port.
        resolve: host and port -> numeric addresses; raises OSError.
        public: whether a numeric address is one that the whole world can reach.
    """

    allow_http: bool = False
    allow_private: bool = False
    resolve: Callable[[str, int], list[str]] = resolve
    public: Callable[[str], bool] = is_public


class Address(NamedTuple):
    """A URL in its parts.

    Args:
        scheme: "https" or "http".
        host: name or numeric address, small letters, ASCII.
        port: number.
        target: path and query, percent-encoded.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def site(self) -> str:
        """Scheme, host and, where it is not the usual one, port: what has one robots.txt."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    @property
    def url(self) -> str:
        """The whole, as it is asked for."""
        return self.site + self.target


def parse_url(url: str, policy: Policy) -> Address:
    """Take a URL apart and see that it may be asked at all; nothing is resolved yet.

    Args:
        url: from a list or a server.
        policy: what may be connected to.

    Returns:
        Its parts.

    Raises:
        RefusedError: it may not, or it is none.
    """
    if len(url) > _MAX_URL or not url.isprintable() or " " in url or "\\" in url:
        raise RefusedError(
            f"not an address: over {_MAX_URL} characters, or with a space, backslash or control character"
        )
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "").rstrip(".")
    except ValueError as error:
        raise RefusedError(f"not an address: {error}") from error
    if parts.scheme not in _PORTS or (parts.scheme == "http" and not policy.allow_http):
        wanted = "https:// or http://" if policy.allow_http else "https:// (--allow_http for http://)"
        raise RefusedError(f"expected an address with {wanted}, got {parts.scheme or 'no'}://")
    if "@" in parts.netloc:
        raise RefusedError("addresses with a user name or password in them are not asked")
    port = _PORTS[parts.scheme] if port is None else port
    if port not in _PORTS.values() and (port == 0 or (port < 1024 and not policy.allow_private)):
        raise RefusedError(f"port {port} is not one of the web's")
    target = quote(parts.path or "/", safe=_URL_SAFE) + (
        f"?{quote(parts.query, safe=_URL_SAFE)}" if parts.query else ""
    )
    return Address(parts.scheme, _ascii_host(host), port, target)


def _ascii_host(host: str) -> str:
    try:
        return str(_numeric(host))
    except ValueError:
        pass
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError as error:
        raise RefusedError(f"not a host: {error}") from error
    if len(name) > 253 or not _HOST_NAME.fullmatch(name):
        raise RefusedError("not a host")
    if _NUMERIC.fullmatch(name.rsplit(".", 1)[-1]):
        raise RefusedError("a numeric host that is not written as four numbers from 0 to 255")
    return name


def _numeric(host: str) -> IpAddress:
    if "%" in host:
        raise RefusedError("an address with a zone is one of this network")
    return ipaddress.ip_address(host)


def connectable(address: Address, policy: Policy) -> list[str]:
    """Resolve a host and see that all it stands for may be connected to.

    Args:
        address: whose host is meant.
        policy: what may be connected to, and how names are resolved.

    Returns:
        Numeric addresses: connect to these, not to the name.

    Raises:
        RefusedError: one of them is not public.
        OSError: the name stands for nothing, for now.
    """
    try:
        found = [str(_numeric(address.host))]
    except ValueError:
        try:
            found = policy.resolve(address.host, address.port)
        except UnicodeError as error:
            raise RefusedError(f"not a host: {error}") from error
    if not policy.allow_private:
        for text in found:
            if not policy.public(text):
                raise RefusedError(f"{address.host} is {text}, which is not a public address (--allow_private)")
    if not found:
        raise OSError(f"{address.host} stands for no address")
    return found
