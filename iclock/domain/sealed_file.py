"""A file that opens with a passphrase, on any installation: written and read in chunks, never held as a whole.

Layout: a magic line, 16 bytes of salt, then frames ``<kind: 1><length: 4, big endian><ciphertext and tag>``. The key is
scrypt's of passphrase and salt, so it is another one for each file; a frame's nonce is its position and its kind, and
the head is authenticated with each. A chunk that was altered, moved, left out or taken from another file doesn't open,
and the last frame, which is empty and of a kind of its own, says that nothing is missing behind.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MAGIC: Final = b"attendance templates, sealed, 1\n"
_SALT_BYTES: Final = 16
_HEAD_BYTES: Final = len(_MAGIC) + _SALT_BYTES
_FRAME: Final = struct.Struct(">BI")
_NONCE: Final = struct.Struct(">QI")
_TAG_BYTES: Final = 16
_CHUNK, _END = 0, 1
# What one guess at the passphrase costs: 64 MB and a quarter of a second or more.
_SCRYPT: Final = {"n": 2**16, "r": 8, "p": 2, "maxmem": 2**27, "dklen": 32}
MOST_CHUNK_BYTES: Final = 4 * 1024 * 1024


class SealedFileError(Exception):
    """The file can't be written, or can't be opened; its text is a sentence for whoever asked."""


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there once all of it is written, readable by its owner only; what is there already stays.

    Raises SealedFileError.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with said_in_words(path, "written"):
        _refuse_existing(path)
        fresh.unlink(missing_ok=True)  # of an earlier process with our number, which was killed
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _give_name(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)
        _keep_names(path.parent)


def write_sealed(file: BinaryIO, chunks: Iterable[bytes], passphrase: str) -> None:
    """Raises SealedFileError for a chunk that is too large to be read again."""
    head = _MAGIC + os.urandom(_SALT_BYTES)
    box = _box(passphrase, head)
    file.write(head)
    position = 0
    for chunk in chunks:
        if len(chunk) > MOST_CHUNK_BYTES:
            raise SealedFileError(f"A chunk has {len(chunk)} bytes; {MOST_CHUNK_BYTES} are the most.")
        file.write(_frame(box, head, (position, _CHUNK), chunk))
        position += 1
    file.write(_frame(box, head, (position, _END), b""))


class SealedFile:
    """An open file to be read as often as needed. Raises SealedFileError for what is none."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        self._file = file
        self._head = file.read(_HEAD_BYTES)
        if not file.seekable() or len(self._head) < _HEAD_BYTES or not self._head.startswith(_MAGIC):
            raise SealedFileError("This is no file that backup_templates wrote.")
        self._box = _box(passphrase, self._head)

    def chunks(self) -> Iterator[bytes]:
        """Raises SealedFileError as soon as something is wrong; what came before it was whole."""
        self._file.seek(_HEAD_BYTES)
        position = 0
        while True:
            kind, chunk = self._next(position)
            if kind == _END:
                break
            yield chunk
            position += 1
        if self._file.read(1):
            raise SealedFileError("The file is damaged: something follows behind its end.")

    def _next(self, position: int) -> tuple[int, bytes]:
        kind, size = _FRAME.unpack(self._whole(_FRAME.size))
        if size > MOST_CHUNK_BYTES + _TAG_BYTES:
            raise SealedFileError("The file is damaged: it announces a part that is too large.")
        sealed = self._whole(size)
        try:
            return kind, self._box.decrypt(_NONCE.pack(position, kind), sealed, self._head)
        except (InvalidTag, ValueError) as error:
            damaged = "The file is damaged." if position else "The passphrase is another one, or the file is damaged."
            raise SealedFileError(damaged) from error

    def _whole(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise SealedFileError("The file is not whole: its end is missing.")
        return data


@contextmanager
def said_in_words(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SealedFileError(f"{path} can't be {what}: {error.strerror or error}.") from error


def _frame(box: AESGCM, head: bytes, where: tuple[int, int], chunk: bytes) -> bytes:
    """``where`` is position and kind."""
    sealed = box.encrypt(_NONCE.pack(*where), chunk, head)
    return _FRAME.pack(where[1], len(sealed)) + sealed


def _box(passphrase: str, head: bytes) -> AESGCM:
    return AESGCM(hashlib.scrypt(passphrase.encode(), salt=head[len(_MAGIC) :], **_SCRYPT))


def _refuse_existing(path: Path) -> None:
    """Before the work, which is much."""
    if os.path.lexists(path):
        raise _there_already(path)


def _give_name(fresh: Path, path: Path) -> None:
    """A link is never put in the place of a file that came meanwhile, as a renamed file would be."""
    try:
        os.link(fresh, path)
    except FileExistsError as error:
        raise _there_already(path) from error


def _there_already(path: Path) -> SealedFileError:
    return SealedFileError(f"{path} is there already; a backup never replaces a file.")


def _keep_names(folder: Path) -> None:
    """Whatever happens to the machine, the file is found under its name."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
