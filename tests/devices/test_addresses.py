"""Only literals of the operator's networks are dialled; every odd spelling and every way round the list is refused."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from devices.domain.addresses import AddressError, parse_host, require_allowed

NETWORKS = [ip_network(text) for text in ("127.0.0.0/8", "10.0.0.0/8", "fc00::/7", "::1/128")]
EVERYWHERE = [ip_network("0.0.0.0/0"), ip_network("::/0")]

ODD = [
    "",
    "127.1",
    "0x7f000001",
    "0x7f.0.0.1",
    "017700000001",
    "2130706433",
    "127.0.0.01",
    "0127.0.0.1",
    "localhost",
    "terminal.example",
    "127.0.0.1;id",
    "$(id)",
    "`id`",
    "127.0.0.1\n",
    "127.0.0.1\r\nHost: x",
    "127.0.0.1\0",
    "\uff11\uff12\uff17.0.0.1",
    "\u0661\u0662\u0667.\u0660.\u0660.\u0661",
    "127\u30020\u30020\u30021",
    "127.0.0.1.",
    "127.0.0.1 ",
    " 127.0.0.1",
    "127.0.0.1/32",
    "127.0.0.1:4370",
    "[::1]",
    "[::]",
    "fc00::1%lo",
    "-c 1 127.0.0.1",
    "1" * 5000,
]
NEVER = [
    "0.0.0.0",
    "0.0.0.1",
    "169.254.169.254",
    "169.254.1.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "100.100.100.200",
    "::",
    "fe80::1",
    "ff02::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::FFFF:7f00:1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
]


@pytest.fixture(autouse=True)
def _networks(settings):
    settings.DEVICE_NETWORKS = NETWORKS


@pytest.mark.parametrize("text", ["127.0.0.1", "10.255.0.7", "fc00::1", "::1"])
def test_a_literal_of_a_listed_network_is_taken_as_it_stands(text):
    assert parse_host(text) == text
    require_allowed(text)


def test_an_ipv6_address_gets_its_one_spelling():
    assert parse_host("FC00:0:0::0A") == "fc00::a"


@pytest.mark.parametrize("text", ODD)
def test_an_odd_spelling_is_refused_before_it_reaches_a_socket(text, settings):
    settings.DEVICE_NETWORKS = EVERYWHERE
    with pytest.raises(AddressError):
        parse_host(text)
    with pytest.raises(AddressError):
        require_allowed(text)


@pytest.mark.parametrize("text", NEVER)
def test_some_addresses_are_never_dialled_whatever_the_operator_lists(text, settings):
    settings.DEVICE_NETWORKS = EVERYWHERE
    with pytest.raises(AddressError, match="never dialled"):
        parse_host(text)
    with pytest.raises(AddressError, match="never dialled"):
        require_allowed(text)


def test_an_address_elsewhere_is_refused_with_what_to_do():
    with pytest.raises(AddressError) as caught:
        parse_host("192.168.1.201")
    assert str(caught.value) == (
        "192.168.1.201 is outside the networks of terminals (127.0.0.0/8, 10.0.0.0/8, fc00::/7, ::1/128); "
        "if a terminal really is there, add its network to DEVICE_NETWORKS and restart."
    )


def test_a_name_is_refused_with_what_to_do():
    with pytest.raises(AddressError) as caught:
        parse_host("localhost")
    assert str(caught.value) == (
        "'localhost' is not an IP address; write the terminal's own, in plain digits such as 192.168.1.201."
    )


def test_the_sentence_shows_odd_text_printable_and_bounded():
    with pytest.raises(AddressError) as caught:
        parse_host("\x1b[2J" + "9" * 10_000)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_an_address_that_left_the_list_is_no_longer_dialled(settings):
    host = parse_host("10.0.0.5")
    settings.DEVICE_NETWORKS = []
    with pytest.raises(AddressError, match=r"\(none\)"):
        require_allowed(host)
