from __future__ import annotations

from pathlib import Path

import dj_database_url
import pytest

from zkbio.launcher.environment import device_networks, own_names, program_environment
from zkbio.launcher.options import Options, read_options
from zkbio.launcher.state import StateDir

PRIVATE = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7"
LOOPBACK = "127.0.0.0/8,::1/128"


def environment(tmp_path: Path, base: dict[str, str]) -> dict[str, str]:
    options = read_options({"STATE_DIR": str(tmp_path), **base})
    return program_environment(base, options, database_url="postgres://d/b", redis_url="redis://r")


def test_programs_get_the_kept_secrets(tmp_path: Path) -> None:
    assert environment(tmp_path, {})["SECRET_KEY"] == environment(tmp_path, {})["SECRET_KEY"]


def test_the_operators_own_words_win(tmp_path: Path) -> None:
    given = {"ALLOWED_HOSTS": "zk.example.com", "SECRET_KEY": "s" * 60, "DEVICE_NETWORKS": "10.1.0.0/16"}

    made = environment(tmp_path, given)

    assert {name: made[name] for name in given} == given


def test_an_empty_variable_counts_as_not_given(tmp_path: Path) -> None:
    made = environment(tmp_path, {"ALLOWED_HOSTS": "", "API_PORT": "", "SECRET_KEY": ""})

    assert made["ALLOWED_HOSTS"].startswith("localhost,127.0.0.1,[::1]")
    assert made["API_PORT"] == "8097"
    assert len(made["SECRET_KEY"]) == 80


def test_programs_know_the_port_of_terminals(tmp_path: Path) -> None:
    ports = [environment(tmp_path, given)["PUSH_PORT"] for given in ({}, {"PUSH_PORT": ""}, {"PUSH_PORT": "8081"})]

    assert ports == ["0", "0", "8081"]


def test_a_named_address_may_be_called_by_its_name() -> None:
    assert "[2001:db8::5]" in own_names("2001:db8::5")


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        ("", {}, f"{PRIVATE},{LOOPBACK}"),
        ("", {"database_url": "postgres://elsewhere/zkbio"}, PRIVATE),
        ("", {"database_url": "postgres://elsewhere/zkbio", "demo": True}, f"{PRIVATE},{LOOPBACK}"),
        ("10.1.0.0/16, 10.2.0.0/16", {}, "10.1.0.0/16,10.2.0.0/16"),
        ("10.1.0.0/16", {"demo": True}, f"10.1.0.0/16,{LOOPBACK}"),
        ("127.0.0.0/8,::1/128", {"demo": True}, LOOPBACK),
    ],
)
def test_which_networks_terminals_may_be_in(given: str, options: dict[str, object], expected: str) -> None:
    assert device_networks(given, Options(state=StateDir(Path("/nowhere")), **options)) == expected


def test_django_reads_the_socket_folder_from_the_url() -> None:
    parsed = dj_database_url.parse("postgres://zkbio:a_-b@%2Ftmp%2Fzkbio-0f/zkbio")

    assert (parsed["HOST"], parsed["NAME"], parsed["PASSWORD"]) == ("/tmp/zkbio-0f", "zkbio", "a_-b")
