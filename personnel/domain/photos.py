"""Photos of people: whatever is uploaded, what is kept is a JPEG of our own making under a name of ours."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from secrets import token_hex
from typing import IO, Final

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils.translation import gettext as _
from PIL import Image, ImageOps

MOST_BYTES: Final = 5 * 1024 * 1024
_MOST_PIXELS: Final = 25_000_000
_LONGEST_SIDE: Final = 1600
_FORMATS: Final = ("JPEG", "PNG", "WEBP")
# What Pillow's decoders raise on what is no image.
_UNREADABLE: Final = (
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
    EOFError,
    LookupError,
    OSError,
    OverflowError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def read_photo(upload: IO[bytes], *, size: int, most_pixels: int = _MOST_PIXELS) -> bytes:
    """A JPEG without metadata, upright, at most 1600 pixels a side. Raises ValidationError."""
    if size > MOST_BYTES:
        raise ValidationError(_("A photo has at most %d bytes.") % MOST_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _decoded(upload, most_pixels)
    except _UNREADABLE as error:
        raise ValidationError(_("This is no JPEG, PNG or WebP image that can be read.")) from error


@contextmanager
def stored(photo: bytes) -> Iterator[str]:
    """Keep it under a random name; without the file's row, when the block fails, there is no file either."""
    name = default_storage.save(f"photo/{token_hex(16)}.jpg", ContentFile(photo))
    try:
        yield name
    except BaseException:
        default_storage.delete(name)
        raise


def remove_photo(name: str) -> None:
    """Once the transaction is committed."""
    if name:
        transaction.on_commit(partial(default_storage.delete, name))


def _decoded(upload: IO[bytes], most_pixels: int) -> bytes:
    """The size is in the head of the file: what is too large is refused before a pixel of it is decoded."""
    with Image.open(upload, formats=_FORMATS) as image:
        if image.width * image.height > most_pixels:
            raise ValidationError(_("A photo has at most %d pixels.") % most_pixels)
        image.draft("RGB", (_LONGEST_SIDE, _LONGEST_SIDE))
        upright = ImageOps.exif_transpose(image).convert("RGB")
        upright.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
        clean = Image.new("RGB", upright.size)
        clean.paste(upright)
        made = BytesIO()
        clean.save(made, "JPEG", quality=90)
        return made.getvalue()
