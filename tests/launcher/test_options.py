from __future__ import annotations

import socket
from pathlib import Path

import pytest

from zkbio.launcher.options import Options, read_options, require_database, require_free_port, require_redis
from zkbio.launcher.state import ROOT
from zkbio.launcher.trouble import LaunchError
from zkbio.launcher.valkey import free_port


def test_without_an_environment_everything_has_a_default() -> None:
    options = read_options({})

    assert (options.state.root, options.url, options.demo) == (ROOT / "var", "http://localhost:8097/", False)


def test_the_demo_keeps_its_state_apart_unless_a_folder_is_named() -> None:
    roots = [read_options(environ, ["--demo"]).state.root for environ in ({}, {"STATE_DIR": "/srv/zkbio"})]

    assert roots == [ROOT / "var-demo", Path("/srv/zkbio")]


@pytest.mark.parametrize(
    ("environ", "arguments", "command"),
    [
        ({}, (), "API_PORT=8098 ./script/start"),
        ({}, ("--demo",), "API_PORT=8098 ./script/start --demo"),
        ({"STATE_DIR": "/srv/my state"}, ("--demo",), "STATE_DIR='/srv/my state' API_PORT=8098 ./script/start --demo"),
    ],
)
def test_the_advised_command_keeps_what_was_asked_for(
    environ: dict[str, str], arguments: tuple[str, ...], command: str
) -> None:
    assert read_options(environ, arguments).command(API_PORT=8098) == command


@pytest.mark.parametrize(
    ("environ", "arguments", "sentence"),
    [
        ({"API_PORT": "http"}, (), "API_PORT=http is no port"),
        ({"API_PORT": "70000"}, (), "API_PORT=70000 is no port"),
        ({"DATABASE_URL": "mysql://u:p@h/d"}, (), "DATABASE_URL begins with 'mysql'; write DATABASE_URL=postgres://"),
        ({"REDIS_URL": "amqp://h"}, (), "REDIS_URL begins with 'amqp'; write REDIS_URL=redis://"),
        ({"DATABASE_URL": "postgres://u:p@[::1/d"}, (), "DATABASE_URL can't be understood (Invalid IPv6 URL)"),
        ({"DATABASE_URL": "postgres://u:p@h:x/d"}, (), "DATABASE_URL can't be understood (Port could not be"),
        ({}, ("--dmeo",), "knows no '--dmeo'"),
        ({"PUSH_PORT": "http"}, (), "PUSH_PORT=http is no port"),
        ({"PUSH_PORT": "8097"}, (), "PUSH_PORT is API_PORT, 8097: leave it away"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(
    environ: dict[str, str], arguments: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(LaunchError) as raised:
        read_options(environ, arguments)

    assert sentence in str(raised.value)


def test_a_taken_port_is_said_with_another_one_to_take() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(LaunchError, match=f"Port {port} is taken .*API_PORT={port + 1}"):
            require_free_port(options_for(port))


def test_the_port_of_terminals_is_asked_for_too_and_the_advice_keeps_the_other_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken, free = other.getsockname()[1], free_port()
        options = read_options({"API_HOST": "127.0.0.1", "API_PORT": str(free), "PUSH_PORT": str(taken)})
        with pytest.raises(LaunchError) as raised:
            require_free_port(options)
    remedy = f"PUSH_PORT={taken + 1} API_PORT={free} ./script/start"
    assert str(raised.value) == f"Port {taken} is taken by another program; choose another: {remedy}"


def test_the_advice_about_the_other_port_keeps_that_of_terminals() -> None:
    assert read_options({"PUSH_PORT": "8081"}).command(API_PORT=8098) == "PUSH_PORT=8081 API_PORT=8098 ./script/start"


def test_terminals_are_served_where_everything_is_unless_they_are_given_a_port() -> None:
    for environ in ({}, {"PUSH_PORT": ""}, {"PUSH_PORT": "0"}):
        assert (read_options(environ).push_port, read_options(environ).push_url) == (None, "http://localhost:8097/")
    apart = read_options({"API_HOST": "10.0.0.1", "PUSH_PORT": "8081"})
    assert (apart.push_url, apart.url) == ("http://10.0.0.1:8081/", "http://10.0.0.1:8097/")
    inside = read_options({"API_HOST": "10.0.0.1", "PUSH_HOST": "192.168.1.1", "PUSH_PORT": "8081"})
    assert inside.push_url == "http://192.168.1.1:8081/"


def test_a_free_port_is_left_free() -> None:
    port = free_port()

    require_free_port(options_for(port))

    socket.create_server(("127.0.0.1", port)).close()


def test_an_address_of_another_machine_is_refused() -> None:
    options = read_options({"API_HOST": "192.0.2.1"})

    with pytest.raises(LaunchError, match="is no address of this machine"):
        require_free_port(options)


def test_an_unreachable_database_is_one_sentence_without_the_password() -> None:
    with pytest.raises(LaunchError) as raised:
        require_database(f"postgres://u:hidden@127.0.0.1:{free_port()}/zkbio")

    assert str(raised.value).startswith("DATABASE_URL can't be reached: connection to server at")
    assert "\n" not in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_an_unreachable_redis_is_one_sentence() -> None:
    with pytest.raises(LaunchError, match=r"^REDIS_URL can't be reached: .*redis-cli"):
        require_redis(f"redis://127.0.0.1:{free_port()}/0")


def options_for(port: int) -> Options:
    return read_options({"API_HOST": "127.0.0.1", "API_PORT": str(port)})
