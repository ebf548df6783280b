from __future__ import annotations

import socket

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from zkbio.launcher.state import StateDir
from zkbio.launcher.valkey import EmbeddedValkey, embedded_valkey


def test_a_server_is_bounded_persistent_and_wants_its_password(state: StateDir) -> None:
    with embedded_valkey(state.root) as url:
        client = redis.Redis.from_url(url, decode_responses=True)
        wanted = {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory": str(256 * 1024 * 1024),
            "maxmemory-policy": "noeviction",
            "bind": "127.0.0.1",
        }
        assert client.config_get(*wanted) == wanted
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=EmbeddedValkey(state.root).port(), retry=Retry(NoBackoff(), 0)).ping()


def test_the_password_is_in_no_command_line(state: StateDir) -> None:
    server = EmbeddedValkey(state.root)
    server.start()

    assert server.running is not None
    assert server.running.identity.command[1:] == (str(state.root / "valkey" / "valkey.conf"),)
    assert (state.root / "valkey" / "valkey.conf").stat().st_mode & 0o777 == 0o600
    server.stop()


def test_after_a_restart_the_data_and_the_address_are_the_same(state: StateDir) -> None:
    server = EmbeddedValkey(state.root)
    server.start()
    url = server.url
    redis.Redis.from_url(url).set("queue", "waiting")
    server.stop()

    server.start()

    assert server.url == url
    assert redis.Redis.from_url(url).get("queue") == b"waiting"
    server.stop()


def test_a_server_that_was_left_running_is_taken_over(state: StateDir) -> None:
    first, second = EmbeddedValkey(state.root), EmbeddedValkey(state.root)
    first.start()

    second.start()

    assert first.running is not None
    assert second.running is not None
    assert second.running.pid == first.running.pid
    second.stop()
    first.stop()


def test_a_port_that_another_program_took_is_given_up(state: StateDir) -> None:
    server = EmbeddedValkey(state.root)
    first = server.port()
    with socket.create_server(("127.0.0.1", first)):
        server.start()

        assert server.port() != first
        assert redis.Redis.from_url(server.url).ping()
    server.stop()
