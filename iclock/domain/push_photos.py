"""Pictures that terminals take or hold: made anew from their pixels, encrypted, kept under random names for PHOTO_DAYS.

Nothing of what was sent is stored as it came: not its bytes, which may be anything, nor its name.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from secrets import token_hex
from typing import Any, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction

from iclock.domain import placements, taking
from iclock.domain.history import purge
from iclock.domain.marks import hold_terminals
from iclock.domain.push_gathering import beside_the_others
from iclock.domain.push_people import belongs
from iclock.domain.push_room import room_of
from iclock.lines import PictureLine
from iclock.models import SyncMark, Terminal, TerminalPhoto
from iclock.punch import Reject
from personnel.domain.photos import read_photo
from zkbio import crypto
from zkbio.api.streams import let_connection_go
from zkbio.pooled.storing import beside

# No unit has a larger sensor; some decoders take long for few bytes.
_MOST_PIXELS: Final = 4_000_000
_TABLE: Final = "iclock_terminalphoto"
_FOLDER: Final = "terminal_photos"
_MOST_REASON: Final = 200

_log = logging.getLogger(__name__)


def keep_picture(terminal: Terminal, picture: PictureLine) -> Reject | None:
    """None when it is kept, by now or before; else what is to be kept of it. Raises django.db.Error and OSError."""
    digest = _digest(picture)
    if TerminalPhoto.objects.filter(terminal=terminal, digest=digest).exists():
        return None
    # Without a place among those who store: small files may hold millions of pixels.
    let_connection_go()
    try:
        photo = beside(_made_anew, picture.data)
    except ValidationError as error:
        return refused_picture(f"{picture.kind} {picture.pin}", reason=" ".join(error.messages), size=len(picture.data))
    with beside_the_others():
        _store(terminal, picture, photo, digest)
        if picture.kind == "user":
            _take_portrait(terminal, picture.pin, photo)
    return None


def refused_picture(what: str, *, reason: str, size: int) -> Reject:
    """Never its bytes: somebody's face may be in them."""
    return Reject(f"photo {what}, {size} bytes".encode(), reason[:_MOST_REASON])


def open_photo(photo: TerminalPhoto) -> bytes:
    """The JPEG. Raises zkbio.crypto.SealError, and OSError when the file is gone. Who shows it writes that down."""
    with default_storage.open(photo.file) as file:
        return crypto.unseal(file.read(), table=_TABLE, row=photo.uuid)


def purge_photos() -> int:
    """Forget those that came more than PHOTO_DAYS ago; how many, no more than a batch."""
    return purge(TerminalPhoto.objects.all(), moment="received_at", days=settings.PHOTO_DAYS)


def remove_file(instance: TerminalPhoto, **_news: Any) -> None:
    """For ``post_delete``: the file goes with its row, once that is committed."""
    transaction.on_commit(partial(default_storage.delete, instance.file))


def _made_anew(data: bytes) -> bytes:
    return read_photo(BytesIO(data), size=len(data), most_pixels=_MOST_PIXELS)


def _digest(picture: PictureLine) -> str:
    """Of what was sent, by whom and when: the same again is the same picture."""
    said = f"{picture.kind}\0{picture.pin}\0{picture.taken or ''}\0"
    key = crypto.purpose_key("photos of terminals")
    return hmac.new(key, said.encode() + picture.data, hashlib.sha256).hexdigest()


def _store(terminal: Terminal, picture: PictureLine, photo: bytes, digest: str) -> None:
    uuid = uuid4()
    try:
        with _stored(photo, uuid) as name, transaction.atomic():
            hold_terminals([terminal.pk])
            TerminalPhoto.objects.create(
                uuid=uuid,
                terminal=terminal,
                emp_code=picture.pin,
                kind=picture.kind,
                taken=picture.taken,
                file=name,
                digest=digest,
            )
    except IntegrityError:
        # The same was sent twice at once; or its terminal is gone, which the unit learns of when it sends again.
        if not TerminalPhoto.objects.filter(terminal=terminal, digest=digest).exists():
            raise


@contextmanager
def _stored(photo: bytes, uuid: UUID) -> Iterator[str]:
    """Without the file's row, when the block fails, there is no file either."""
    sealed = ContentFile(crypto.seal(photo, table=_TABLE, row=uuid))
    name = f"{_FOLDER}/{token_hex(16)}.bin"
    try:
        yield default_storage.save(name, sealed)
    except BaseException:
        default_storage.delete(name)  # also what a full disk left of it
        raise


def _take_portrait(terminal: Terminal, code: str, photo: bytes) -> None:
    """Where people come from the terminal, and it certainly means them."""
    mark = SyncMark.objects.filter(terminal=terminal).first() or SyncMark(terminal=terminal)
    if not placements.policy_of(terminal, mark).takes:
        return
    sides = placements.sides_of(terminal, room_of(terminal.push), codes=[code])
    if not belongs(sides, code):
        return
    if refusal := taking.take_portrait(terminal, code, photo, person=sides.uuids[code]):
        _log.info("The portrait of %s at terminal %s isn't taken: %s", code, terminal.sn, refusal)
