"""Makes the checkout's virtual environment and continues in it: bootstrap.py start|test|check|bench|manage [arguments].

Standard library only, since nothing else is installed yet. Installs again only when a requirements file changed;
an environment that was left half-made is made anew; two bootstraps at once take turns.
"""

import fcntl
import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
INSTALLED = VENV / "installed-requirements"  # one sha256 a line, of the files that are installed; then their Python
INSTALLING = VENV / "installing"  # exists while pip works, so that a cut install is noticed
USAGES = {
    "start": "[--demo] [--tls]\nStarts the platform; --demo with simulated terminals, --tls on HTTPS.\n"
    "The environment variables that it reads are in docs/operations.md.",
    "test": "[--long] [pytest arguments]\nRuns the tests on throw-away servers; --long adds those that take minutes.",
    "check": "\nRuns ruff, mypy, the import contracts, and the checks of migrations and deployment.",
    "bench": "NAME ... | all\nMeasures the platform on throw-away servers; the names are in docs/operations.md.",
    "manage": "COMMAND [arguments]\nRuns manage.py with the environment of the platform that is running;\n"
    "'./script/manage help' lists the commands, './script/manage COMMAND --help' tells of one.",
}
DEVELOPMENT = ("test", "check")
PATHS = ("STATE_DIR", "DEVICES_FILE", "CERT_FILE", "KEY_FILE")  # relative ones are the caller's


def give_up(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(1)


def main(arguments: list[str]) -> NoReturn:
    os.environ["BOOTSTRAP_BEGAN"] = str(time.monotonic())
    if not arguments or arguments[0] not in USAGES:
        give_up(f"Usage: script/bootstrap.py {'|'.join(USAGES)} [arguments]")
    if arguments[1:] in (["--help"], ["-h"]):
        print(f"Usage: ./script/{arguments[0]} {USAGES[arguments[0]]}")
        sys.exit(0)
    if sys.platform != "linux":
        give_up("The embedded servers run on Linux only (x86-64 or arm64, glibc).")
    files = [ROOT / "requirements.txt"]
    if arguments[0] in DEVELOPMENT:
        files.append(ROOT / "requirements-dev.txt")
    prepare_environment(files)
    for name in PATHS:
        if given := os.environ.get(name, "").strip():
            os.environ[name] = str(Path(given).expanduser().absolute())
    os.environ["CALLED_FROM"] = str(Path.cwd())  # where the files are that the caller names to manage.py
    os.chdir(ROOT)
    os.execv(PYTHON, [str(PYTHON), "-m", "zkbio.launcher", *arguments])  # noqa: S606 - the point of this program


def prepare_environment(files: list[Path]) -> None:
    """Leaves a working .venv that has every one of `files` installed."""
    if is_ready(files):
        return
    lock = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        if not is_ready(files):
            ensure_venv()
            install(files)
    except PermissionError as error:
        give_up(f"Cannot write to {error.filename}: give it to yourself with: sudo chown -R $(id -un) '{ROOT}'")
    except OSError as error:
        give_up(f"Cannot make {VENV}: {error.strerror or error}; look at the disk with: df -h '{ROOT}'")
    finally:
        os.close(lock)


def is_ready(files: list[Path]) -> bool:
    """The fast way: nothing is started but the files' hashes compared."""
    if INSTALLING.exists() or not PYTHON.exists() or not INSTALLED.exists():
        return False
    return same_python() and {digest(file) for file in files} <= set(INSTALLED.read_text().splitlines())


def same_python() -> bool:
    """False when the system's Python was upgraded below the environment: its packages are the old one's."""
    return str(PYTHON.resolve()) in INSTALLED.read_text().splitlines()


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def ensure_venv() -> None:
    upgraded = INSTALLED.exists() and not same_python()
    if not INSTALLING.exists() and not upgraded and venv_works() and pip() is not None:
        return
    if not os.access(VENV if VENV.exists() else ROOT, os.W_OK):
        give_up(f"Cannot write to '{ROOT}': give it to yourself with: sudo chown -R $(id -un) '{ROOT}'")
    print(f"Making a virtual environment in {VENV}", flush=True)
    if importlib.util.find_spec("venv") is None:
        give_up(f"This Python has no 'venv' module; get it with: {venv_remedy()}")
    options = [] if has_ensurepip() else ["--without-pip"]
    if options and not runs([sys.executable, "-m", "pip", "--python", sys.executable, "--version"]):
        give_up(f"This Python can't make virtual environments with pip in them; get that with: {venv_remedy()}")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", *options, str(VENV)], check=False, timeout=300)
    if made.returncode:
        give_up(f"'{sys.executable} -m venv' failed, see above. Often this mends it: {venv_remedy()}")


def venv_works() -> bool:
    """False for one that is missing, cut off while being made, or whose Python is gone or too old."""
    return runs(
        [str(PYTHON), "-c", "import sys; sys.exit(sys.version_info < (3, 11) or sys.prefix == sys.base_prefix)"]
    )


def runs(command: list[str]) -> bool:
    try:
        return subprocess.run(command, check=False, timeout=60, capture_output=True).returncode == 0
    except OSError:
        return False


def has_ensurepip() -> bool:
    """Debian ships it apart, in python3-venv."""
    spec = importlib.util.find_spec("ensurepip")
    return spec is not None and spec.origin is not None


def venv_remedy() -> str:
    if Path("/usr/bin/apt-get").exists():
        return f"sudo apt-get install python3.{sys.version_info.minor}-venv"
    if Path("/usr/bin/dnf").exists():
        return "sudo dnf install python3-pip python3-libs"
    return "your system's package of Python's venv and ensurepip modules"


def install(files: list[Path]) -> None:
    print(f"Installing {' and '.join(file.name for file in files)} (a minute or two the first time)", flush=True)
    installer = pip()
    if installer is None:
        give_up(f"The new virtual environment has no pip; this mends it: {venv_remedy()}")
    INSTALLING.touch()
    requirements = [word for file in files for word in ("-r", str(file))]
    command = [
        *installer,
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--use-pep517",
        *requirements,
    ]
    try:
        result = subprocess.run(command, check=False, timeout=1800)
    except subprocess.TimeoutExpired:
        give_up("pip took more than half an hour; check the network or the proxy (HTTPS_PROXY) and run this again.")
    if result.returncode:
        give_up("pip failed, see above; check the network or the proxy (HTTPS_PROXY) and run this again.")
    INSTALLED.write_text("".join(f"{digest(file)}\n" for file in files) + f"{PYTHON.resolve()}\n")
    INSTALLING.unlink()


def pip() -> list[str] | None:
    """The environment's own pip, or the system's (22.3 and later) aimed at it, where venv could not bring one."""
    if runs([str(PYTHON), "-m", "pip", "--version"]):
        return [str(PYTHON), "-m", "pip"]
    aimed = [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    return aimed if runs([*aimed, "--version"]) else None


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
