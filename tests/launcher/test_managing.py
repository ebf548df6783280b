from __future__ import annotations

import pytest

from zkbio.launcher import managing
from zkbio.launcher.managing import choose_running, is_running
from zkbio.launcher.options import Options, read_options
from zkbio.launcher.start import the_only_start
from zkbio.launcher.state import StateDir, keep_start_settings, read_start_settings
from zkbio.launcher.throwaway import throwaway_state


def test_only_a_folder_whose_launcher_lives_is_running(state: StateDir) -> None:
    before = is_running(state)
    with the_only_start(Options(state=state)):
        during = is_running(state)

    assert (before, during, is_running(state)) == (False, True, False)


def test_commands_go_to_the_demo_where_only_that_runs(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    with throwaway_state() as demo:
        monkeypatch.setattr(managing, "DEMO_STATE", demo.root)
        monkeypatch.setattr(managing, "USUAL_STATE", state.root)
        usual, named = Options(state=state), read_options({"STATE_DIR": "/srv/zkbio"})
        neither = choose_running(usual).state
        with the_only_start(Options(state=demo)):
            only_demo = [choose_running(options).state for options in (usual, named)]
            with the_only_start(usual):
                both = choose_running(usual).state

    assert neither == both == state
    assert only_demo == [demo, named.state]


def test_commands_have_the_mail_settings_of_the_platform_that_runs(state: StateDir) -> None:
    started = {"EMAIL_HOST": "mail.example.com", "ALARM_MAIL_TO": "it@example.com", "EMAIL_USER": " ", "HOME": "/"}
    keep_start_settings(state, {**started, "DEVICES_FILE": "/srv/devices.json"})

    assert read_start_settings(state) == {
        "EMAIL_HOST": "mail.example.com",
        "ALARM_MAIL_TO": "it@example.com",
        "DEVICES_FILE": "/srv/devices.json",
    }
    assert [path.stat().st_mode & 0o777 for path in state.run.iterdir()] == [0o600]


def test_settings_of_an_earlier_start_are_not_those_of_this_one(state: StateDir) -> None:
    keep_start_settings(state, {"EMAIL_HOST": "mail.example.com"})
    keep_start_settings(state, {})

    assert read_start_settings(state) == {}
