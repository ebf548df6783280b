"""Which addresses are dialled: literals of the operator's own networks, nothing that leads elsewhere.

Asked when a device is saved and again before every connect, because DEVICE_NETWORKS may have changed in between.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from django.conf import settings

Address = IPv4Address | IPv6Address

_SHOWN = 60
_LOOPBACK: Final = IPv6Address("::1")  # inside ::/96 below, and yet an address of its own

# Never dialled, whatever DEVICE_NETWORKS holds. Forms that carry an IPv4 address would go round the list of networks.
_NEVER: Final = tuple(
    (ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "an unspecified address"),
        ("255.255.255.255/32", "the broadcast address"),
        ("224.0.0.0/4", "a multicast address"),
        ("240.0.0.0/4", "a reserved address"),
        ("169.254.0.0/16", "a link-local address"),
        ("100.100.100.200/32", "a cloud's metadata service"),
        ("168.63.129.16/32", "a cloud's metadata service"),
        ("192.0.0.192/32", "a cloud's metadata service"),
        ("::/128", "an unspecified address"),
        ("ff00::/8", "a multicast address"),
        ("fe80::/10", "a link-local address"),
        ("fd00:ec2::254/128", "a cloud's metadata service"),
        ("fd20:ce::254/128", "a cloud's metadata service"),
        ("::ffff:0:0/96", "an IPv4 address in IPv6 clothing"),
        ("::ffff:0:0:0/96", "an IPv4 address in IPv6 clothing"),
        ("::/96", "an IPv4 address in IPv6 clothing"),
        ("64:ff9b::/96", "an IPv4 address in IPv6 clothing"),
        ("64:ff9b:1::/48", "an IPv4 address in IPv6 clothing"),
        ("2001::/32", "an IPv4 address in IPv6 clothing"),
        ("2002::/16", "an IPv4 address in IPv6 clothing"),
    )
)


class AddressError(ValueError):
    """An address that is not dialled; its text is a sentence for whoever entered it."""


def parse_host(text: str) -> str:
    """The one spelling of an address that may be dialled ("FC00::0:1" -> "fc00::1"). Raises AddressError."""
    address = _parse(text)
    _refuse_elsewhere(address)
    return str(address)


def require_allowed(host: str) -> None:
    """Raises AddressError unless ``host`` may be dialled now."""
    _refuse_elsewhere(_parse(host))


def _parse(text: str) -> Address:
    try:
        address = ip_address(text)
    except ValueError as error:
        raise AddressError(
            f"{_shown(text)} is not an IP address; write the terminal's own, in plain digits such as 192.168.1.201."
        ) from error
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise AddressError(f"{_shown(text)} names a network interface; write the terminal's address without “%”.")
    return address


def _refuse_elsewhere(address: Address) -> None:
    for network, what in _NEVER:
        if address in network and address != _LOOPBACK:
            raise AddressError(f"{address} is {what} and never dialled; write the terminal's own address.")
    if not any(address in network for network in settings.DEVICE_NETWORKS):
        listed = ", ".join(str(network) for network in settings.DEVICE_NETWORKS) or "none"
        raise AddressError(
            f"{address} is outside the networks of terminals ({listed}); if a terminal really is there, "
            "add its network to DEVICE_NETWORKS and restart."
        )


def _shown(text: str) -> str:
    """Printable and bounded: the text may be anything."""
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
