"""The environment that each program of the platform is given, for zkbio/settings.py; the operator's own wins."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import psutil

from zkbio.launcher.options import WILDCARDS, Options
from zkbio.launcher.secret_file import load_or_make

PRIVATE_NETWORKS = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
LOOPBACK_NETWORKS = ("127.0.0.0/8", "::1/128")
NAME_SECONDS = 2.0


def program_environment(
    base: Mapping[str, str], options: Options, *, database_url: str, redis_url: str
) -> dict[str, str]:
    state = options.state
    secrets = load_or_make(state.root / "secrets.env")
    ours = {
        "SECRET_KEY": secrets["SECRET_KEY"],
        "TOKEN_KEY": secrets["TOKEN_KEY"],
        "FIELD_KEYS": secrets["FIELD_KEYS"],
        "ALLOWED_HOSTS": ",".join(own_names(options.host)),
        "STATIC_ROOT": str(state.static),
        "MEDIA_ROOT": str(state.media),
        "PYTHONUNBUFFERED": "1",
    }
    given = {name: value for name, value in base.items() if value.strip() or name not in {*ours, "DEVICES_FILE"}}
    for name in ("ADMIN_PASSWORD", "BOOTSTRAP_BEGAN", "CALLED_FROM"):
        given.pop(name, None)  # no running program needs to know it
    if "DEVICES_FILE" in given:
        given["DEVICES_FILE"] = str(Path(given["DEVICES_FILE"].strip()).absolute())
    return {
        **ours,
        **given,
        **({"SECURE_COOKIES": "1"} if options.certificate else {}),
        "DJANGO_SETTINGS_MODULE": "zkbio.settings",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "DEVICE_NETWORKS": device_networks(base.get("DEVICE_NETWORKS", ""), options),
        "API_HOST": options.host,
        "API_PORT": str(options.port),
        "PUSH_PORT": str(options.push_port or 0),
        "STATE_DIR": str(state.root),
    }


def device_networks(given: str, options: Options) -> str:
    """The operator's list as it stands, but for the demo, whose terminals are on loopback."""
    wanted = [word.strip() for word in given.split(",") if word.strip()]
    if wanted and not options.demo:
        return ",".join(wanted)
    wanted = wanted or list(PRIVATE_NETWORKS)
    with_loopback = options.demo or options.database_url is None
    return ",".join([*wanted, *(net for net in LOOPBACK_NETWORKS if with_loopback and net not in wanted)])


def own_names(bound_host: str) -> list[str]:
    """What browsers and terminals of the local network may call this machine."""
    named = [] if bound_host in WILDCARDS else [in_url_form(bound_host.strip("[]"))]
    names = ["localhost", "127.0.0.1", "[::1]", *named, socket.gethostname(), full_name(), *own_addresses()]
    return list(dict.fromkeys(name.lower() for name in names if name))


def full_name() -> str:
    """The fully qualified name, or nothing where the name servers take too long to say it."""
    found: list[str] = []
    asking = threading.Thread(target=lambda: found.append(socket.getfqdn()), daemon=True)
    asking.start()
    asking.join(NAME_SECONDS)
    return found[0] if found else ""


def own_addresses() -> list[str]:
    families = {socket.AF_INET, socket.AF_INET6}
    cards = psutil.net_if_addrs().values()
    addresses = [entry.address for card in cards for entry in card if entry.family in families]
    return [in_url_form(address) for address in addresses if "%" not in address]  # link-local ones name a card


def in_url_form(host: str) -> str:
    return f"[{host}]" if ":" in host else host
