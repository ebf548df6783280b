"""devices.json on the disk: read whole, written whole or not at all, and the note beside it of what we wrote."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_MOST_BYTES: Final = 32 * 1024 * 1024


class RegistryFileError(Exception):
    """The file can't be read, or is not to be written; its text is a sentence for the operator."""


def real_path(path: str | Path) -> Path:
    """Where a link leads: the link stays, and what it leads to is replaced."""
    return Path(os.path.realpath(path))


def read_entries(path: Path) -> dict[str, object]:
    """The entries by their ids, each as it stands. Raises RegistryFileError, which names line and column."""
    data = _read(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = _place(data[: error.start].decode("utf-8-sig", "replace"))
        raise RegistryFileError(f"{path} is not UTF-8 ({where}); nothing of it was loaded, and it is kept.") from error
    try:
        said = json.loads(text, object_pairs_hook=_once_each, parse_float=_finite, parse_constant=_finite)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise RegistryFileError(f"{path} is not JSON ({where}); nothing of it was loaded, and it is kept.") from error
    except (ValueError, RecursionError) as error:
        raise RegistryFileError(f"{path} can't be understood ({error}); nothing was loaded, and it is kept.") from error
    if not isinstance(said, dict):
        raise RegistryFileError(f"{path} (line 1, column 1) is not {{id: {{…}}, …}}; nothing was loaded; it is kept.")
    return said


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets a name stand twice and forgets the first; an entry would be lost without a word."""
    counts = Counter(name for name, _ in pairs)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise ValueError(f"the name {twice[0]!a} stands in it twice")
    return dict(pairs)


def _finite(written: str) -> float:
    """What JSON has no number for could not be written as it was."""
    number = float(written)
    if not math.isfinite(number):
        raise ValueError(f"{written} is no number that JSON has")
    return number


def _place(before: str) -> str:
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"


def _read(path: Path) -> bytes:
    """Never waits: a pipe in the file's place is no file."""
    with _said_in_words(path, "read"):
        if not stat.S_ISREG(path.stat().st_mode):
            raise RegistryFileError(f"{path} is not a file.")
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise RegistryFileError(f"{path} has more than {_MOST_BYTES // 2**20} MB; it is not read.")
    return data


def is_there(path: Path) -> bool:
    """Raises RegistryFileError where it isn't allowed to look."""
    with _said_in_words(path, "read"):
        return path.exists()


def require_writable(path: Path) -> None:
    """A file that was made read-only is left alone, though replacing it might succeed. Raises RegistryFileError."""
    with _said_in_words(path, "written"):
        if path.exists() and (not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK)):
            raise RegistryFileError(f"{path} is read-only; to have it written: chmod u+w {path}")


def write_entries(path: Path, entries: Mapping[str, object]) -> None:
    """Raises RegistryFileError; the file is then as it was."""
    _replace(path, _rendered(entries) + "\n")


def _rendered(entries: Mapping[str, object]) -> str:
    """Letters as they are; escaped where the file had escapes that stand for no letter."""
    text = json.dumps(entries, ensure_ascii=False, indent=2)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(entries, indent=2)
    return text


def read_digests(path: Path) -> dict[str, list[str]]:
    """What we wrote last, as digests. Where that isn't known, nothing in the file counts as ours."""
    try:
        said = json.loads(_read(_note(path)))
    except (RegistryFileError, ValueError, RecursionError):
        return {}
    return {key: marks for key, marks in said.items() if isinstance(marks, list)} if isinstance(said, dict) else {}


def write_digests(path: Path, digests: Mapping[str, list[str]]) -> None:
    _replace(_note(path), json.dumps(digests) + "\n")


def digest(said: object) -> str:
    """Of an entry, however it is indented and ordered."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _note(path: Path) -> Path:
    return path.with_name(f".{path.name}.written")


def _replace(path: Path, text: str) -> None:
    """Readable by its owner only, who stays the same; on the disk when this returns."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with _said_in_words(path, "written"):
        fresh.unlink(missing_ok=True)  # of an earlier process with our number, which was killed
        try:
            _write_new(fresh, text, like=path)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
        _sync_folder(path.parent)


def _write_new(fresh: Path, text: str, *, like: Path) -> None:
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if os.geteuid() == 0 and like.exists():
            os.fchown(file.fileno(), like.stat().st_uid, like.stat().st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _said_in_words(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "; mount its folder instead of the file" if error.errno == errno.EBUSY else ""
        raise RegistryFileError(f"{path} can't be {what}: {error.strerror or error}{hint}.") from error
