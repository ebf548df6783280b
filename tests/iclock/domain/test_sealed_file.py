"""A sealed file opens whole, with its passphrase, or not at all."""

from __future__ import annotations

import os
import stat
import struct
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest

from iclock.domain import sealed_file
from iclock.domain.sealed_file import MOST_CHUNK_BYTES, SealedFile, SealedFileError, new_file, write_sealed

PASSPHRASE = "correct horse battery"
CHUNKS = [b"first" * 100, b"second", b"third" * 7]
HEAD = 32 + 16


# Two chunks, as the first release wrote them.
WRITTEN_ONCE = (
    "YXR0ZW5kYW5jZSB0ZW1wbGF0ZXMsIHNlYWxlZCwgMQrU75AaKP6gfSxRv6Ur/exOAAAAABX0HMfkZqZA5LYQMJwp1yFJkoj1z/cAAAAAFu4FYZ09"
    "GIJAYA0aa1N+yJ+m55D68iEBAAAAEAfGNHJKuNykB8yQk5KNzMo="
)


def test_a_file_that_was_written_once_opens_in_every_release() -> None:
    """Which pins what a guess at the passphrase costs, too."""
    assert opened(b64decode(WRITTEN_ONCE)) == [b"first", b"second"]


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase is tried in no time: what it costs is told by the file that was written once."""
    monkeypatch.setitem(sealed_file._SCRYPT, "n", 2**4)


@pytest.fixture
def sealed(cheap: None) -> bytes:
    file = BytesIO()
    write_sealed(file, CHUNKS, PASSPHRASE)
    return file.getvalue()


def opened(data: bytes, passphrase: str = PASSPHRASE) -> list[bytes]:
    return list(SealedFile(BytesIO(data), passphrase).chunks())


def refusal(data: bytes, passphrase: str = PASSPHRASE) -> str:
    with pytest.raises(SealedFileError) as caught:
        opened(data, passphrase)
    return str(caught.value)


def frames(data: bytes) -> list[bytes]:
    found, start = [], HEAD
    while start < len(data):
        (size,) = struct.unpack_from(">I", data, start + 1)
        found.append(data[start : start + 5 + size])
        start += 5 + size
    return found


def test_what_was_written_is_read_and_can_be_read_again(sealed: bytes) -> None:
    file = SealedFile(BytesIO(sealed), PASSPHRASE)

    assert (list(file.chunks()), list(file.chunks())) == (CHUNKS, CHUNKS)
    assert len(frames(sealed)) == 4


def test_nothing_of_it_can_be_read_without_the_passphrase_and_no_two_files_are_alike(sealed: bytes) -> None:
    again = BytesIO()
    write_sealed(again, CHUNKS, PASSPHRASE)

    assert [chunk for chunk in CHUNKS if chunk in sealed] == []
    assert set(frames(sealed)).isdisjoint(frames(again.getvalue()))
    assert refusal(sealed, "another passphrase") == "The passphrase is another one, or the file is damaged."


def test_a_file_that_was_cut_is_not_whole(sealed: bytes) -> None:
    parts = frames(sealed)
    without_end = sealed[: -len(parts[-1])]

    assert refusal(without_end) == "The file is not whole: its end is missing."
    assert refusal(without_end[: -len(parts[-2])]) == "The file is not whole: its end is missing."
    assert refusal(sealed[:-1]) == "The file is not whole: its end is missing."
    assert refusal(sealed[: HEAD + 3]) == "The file is not whole: its end is missing."


def test_a_chunk_that_was_altered_moved_left_out_or_taken_from_elsewhere_does_not_open(sealed: bytes) -> None:
    head, (one, two, three, end) = sealed[:HEAD], frames(sealed)
    altered = bytearray(sealed)
    altered[HEAD + len(one) + 9] ^= 1
    called_the_end = b"\1" + three[1:]

    assert refusal(bytes(altered)) == "The file is damaged."
    assert refusal(head + one + three + two + end) == "The file is damaged."
    assert refusal(head + one + three + end) == "The file is damaged."
    assert refusal(head + one + two + end) == "The file is damaged."
    assert refusal(head + one + two + called_the_end) == "The file is damaged."
    assert refusal(head + end) == "The passphrase is another one, or the file is damaged."
    assert refusal(sealed + b"x") == "The file is damaged: something follows behind its end."


def test_a_size_that_no_chunk_has_is_refused_before_it_is_read(sealed: bytes) -> None:
    huge = sealed[:HEAD] + struct.pack(">BI", 0, MOST_CHUNK_BYTES + 17)

    assert refusal(huge) == "The file is damaged: it announces a part that is too large."
    with pytest.raises(SealedFileError, match="A chunk has"):
        write_sealed(BytesIO(), [bytes(MOST_CHUNK_BYTES + 1)], PASSPHRASE)


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"attendance templates, sealed, 1\n"])
def test_another_file_is_named_as_such(data: bytes) -> None:
    assert refusal(data) == "This is no file that backup_templates wrote."


def test_a_new_file_is_its_owners_only_and_there_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new"

    with new_file(path) as file:
        file.write(b"all of it")
        assert not path.exists()

    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"all of it", 0o600)
    assert names_in(tmp_path) == ["new"]


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")

    with pytest.raises(SealedFileError, match="is there already; a backup never replaces"), new_file(tmp_path / "old"):
        pytest.fail("it was opened")

    assert (names_in(tmp_path), (tmp_path / "old").read_bytes()) == (["old"], b"old")


def test_a_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    writing = new_file(tmp_path / "new")
    writing.__enter__().write(b"ours")
    (tmp_path / "new").write_bytes(b"theirs")

    with pytest.raises(SealedFileError, match="is there already; a backup never replaces"):
        writing.__exit__(None, None, None)

    assert (names_in(tmp_path), (tmp_path / "new").read_bytes()) == (["new"], b"theirs")


def test_all_of_it_is_on_the_disk_before_its_name_is_and_that_before_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync

    def note(opened: int) -> None:
        fsync(opened)
        synced.append((Path(f"/proc/self/fd/{opened}").readlink().name, (tmp_path / "new").exists()))

    monkeypatch.setattr(os, "fsync", note)
    with new_file(tmp_path / "new") as file:
        file.write(b"all of it")

    assert synced == [(f".new.{os.getpid()}", False), (tmp_path.name, True)]


def test_one_that_fails_leaves_nothing(tmp_path: Path) -> None:
    writing = new_file(tmp_path / "new")
    writing.__enter__().write(b"half")

    writing.__exit__(KeyError, KeyError(), None)

    assert names_in(tmp_path) == []


def test_where_there_is_no_folder_one_sentence_says_so(tmp_path: Path) -> None:
    nowhere = new_file(tmp_path / "nowhere" / "new")

    with pytest.raises(SealedFileError, match="can't be written: No such file or directory"), nowhere:
        pytest.fail("it was opened")


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
