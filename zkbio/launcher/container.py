"""python -m zkbio.launcher.container web|push|worker|beat|migrate|health|secrets: one role as a container's process.

Commands and settings are those of ./script/start; PostgreSQL, Redis and the secrets come by the environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from zkbio.launcher import roles, secret_file
from zkbio.launcher.environment import own_names
from zkbio.launcher.options import Options, read_certificate_files, read_push_port
from zkbio.launcher.start import answers
from zkbio.launcher.state import ROOT, StateDir
from zkbio.launcher.trouble import LaunchError

# Names of the services in docker-compose.yml; the passwords have no character that a URL would have to escape.
DATABASE_URL = "postgres://zkbio:{POSTGRES_PASSWORD}@postgres:5432/zkbio"
REDIS_URL = "redis://:{REDIS_PASSWORD}@redis:6379/0"


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    try:
        return run(arguments, environ)
    except LaunchError as error:
        print(error, file=sys.stderr)
        return 1


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    options = options_of(environ)
    match arguments:
        case ["migrate"] if environ.get("DEVICES_FILE", "").strip():
            migrated = subprocess.run(role_command("migrate", options), env=dict(environ), check=False).returncode
            if migrated == 0:  # a file that can't be read is told of, and stops nothing
                subprocess.run(roles.devices_file_command(), env=dict(environ), check=False)
            return migrated
        case ["web" | "push" | "worker" | "beat" | "migrate" as role]:
            command = role_command(role, options)
            more = web_settings(options) if role == "web" else roles.settings_of(role, options)
            os.execve(command[0], command, {**environ, **more})  # noqa: S606 - so that signals reach the role itself
        case ["health"]:
            return 0 if answers(options, {"ALLOWED_HOSTS": "localhost", **environ}) else 1
        case ["secrets"]:
            print(secrets_file(), end="")
            return 0
    print(__doc__, file=sys.stderr)
    return 2


def web_settings(options: Options) -> dict[str, str]:
    """With a certificate that can be served, where one is wanted. Raises LaunchError."""
    settings = roles.settings_of("web", options)
    if options.certificate is None:
        return settings
    for remark in options.certificate.prepare(own_names(options.host)):
        print(remark, file=sys.stderr)
    return {**settings, "SECURE_COOKIES": "1"}


def role_command(role: str, options: Options) -> list[str]:
    migrate = [sys.executable, str(ROOT / "manage.py"), "migrate", "--noinput"]
    commands = {**roles.commands(options), "migrate": migrate}
    if role not in commands:
        raise LaunchError("PUSH_PORT isn't set: without it, terminals that dial are served by the role 'web'.")
    return commands[role]


def options_of(environ: Mapping[str, str]) -> Options:
    """Where the web role listens; the state folder is not used, for a container keeps nothing in it."""
    host, port = environ.get("API_HOST", "0.0.0.0"), int(environ.get("API_PORT", "8097"))  # noqa: S104
    state = StateDir(Path("/data"))
    given = {name: value for name, value in environ.items() if value.strip()}
    asked = not {"CERT_FILE", "KEY_FILE"}.isdisjoint(given)  # there is no other way of asking here
    return Options(
        state=state,
        host=host,
        port=port,
        push_host=host,
        push_port=read_push_port(given.get("PUSH_PORT", "0"), port),
        certificate=read_certificate_files(given, state, asked=asked),
    )


def secrets_file() -> str:
    """New secrets, and the addresses that hold their passwords: the .env beside docker-compose.yml."""
    made = secret_file.generate()
    made.pop("POSTGRES_SUPERUSER_PASSWORD")
    made["DATABASE_URL"] = DATABASE_URL.format(**made)
    made["REDIS_URL"] = REDIS_URL.format(**made)
    return secret_file.HEADER + "".join(f"{name}={value}\n" for name, value in made.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
