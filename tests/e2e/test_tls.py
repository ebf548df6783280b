"""./script/start --tls as an operator runs it: HTTPS, the printed line, and the registry in its file."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from tests.e2e.test_launcher import Launch, launched, outcome
from zkbio.launcher.state import ROOT
from zkbio.launcher.throwaway import throwaway_state
from zkbio.launcher.valkey import free_port


@pytest.fixture
def state_dir() -> Iterator[Path]:
    with throwaway_state() as state:
        yield state.root


def cookies_of_the_login_page(launch: Launch) -> SimpleCookie:
    trusting = ssl.create_default_context(cafile=str(launch.state_dir / "cert.pem"))
    connection = http.client.HTTPSConnection("127.0.0.1", launch.port, timeout=10, context=trusting)
    try:
        connection.request("GET", "/admin/login/")
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("Strict-Transport-Security") is None, "the name is not ours alone"
        return SimpleCookie(answer.getheader("Set-Cookie"))
    finally:
        connection.close()


def manage(launch: Launch, *words: str) -> None:
    environ = {"PATH": os.environ["PATH"], "STATE_DIR": str(launch.state_dir)}
    subprocess.run(
        [ROOT / "script" / "manage", *words], env=environ, check=True, capture_output=True, text=True, timeout=60
    )


@pytest.mark.skipif(shutil.which("curl") is None, reason="the printed line needs curl")
def test_a_start_with_tls_and_a_registry_file_serves_both(state_dir: Path) -> None:
    registry = state_dir / "devices.json"
    registry.write_text(json.dumps({"gate": {"ip": "127.0.0.1", "port": free_port(), "password": 12, "name": "Gate"}}))
    with launched(state_dir, free_port(), "--tls", DEVICES_FILE=str(registry)) as launch:
        launch.await_ready()

        assert f"https://127.0.0.1:{launch.port}/admin/" in launch.said()
        assert "made a self-signed certificate" in launch.said()
        assert f"{registry}: 1 new." in launch.said()
        assert cookies_of_the_login_page(launch)["csrftoken"]["secure"] is True

        line = next(line for line in launch.said().splitlines() if line.startswith("  curl "))
        answer = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, timeout=30, check=True)
        assert json.loads(answer.stdout)["count"] == 0

        manage(launch, "add_device", "127.0.0.1", "--port", str(free_port()), "--id", "hall")
        assert list(json.loads(registry.read_text())) == ["gate", "hall"], "manage knows of the file by itself"
        assert launch.end() < 30


def test_a_certificate_that_can_not_be_served_is_one_sentence(state_dir: Path) -> None:
    (state_dir / "cert.pem").write_text("no certificate")
    (state_dir / "key.pem").write_text("no key")
    with launched(state_dir, free_port(), CERT_FILE=str(state_dir / "cert.pem")) as launch:
        code, said = outcome(launch)

    assert code == 1
    assert said.endswith(
        f"{state_dir}/cert.pem holds no certificate in PEM form; is it the file that CERT_FILE means?\n"
    )
