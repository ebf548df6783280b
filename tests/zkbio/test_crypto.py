"""What is sealed opens only with its key, in its table and its row."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.test import override_settings

from zkbio.crypto import SealError, fingerprint, key_id, seal, unseal

ROW, OTHER_ROW = UUID(int=1), UUID(int=2)
OLD, NEW = {"k1": b"1" * 32}, {"k2": b"2" * 32}


def test_what_was_sealed_can_be_opened() -> None:
    assert unseal(seal(b"4711", table="device", row=ROW), table="device", row=ROW) == b"4711"


def test_the_same_secret_never_looks_the_same() -> None:
    assert seal(b"4711", table="device", row=ROW) != seal(b"4711", table="device", row=ROW)


@pytest.mark.parametrize(("table", "row"), [("employee", ROW), ("device", OTHER_ROW)])
def test_a_ciphertext_that_was_moved_does_not_open(table: str, row: UUID) -> None:
    with pytest.raises(SealError, match="altered or belongs to another row"):
        unseal(seal(b"4711", table="device", row=ROW), table=table, row=row)


def test_a_ciphertext_that_was_altered_does_not_open() -> None:
    sealed = bytearray(seal(b"4711", table="device", row=ROW))
    sealed[-1] ^= 1

    with pytest.raises(SealError, match="altered"):
        unseal(bytes(sealed), table="device", row=ROW)


def test_the_first_key_seals_and_every_key_opens() -> None:
    with override_settings(FIELD_KEYS=OLD):
        old = seal(b"4711", table="device", row=ROW)
    with override_settings(FIELD_KEYS=NEW | OLD):
        assert unseal(old, table="device", row=ROW) == b"4711"
        assert key_id(seal(b"4711", table="device", row=ROW)) == "k2"
    with override_settings(FIELD_KEYS=NEW), pytest.raises(SealError, match="under key 'k1', which FIELD_KEYS"):
        unseal(old, table="device", row=ROW)


@pytest.mark.parametrize("rubbish", [b"", b"\x05", b"\x02k1short"])
def test_rubbish_does_not_open(rubbish: bytes) -> None:
    with override_settings(FIELD_KEYS=OLD), pytest.raises(SealError):
        unseal(rubbish, table="device", row=ROW)


def test_a_fingerprint_depends_on_the_installations_key() -> None:
    with override_settings(TOKEN_KEY=b"1" * 32):
        one = fingerprint("secret")
    with override_settings(TOKEN_KEY=b"2" * 32):
        other = fingerprint("secret")

    assert len(one) == 64
    assert one != other
