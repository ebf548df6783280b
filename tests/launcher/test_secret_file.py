from __future__ import annotations

import base64
from pathlib import Path

import pytest

from zkbio.launcher.secret_file import NAMES, generate, load_or_make
from zkbio.launcher.trouble import LaunchError


def test_secrets_are_made_once_and_kept(tmp_path: Path) -> None:
    first = load_or_make(tmp_path / "secrets.env")

    assert load_or_make(tmp_path / "secrets.env") == first
    assert list(first) == list(NAMES)


def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    load_or_make(tmp_path / "secrets.env")

    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.env"]


def test_a_file_that_others_can_read_is_closed_again(tmp_path: Path) -> None:
    load_or_make(tmp_path / "secrets.env")
    (tmp_path / "secrets.env").chmod(0o644)

    load_or_make(tmp_path / "secrets.env")

    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600


def test_two_installations_share_no_secret() -> None:
    assert not set(generate().values()) & set(generate().values())


def test_keys_are_long_enough_for_the_settings() -> None:
    made = generate()

    assert len(made["SECRET_KEY"]) == 80
    assert len(base64.b64decode(made["TOKEN_KEY"], validate=True)) == 32
    assert len(base64.b64decode(made["FIELD_KEYS"].removeprefix("k1:"), validate=True)) == 32


def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    path.write_text("SECRET_KEY=abc\n")

    with pytest.raises(LaunchError, match="lacks TOKEN_KEY"):
        load_or_make(path)

    assert path.read_text() == "SECRET_KEY=abc\n"
