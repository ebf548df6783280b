"""The state folder (STATE_DIR): everything that a start makes and keeps lies below it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zkbio.launcher.trouble import DISK_FULL, LaunchError

ROOT = Path(__file__).resolve().parent.parent.parent
USUAL_STATE = ROOT / "var"
DEMO_STATE = ROOT / "var-demo"  # of its own, so that no simulated terminal stays behind in a real installation
NEEDED_BYTES = 300 * 1024 * 1024  # a new PostgreSQL cluster with its first write-ahead log, and room to breathe


@dataclass(frozen=True)
class StateDir:
    root: Path

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def static(self) -> Path:
        return self.root / "static"

    @property
    def media(self) -> Path:
        return self.root / "media"

    def prepare(self) -> None:
        """Makes the folders that are missing; those that exist keep their permissions.

        Root's state folder may be entered, not listed, by others: PostgreSQL runs as another user below it.
        """
        try:
            if not self.root.exists():
                self.root.mkdir(parents=True)
                self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)
            for folder in (self.run, self.log, self.static, self.media):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            if error.errno in DISK_FULL:
                raise
            raise LaunchError(
                f"Cannot write to the state folder {self.root} ({error.strerror}); "
                "choose another: STATE_DIR=/path/to/folder ./script/start"
            ) from error

    def require_space(self, needed: int = NEEDED_BYTES) -> None:
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise LaunchError(
                f"Only {free // 2**20} MB are free for {self.root}, {needed // 2**20} MB are needed; "
                f"see what fills the disk with: df -h '{self.root}'"
            )


def keep_start_settings(state: StateDir, environ: Mapping[str, str]) -> None:
    """Keep what ./script/manage has to be given as the platform was: where changes of devices go, and how it mails."""
    kept = {
        name: value
        for name, value in environ.items()
        if (name in {"DEVICES_FILE", "ALARM_MAIL_TO"} or name.startswith("EMAIL_")) and value.strip()
    }
    write_private(state.run / "start-settings", json.dumps(kept))


def read_start_settings(state: StateDir) -> dict[str, str]:
    """What was kept at the last start."""
    note = state.run / "start-settings"
    return dict(json.loads(note.read_text())) if note.exists() else {}


def write_private(path: Path, text: str) -> None:
    """Readable by its owner only, whole or not at all, and on the disk when this returns."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
