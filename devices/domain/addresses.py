"""Which addresses are dialled: literals of the operator's own networks, nothing that leads elsewhere.

Asked when a device is saved and again before every connect, because DEVICE_NETWORKS may have changed in between.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

Address = IPv4Address | IPv6Address

_SHOWN = 60
_LOOPBACK: Final = IPv6Address("::1")  # inside ::/96 below, and yet an address of its own

_UNSPECIFIED: Final = gettext_noop("an unspecified address")
_BROADCAST: Final = gettext_noop("the broadcast address")
_MULTICAST: Final = gettext_noop("a multicast address")
_RESERVED: Final = gettext_noop("a reserved address")
_LINK_LOCAL: Final = gettext_noop("a link-local address")
_METADATA: Final = gettext_noop("a cloud's metadata service")
_CLOTHED: Final = gettext_noop("an IPv4 address in IPv6 clothing")

# Never dialled, whatever DEVICE_NETWORKS holds. Forms that carry an IPv4 address would go round the list of networks.
_NEVER: Final = tuple(
    (ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", _UNSPECIFIED),
        ("255.255.255.255/32", _BROADCAST),
        ("224.0.0.0/4", _MULTICAST),
        ("240.0.0.0/4", _RESERVED),
        ("169.254.0.0/16", _LINK_LOCAL),
        ("100.100.100.200/32", _METADATA),
        ("168.63.129.16/32", _METADATA),
        ("192.0.0.192/32", _METADATA),
        ("::/128", _UNSPECIFIED),
        ("ff00::/8", _MULTICAST),
        ("fe80::/10", _LINK_LOCAL),
        ("fd00:ec2::254/128", _METADATA),
        ("fd20:ce::254/128", _METADATA),
        ("::ffff:0:0/96", _CLOTHED),
        ("::ffff:0:0:0/96", _CLOTHED),
        ("::/96", _CLOTHED),
        ("64:ff9b::/96", _CLOTHED),
        ("64:ff9b:1::/48", _CLOTHED),
        ("2001::/32", _CLOTHED),
        ("2002::/16", _CLOTHED),
    )
)


class AddressError(ValueError):
    """An address that is not dialled; its text is a sentence for whoever entered it."""


class OutsideError(AddressError):
    """Outside of the operator's networks; its text names them."""


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
        sentence = _(
            "%(address)s is not an IP address; write the terminal's own, in plain digits such as 192.168.1.201."
        )
        raise AddressError(sentence % {"address": _shown(text)}) from error
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        sentence = _("%(address)s names a network interface; write the terminal's address without “%%”.")
        raise AddressError(sentence % {"address": _shown(text)})
    return address


def _refuse_elsewhere(address: Address) -> None:
    for network, what in _NEVER:
        if address in network and address != _LOOPBACK:
            sentence = _("%(address)s is %(what)s and never dialled; write the terminal's own address.")
            raise AddressError(sentence % {"address": address, "what": _(what)})
    if not any(address in network for network in settings.DEVICE_NETWORKS):
        listed = ", ".join(str(network) for network in settings.DEVICE_NETWORKS) or _("none")
        sentence = _(
            "%(address)s is outside the networks of terminals (%(networks)s); if a terminal really is there, "
            "add its network to DEVICE_NETWORKS and restart."
        )
        raise OutsideError(sentence % {"address": address, "networks": listed})


def _shown(text: str) -> str:
    """Printable and bounded: the text may be anything."""
    return ascii(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")
