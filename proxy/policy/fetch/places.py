"""Hosts that are not out there: this machine, its network, a cloud's inside.

What belongs here: which addresses and names stay inside, however an address is wrapped (IPv4 in
IPv6, 6to4, NAT64, names that spell an address). No name is resolved here, so a name that only DNS
knows to point inside is not found.
"""

from __future__ import annotations

import ipaddress
import re

_METADATA = frozenset(
    {
        "169.254.169.254",  # AWS, Azure, Google, DigitalOcean, OpenStack
        "169.254.170.2",  # AWS ECS tasks
        "169.254.170.23",  # AWS EKS pods
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure's wire server
        "192.0.0.192",  # Oracle, older
        "metadata.google.internal",
        "metadata.goog",
        "metadata",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.azure.internal",
        "metadata.platformequinix.com",
    }
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_ENDS = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".intranet", ".corp")
_EMBEDDED = re.compile(
    r"(?<![0-9])([0-9]{1,3})[.-]([0-9]{1,3})[.-]([0-9]{1,3})[.-]([0-9]{1,3})(?![0-9])"
)
_REBINDING = (".nip.io", ".sslip.io", ".xip.io")
_LOOPING = ("localtest.me", "lvh.me", "vcap.me")


def is_private(host: str) -> bool:
    """Tells whether a host is this machine, its network or its cloud's inside."""
    if host in _METADATA or host == "localhost" or host.endswith(_LOCAL_ENDS):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        looping = any(host == name or host.endswith(f".{name}") for name in _LOOPING)
        return "." not in host or looping or _embeds_private(host)
    return _is_inside(address)


def is_metadata(host: str) -> bool:
    """Tells whether a host is where a cloud's machine asks for its own credentials."""
    if host in _METADATA:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.endswith(_REBINDING) and any(str(a) in _METADATA for a in _spelled(host))
    inner = _wrapped(address)
    return inner is not None and str(inner) in _METADATA


def _is_inside(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    inner = _wrapped(address)
    if inner is not None:
        return _is_inside(inner)
    return not address.is_global or address.is_multicast


def _wrapped(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | None:
    """Returns the IPv4 address that an IPv6 one carries: 6to4, Teredo, NAT64, ::a.b.c.d."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    number = int(address)
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or (number >> 32 == 0 and number > 1):
        return ipaddress.IPv4Address(number & 0xFFFFFFFF)
    return None


def _embeds_private(host: str) -> bool:
    """Names such as 10.0.0.1.nip.io resolve to the address they spell."""
    if not host.endswith(_REBINDING):
        return False
    return any(_is_inside(address) for address in _spelled(host)) or not _EMBEDDED.search(host)


def _spelled(host: str) -> list[ipaddress.IPv4Address]:
    made = []
    for found in _EMBEDDED.finditer(host):
        try:
            made.append(ipaddress.IPv4Address(".".join(str(int(part)) for part in found.groups())))
        except ValueError:
            continue
    return made


def is_address(host: str) -> bool:
    """Tells whether a host, in its normal spelling, is an address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
