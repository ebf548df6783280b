"""The installation's own secrets: made at the first start in $STATE_DIR/secrets.env, kept afterwards."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

from zkbio.launcher.state import write_private
from zkbio.launcher.trouble import LaunchError

HEADER = "# Made at the first start. Whoever has this file has the data: back it up apart, show it to nobody.\n"
NAMES = (
    "SECRET_KEY",
    "TOKEN_KEY",
    "FIELD_KEYS",
    "POSTGRES_PASSWORD",
    "POSTGRES_SUPERUSER_PASSWORD",
    "REDIS_PASSWORD",
)


def load_or_make(path: Path) -> dict[str, str]:
    """Never replaces a secret: a damaged file stops the start, since new keys would make the old data unreadable."""
    if not path.exists():
        made = generate()
        write_private(path, HEADER + "".join(f"{name}={value}\n" for name, value in made.items()))
        return made
    path.chmod(0o600)
    return parse(path)


def generate() -> dict[str, str]:
    return {
        "SECRET_KEY": secrets.token_urlsafe(60),
        "TOKEN_KEY": random_key(),
        "FIELD_KEYS": f"k1:{random_key()}",
        "POSTGRES_PASSWORD": secrets.token_urlsafe(32),
        "POSTGRES_SUPERUSER_PASSWORD": secrets.token_urlsafe(32),
        "REDIS_PASSWORD": secrets.token_urlsafe(32),
    }


def random_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def parse(path: Path) -> dict[str, str]:
    lines = [line.strip() for line in path.read_text().splitlines()]
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    found = {name.strip(): value.strip() for name, _, value in pairs}
    missing = [name for name in NAMES if not found.get(name)]
    if missing:
        raise LaunchError(f"{path} lacks {', '.join(missing)}; restore it from a backup: new keys can't read old data.")
    return found
