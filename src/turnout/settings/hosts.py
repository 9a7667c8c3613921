"""Hosts that no model is served from: where clouds tell a machine its own keys.

A gateway that can be talked into calling one hands out the credentials of the machine it runs on.
Upstreams on this machine or in a private network are ordinary (vLLM, Ollama) and are not refused.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

_HERE = frozenset({"localhost", "ip6-localhost"})
_NAMES = frozenset({
    "metadata", "metadata.google.internal", "metadata.goog", "instance-data",
    "instance-data.ec2.internal", "metadata.tencentyun.com", "metadata.azure.com",
})  # fmt: skip
_ADDRESSES = frozenset(map(ipaddress.ip_address, (
    "100.100.100.200",  # Alibaba Cloud
    "192.0.0.192",  # Oracle Cloud
    "168.63.129.16",  # Azure's WireServer
    "fd00:ec2::254",  # AWS over IPv6
    "fd20:ce::254",  # Google over IPv6
)))  # fmt: skip

REMEDY = (
    "give an endpoint of models: this address is link-local or a cloud's metadata service, which hands "
    "out the machine's own keys"
)


def is_metadata_host(host: str) -> bool:
    """Whether a host, as a URL has it, is a link-local address or a metadata service.

    Addresses are seen in every form that a resolver takes: `0xA9FEA9FE`, `2852039166`, `[::ffff:…]`.
    A name is looked up by the connection alone; see `is_metadata_address`.
    """
    plain = host.strip("[]").rstrip(".").lower()
    return plain in _NAMES or is_metadata_address(plain)


def is_metadata_address(text: str) -> bool:
    """Whether an IP address is one of them; what is no address is not."""
    address = _address(text.partition("%")[0])
    if address is None:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    return any(a.is_link_local or a in _ADDRESSES for a in (address, mapped) if a is not None)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        pass
    try:  # the forms of inet_aton, which getaddrinfo takes as well
        return ipaddress.IPv4Address(socket.inet_aton(text)) if text[:1].isdigit() else None
    except (OSError, ValueError):
        return None


def is_loopback(host: str) -> bool:
    """Whether a host, as a URL or `listen.host` has it, is this machine alone."""
    if host in _HERE:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(url: str) -> str:
    """The host of a URL; empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
