"""All biometric templates in one sealed file, and back from it, here or on another installation.

People are found again by their code. A file is read twice: before anything is written it has to be whole, to its last
byte. Then each chunk is a transaction of its own, so that nobody waits for a hundred thousand templates to be written;
when the database fails in between, the same file is restored again, and what is here already is only counted.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db import transaction

from iclock.domain.biodata import forget_digests, record_reading, remember_digests, summarise
from iclock.domain.marks import mark_terminals
from iclock.domain.sealed_file import SealedFile, SealedFileError, new_file, said_in_words, write_sealed
from iclock.models import Biodata
from iclock.models.biodata import digest_of
from personnel.models import Employee
from zkbio.accounts.domain import audit
from zkbio.crypto import SealError

_ROWS: Final = 200
_CHUNK_BYTES: Final = 512 * 1024
_REPLACED: Final = ("sealed", "digest", "minor_ver", "duress", "sn", "update_time")

_Key = tuple[int, int, int, int, str]


class Record(NamedTuple):
    """A template as it stands in the file, whose it is by their code."""

    emp_code: str
    bio_type: int
    bio_no: int
    bio_index: int
    major_ver: str
    minor_ver: str
    duress: bool
    sn: str
    update_time: datetime
    template: bytes


@dataclass
class Restored:
    """What came of a file, or would: templates counted, and the codes of people who aren't here."""

    new: int = 0
    replaced: int = 0
    same: int = 0
    kept: int = 0
    without_consent: int = 0
    nobodys: int = 0
    unknown: set[str] = field(default_factory=set)

    def counts(self) -> dict[str, int]:
        return {name: count for name, count in asdict(self).items() if isinstance(count, int)}


def back_up_templates(path: Path, passphrase: str, *, actor: object) -> int:
    """Write all templates into a new file; how many. That they are read stands in the trail. Raises SealedFileError."""
    count = 0

    def counted(records: Iterable[Record]) -> Iterator[Record]:
        nonlocal count
        for record in records:
            count += 1
            yield record

    with new_file(path) as file:
        write_sealed(file, _packed(counted(_stored(actor))), passphrase)
    audit.record(actor=actor, action="iclock.backup_templates", subject=path.name, detail={"templates": count})
    return count


def restore_templates(
    path: Path, passphrase: str, *, replace: bool = False, dry_run: bool = False, actor: object
) -> Restored:
    """Store what isn't here yet of a file that :func:`back_up_templates` wrote; with ``replace`` also what differs.

    Raises SealedFileError for a file that isn't whole or opens with another passphrase; then nothing was written.
    """
    restored = Restored()
    with said_in_words(path, "read"), path.open("rb") as file:
        sealed = SealedFile(file, passphrase)
        total = sum(len(_unpacked(chunk)) for chunk in sealed.chunks())
        if not dry_run:
            detail = {"templates": total, "replace": replace}
            audit.record(actor=actor, action="iclock.begin_restore", subject=path.name, detail=detail)
        for chunk in sealed.chunks():
            _restore(_unpacked(chunk), restored, replace=replace, dry_run=dry_run)
    if not dry_run:
        audit.record(actor=actor, action="iclock.restore_templates", subject=path.name, detail=restored.counts())
    return restored


def _stored(actor: object) -> Iterator[Record]:
    last = 0
    while rows := list(Biodata.objects.filter(pk__gt=last).select_related("employee").order_by("pk")[:_ROWS]):
        record_reading([{"id": row.pk, "employee": row.employee_id} for row in rows], actor=actor)
        yield from map(_record_of, rows)
        last = rows[-1].pk


def _record_of(row: Biodata) -> Record:
    try:
        template = row.template
    except SealError as error:
        raise SealedFileError(
            f"{row} can't be opened, so there is no backup: {error} Delete it, or mend that."
        ) from error
    common = {name: getattr(row, name) for name in Record._fields if name not in ("emp_code", "template")}
    return Record(emp_code=row.employee.emp_code, template=template, **common)


def _packed(records: Iterable[Record]) -> Iterator[bytes]:
    lines: list[str] = []
    size = 0
    for record in records:
        told = {"update_time": record.update_time.isoformat(), "template": base64.b64encode(record.template).decode()}
        lines.append(json.dumps({**record._asdict(), **told}))
        size += len(lines[-1])
        if size >= _CHUNK_BYTES:
            yield "\n".join(lines).encode()
            lines, size = [], 0
    if lines:
        yield "\n".join(lines).encode()


def _unpacked(chunk: bytes) -> list[Record]:
    try:
        return [_unpacked_line(json.loads(line)) for line in chunk.splitlines()]
    except (ValueError, KeyError, TypeError) as error:
        raise SealedFileError("The file opens, but isn't understood: is it of a later release?") from error


def _unpacked_line(said: dict[str, Any]) -> Record:
    """Raises ValueError, KeyError and TypeError."""
    template = base64.b64decode(said["template"], validate=True)
    record = Record(**{**said, "template": template, "update_time": datetime.fromisoformat(said["update_time"])})
    Biodata.Type(record.bio_type)
    if not template or record.update_time.tzinfo is None:
        raise ValueError("no template, or no moment")
    return record


def _restore(records: Sequence[Record], restored: Restored, *, replace: bool, dry_run: bool) -> None:
    with transaction.atomic():
        codes = {record.emp_code for record in records}
        locked = Employee.objects.filter(emp_code__in=codes).order_by("pk").select_for_update(no_key=True)
        people = {employee.emp_code: employee for employee in locked}
        there = {_key(row): row for row in Biodata.objects.filter(employee__in=people.values()).defer("sealed")}
        added: list[Biodata] = []
        changed: list[Biodata] = []
        replaced: list[tuple[int, int, str]] = []
        for record in records:
            employee = people.get(record.emp_code)
            if employee is None:
                restored.nobodys += 1
                restored.unknown.add(record.emp_code)
            elif settings.BIOMETRIC_CONSENT and not employee.biometric_consent:
                restored.without_consent += 1
            elif (row := there.get((employee.pk, *record[1:5]))) is None:
                restored.new += 1
                added.append(_filled(Biodata(employee=employee), record))
            elif row.digest == digest_of(record.template):
                restored.same += 1
            elif not replace:
                restored.kept += 1
            else:
                restored.replaced += 1
                replaced.append((employee.pk, row.bio_type, row.digest))
                row.employee = employee
                changed.append(_filled(row, record))
        if not dry_run:
            forget_digests(replaced)
            _write(added, changed)


def _write(added: list[Biodata], changed: list[Biodata]) -> None:
    moments = [row.update_time for row in added]
    Biodata.objects.bulk_create(added)
    for row, moment in zip(added, moments, strict=True):
        row.update_time = moment  # when it was enrolled, not when it came here
    Biodata.objects.bulk_update(added, ["update_time"])
    Biodata.objects.bulk_update(changed, _REPLACED)
    remember_digests([*added, *changed])
    people = sorted({row.employee_id for row in (*added, *changed)})
    summarise(people)
    mark_terminals(Employee.areas.through.objects.filter(employee__in=people).values_list("area_id", flat=True))


def _filled(row: Biodata, record: Record) -> Biodata:
    for name in Record._fields[1:]:  # the template, which is bound to what comes before it, comes last
        setattr(row, name, getattr(record, name))
    return row


def _key(row: Biodata) -> _Key:
    return row.employee_id, row.bio_type, row.bio_no, row.bio_index, row.major_ver
