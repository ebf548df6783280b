"""Every request of terminals that dial, answered to the byte; and what hostile ones get."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.test import Client, override_settings
from PIL import Image

from iclock.domain import push_admission, push_orders
from iclock.domain.push_secrets import give_path
from iclock.models import (
    Alarm,
    PushCommand,
    PushPosition,
    PushState,
    QuarantinedRecord,
    Terminal,
    TerminalEvent,
    TerminalPerson,
    TerminalPhoto,
    TerminalPresence,
    Transaction,
)
from iclock.orders import Kind
from zkbio.accounts.models import User

pytestmark = pytest.mark.django_db
# Punches are stored in transactions of their own.
stores = pytest.mark.django_db(transaction=True)
SN = "CKJF201260077"
PUNCH = b"7\t2026-03-02 08:00:00\t0\t1\t0\t0\t0\n"
REFUSED = (403, b"This unit is not admitted here.")
HANDSHAKE = f"""\
GET OPTION FROM: {SN}
ATTLOGStamp=0
OPERLOGStamp=0
ATTPHOTOStamp=0
BIODATAStamp=0
ErrorDelay=30
Delay=10
TransTimes=00:00;14:05
TransInterval=1
TransFlag=TransData AttLog\tOpLog\tAttPhoto\tEnrollUser\tChgUser\tEnrollFP\tChgFP\tFACE\tUserPic\tFVEIN\tBioPhoto
TimeZone=330
Realtime=1
Encrypt=None
ServerVer=2.4.1
PushProtVer=2.4.1
""".encode()
CONFIGURATION = """\
ServerVersion=3.1.2
ServerName=ZKBio
PushProtVer=3.1.2
ErrorDelay=30
RequestDelay=10
TransInterval=1
TransTables=User Transaction
Realtime=1
SessionID={}
TimeoutSec=10
"""


@pytest.fixture(autouse=True)
def _fresh_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    push_admission._Buckets._left.clear()


@pytest.fixture
def unit(terminal: Terminal, tmp_path: Path) -> Iterator[Terminal]:
    Terminal.objects.filter(pk=terminal.pk).update(time_zone="Asia/Kolkata", transfer_time="00:00;14:05")
    with override_settings(MEDIA_ROOT=str(tmp_path)):
        yield terminal


def ask(target: str, body: bytes | None = None, *, method: str = "", **more: Any) -> tuple[int, bytes]:
    answer = Client(raise_request_exception=False).generic(
        method or ("GET" if body is None else "POST"), f"/iclock/{target}", body or b"", "text/plain", **more
    )
    return answer.status_code, answer.content


def upload(table: str, body: bytes, more: str = "&Stamp=9") -> tuple[int, bytes]:
    return ask(f"cdata?SN={SN}&table={table}{more}", body)


def picture(pixels: int = 8) -> bytes:
    made = BytesIO()
    Image.new("RGB", (pixels, pixels), (200, 10, 10)).save(made, "JPEG")
    return made.getvalue()


def test_the_handshake_tells_every_option(unit: Terminal) -> None:
    assert ask(f"cdata?SN={SN}&options=all&pushver=2.4.1&language=69") == (200, HANDSHAKE)


def test_a_very_old_unit_is_told_its_stamps_by_their_old_names_too(unit: Terminal) -> None:
    _, told = ask(f"cdata?SN={SN}&options=all")
    assert b"\nBIODATAStamp=0\nStamp=0\nOpStamp=0\nPhotoStamp=0\nErrorDelay=30\n" in told


@pytest.mark.parametrize(
    "target",
    [
        f"ping?SN={SN}",
        f"PING?sn={SN}",
        f"Ping.aspx?Sn={SN}",
        f"ping/?SN={SN}",
        f"ping.ASPX/?SN={SN}&SN=other",
        f"/ping?SN=%20{SN}%20",
    ],
)
def test_a_path_is_the_same_however_it_is_written(unit: Terminal, target: str) -> None:
    assert ask(target) == (200, b"OK")


@pytest.mark.parametrize(
    "path", ["//iclock/ping", "/ICLOCK//ping", "/p/anything/iclock/ping", "//p//x//iclock//ping//"]
)
def test_so_is_what_stands_before_it(unit: Terminal, path: str) -> None:
    assert Client().get(f"/?SN={SN}", PATH_INFO=path).content == b"OK"


def test_every_answer_is_plain_text_with_its_length(unit: Terminal) -> None:
    for target in (f"ping?SN={SN}", "ping?SN=nobody", "ping", f"cdata?SN={SN}&options=all"):
        answer = Client().get(f"/iclock/{target}")
        assert (answer["Content-Type"], int(answer["Content-Length"])) == ("text/plain", len(answer.content))
        assert set(answer.headers) == {"Content-Type", "Content-Length"}


@stores
def test_options_punches_and_lines_are_acknowledged_by_their_number(unit: Terminal) -> None:
    assert upload("options", b"~DeviceName=SpeedFace,FWVersion=Ver 8\n", "") == (200, b"OK")
    assert PushState.objects.get().options["DeviceName"] == "SpeedFace"
    assert upload("ATTLOG", PUNCH + b"rubbish\n" + PUNCH.replace(b"08:", b"17:")) == (200, b"OK: 3")
    assert (Transaction.objects.count(), QuarantinedRecord.objects.count()) == (2, 1)
    assert PushPosition.objects.get().stamps == {"ATTLOG": "9"}
    operations = b"OPLOG 4\t1\t2026-03-02 08:00:00\t0\t0\t0\nUSER PIN=7\tName=Ana\tPri=0\tPasswd=31415\tCard=\n"
    assert upload("operlog", operations) == (200, b"OK: 2")
    assert TerminalPerson.objects.get().emp_code == "7"
    for table in ("BIODATA", "FVEIN", "IDCARD", "ERRORLOG"):
        assert upload(table, b"") == (200, b"OK: 0")


@stores
@pytest.mark.parametrize("verb", ["cdata", "fdata"])
def test_a_photo_is_kept_under_a_name_of_ours(unit: Terminal, verb: str, tmp_path: Path) -> None:
    photo = picture()
    body = b"PIN=20260302080000-../../7.jpg\nSN=\nsize=%d\nCMD=uploadphoto\0" % len(photo)
    assert ask(f"{verb}?SN={SN}&table=ATTPHOTO", body + photo) == (200, b"OK")
    assert not TerminalPhoto.objects.exists()
    assert ask(f"{verb}?SN={SN}&table=ATTPHOTO", body.replace(b"../../", b"") + photo) == (200, b"OK")
    (kept,) = tmp_path.rglob("*.*")
    assert "7.jpg" not in str(kept)
    assert photo not in kept.read_bytes()
    assert b"PIN" not in bytes(QuarantinedRecord.objects.get().raw)


def test_an_order_is_handed_out_answered_and_over(unit: Terminal) -> None:
    assert ask(f"getrequest?SN={SN}") == (200, b"OK")
    order = push_orders.queue(unit, Kind.CHECK)
    assert ask(f"getrequest?SN={SN}&INFO=Ver%208,3,4,5,10.0.0.9,10") == (200, b"C:%d:CHECK\n" % order.pk)
    assert ask(f"getrequest?SN={SN}") == (200, b"OK")
    assert ask(f"devicecmd?SN={SN}", b"ID=%d&Return=0&CMD=CHECK\n" % order.pk) == (200, b"OK")
    order.refresh_from_db()
    unit.refresh_from_db()
    assert (order.state, unit.fw_ver, unit.transaction_count) == ("done", "Ver 8", 5)


@stores
def test_a_3_x_unit_registers_and_is_configured(unit: Terminal) -> None:
    first = ask(f"registry?SN={SN}", b"DeviceType=acc,~DeviceName=F18")
    code = PushState.objects.get().registry_code
    assert first == ask(f"registry?SN={SN}", b"") == (200, b"RegistryCode=" + code.encode())
    for body in (None, b""):
        assert ask(f"push?SN={SN}", body) == (200, CONFIGURATION.format(code).encode())
    line = b"time=2026-03-02 08:00:00\tpin=7\tcardno=0\teventaddr=1\tevent=0\tinoutstatus=1\tverifytype=1\tindex=21\n"
    assert upload("rtlog", line, "") == (200, b"OK")
    state = b"time=2026-03-02 08:00:00\tsensor=01\trelay=00\talarm=0100000000000000\tdoor=01\n"
    assert upload("rtstate", state, "") == (200, b"OK")
    assert (Transaction.objects.get().punch_state, TerminalEvent.objects.get().code) == (1, -1)
    people = b"user uid=1\tcardno=0\tpin=7\tpassword=31415\tgroup=1\tname=Ana\tprivilege=0\n"
    assert ask(f"querydata?SN={SN}&type=tabledata&tablename=user&count=1", people) == (200, b"OK")
    assert TerminalPerson.objects.get().emp_code == "7"


@pytest.mark.parametrize(
    ("time_zone", "utc", "time", "rttime"),
    [
        ("Asia/Kolkata", "2026-06-30T18:30:00", "2026-07-01T00:00:00+05:30", "+0530"),
        ("Australia/Lord_Howe", "2026-04-04T14:59:59", "2026-04-05T01:59:59+11:00", "+1100"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00", "2026-04-05T01:30:00+10:30", "+1030"),
        ("Europe/Madrid", "2026-03-29T01:00:00", "2026-03-29T03:00:00+02:00", "+0200"),
        ("America/St_Johns", "2026-11-01T04:30:00", "2026-11-01T01:00:00-03:30", "-0330"),
    ],
)
def test_the_time_is_of_the_terminals_zone_at_that_moment(
    unit: Terminal, monkeypatch: pytest.MonkeyPatch, time_zone: str, utc: str, time: str, rttime: str
) -> None:
    ask(f"ping?SN={SN}")
    Terminal.objects.update(time_zone=time_zone)
    moment = datetime.fromisoformat(f"{utc}+00:00")
    monkeypatch.setattr("iclock.push.views.timezone.now", lambda: moment)
    assert ask(f"cdata?SN={SN}&type=time") == (200, f"Time={time}".encode())
    _, told = ask(f"rtdata?SN={SN}&type=rttime")
    assert told.startswith(b"DateTime=")
    assert told.endswith(f",ServerTZ={rttime}".encode())


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE"])
@pytest.mark.parametrize(
    "verb", ["cdata", "fdata", "getrequest", "devicecmd", "ping", "registry", "push", "querydata", "rtdata"]
)
def test_nobody_learns_why_a_unit_is_not_admitted(unit: Terminal, method: str, verb: str) -> None:
    Terminal.objects.create(sn="BLOCKED", alias="b", admission="blocked")
    Terminal.objects.create(sn="PENDING", alias="p", admission="pending")
    give_path(Terminal.objects.create(sn="HIDDEN", alias="h"), actor=User.objects.create_user("admin"))
    answers = {
        ask(f"{verb}?SN={sn}&pushver=2.4.1&table=ATTLOG", PUNCH, method=method)
        for sn in ("BLOCKED", "PENDING", "HIDDEN", "UNKNOWN", "UNKNOWN")
    }
    assert answers == {(403, b"")} if method == "HEAD" else answers == {REFUSED}
    assert not Transaction.objects.exists()
    assert not QuarantinedRecord.objects.exists()


@pytest.mark.parametrize("serial", ["BLOCKED", "UNKNOWN"])
def test_a_3_x_unit_that_is_not_admitted_may_ask_but_not_register(unit: Terminal, serial: str) -> None:
    Terminal.objects.create(sn="BLOCKED", alias="b", admission="blocked")
    assert ask(f"cdata?SN={serial}&options=all&pushver=3.1.2") == (200, b"OK")
    assert ask(f"registry?SN={serial}", b"DeviceType=acc") == REFUSED
    assert ask(f"cdata?SN={serial}&table=rtlog&pushver=3.1.2", PUNCH) == REFUSED


@pytest.mark.parametrize(
    ("target", "more", "status"),
    [
        ("ping", {}, 400),
        ("ping?SN=", {}, 400),
        ("ping?SN=A%00", {}, 400),
        ("ping?SN=../etc", {}, 400),
        ("ping?SN=%D9%A1", {}, 400),
        (f"ping?SN={'A' * 51}", {}, 400),
        (f"ping?SN={SN}&{'a=1&' * 60}", {}, 400),
        (f"ping?SN={SN}&a={'b' * 8_200}", {}, 414),
        (f"cdata?SN={SN}&table=ATTLOG", {"HTTP_CONTENT_ENCODING": "gzip"}, 415),
        (f"cdata?SN={SN}&table=ATTLOG", {"HTTP_TRANSFER_ENCODING": "chunked"}, 411),
        (f"cdata?SN={SN}&table=ATTLOG", {"CONTENT_LENGTH": "-1"}, 400),
        (f"cdata?SN={SN}&table=ATTLOG", {"CONTENT_LENGTH": "99999999999"}, 413),
        (f"cdata?SN={SN}&table=ATTLOG", {"CONTENT_LENGTH": "9999", "wsgi.input": BytesIO(PUNCH)}, 400),
        (f"cdata?SN={SN}", {}, 400),
    ],
)
def test_what_is_no_request_of_a_unit_is_refused(unit: Terminal, target: str, more: Any, status: int) -> None:
    assert ask(target, PUNCH, **more)[0] == status
    assert not Transaction.objects.exists()


@pytest.mark.parametrize(("verb", "method"), [("ping", "POST"), ("getrequest", "POST"), ("devicecmd", "GET")])
def test_what_is_asked_for_by_another_method_is_refused(unit: Terminal, verb: str, method: str) -> None:
    assert ask(f"{verb}?SN={SN}", method=method)[0] == 405


@override_settings(PUSH_RATE=10)
def test_who_asks_too_often_waits(unit: Terminal) -> None:
    assert [ask(f"ping?SN={SN}")[0] for _ in range(11)] == [200] * 10 + [429]


@override_settings(ZKBIO_SOFT_404=True)
@pytest.mark.parametrize(
    "path", ["/iclock/edata", "/iclock/cdata/x", "/p/abc/iclock/edata", "/p/abc/cdata", "/iclock/x/"]
)
@pytest.mark.parametrize("serve", ["all", "web"])
def test_no_unit_is_told_200_where_nothing_was_kept(unit: Terminal, path: str, serve: str) -> None:
    with override_settings(SERVE=serve):
        assert Client().generic("POST", f"{path}?SN={SN}&table=ATTLOG", PUNCH).status_code == 404


@override_settings(ZKBIO_SOFT_404=True, SERVE="web", ROOT_URLCONF="zkbio.web_urls")
def test_the_listener_for_people_serves_no_unit(unit: Terminal) -> None:
    assert upload("ATTLOG", PUNCH)[0] == 404
    assert not Transaction.objects.exists()


@pytest.mark.parametrize("path", ["/iclock/api/terminals/", "//iclock//api//terminals/", "/iclock/API/", "/iclock/api"])
def test_the_paths_of_the_api_are_not_theirs(unit: Terminal, path: str) -> None:
    assert Client().get("/", PATH_INFO=path).content != b"Nothing is served here."


def test_a_secret_path_is_in_no_log(unit: Terminal, caplog: pytest.LogCaptureFixture) -> None:
    secret = give_path(unit, actor=User.objects.create_user("admin"))
    caplog.set_level(logging.DEBUG)
    for path, status in ((f"iclock/ping?SN={SN}", 200), ("iclock/ping?SN=X", 403), ("iclock/edata", 404), ("", 404)):
        assert Client().get(f"/p/{secret}/{path}").status_code == status
    assert ask(f"ping?SN={SN}") == REFUSED
    assert secret not in caplog.text


@pytest.mark.parametrize("verb", ["regi\u017ftry", "pu\u017fh", "getreque\u017ft"])
def test_a_verb_is_written_in_ascii(unit: Terminal, verb: str) -> None:
    assert ask(f"{verb}?SN={SN}", b"")[0] == 404


@stores
@pytest.mark.parametrize(
    ("stamps", "stored"),
    [
        ((b"2026-03-02 08:00:00", b"9999-12-31 23:59:59"), 1),
        ((b"2026-03-02 08:00:00", b"0001-01-01 00:00:00"), 1),
        ((b"2199-12-31 23:59:59",), 1),
        ((b"1970-01-01 00:00:00",), 1),
        ((b"2026-02-30 00:00:00", b"0000-00-00 00:00:00"), 0),
    ],
)
def test_odd_clocks_are_answered_as_all_others(unit: Terminal, stamps: tuple[bytes, ...], stored: int) -> None:
    Terminal.objects.update(time_zone="America/New_York")
    body = b"".join(b"7\t%s\t0\t1\n" % stamp for stamp in stamps)
    for _ in range(2):
        assert upload("ATTLOG", body) == (200, b"OK: %d" % len(stamps))
    assert Transaction.objects.count() == stored


@stores
def test_what_was_not_stored_says_nothing_of_the_clock(unit: Terminal) -> None:
    upload("ATTLOG", PUNCH + PUNCH.replace(b"2026", b"2300"))
    assert not Alarm.objects.exists()
    assert TerminalPresence.objects.get().clock_drift is None


@pytest.mark.parametrize(
    ("returned", "kept", "state"),
    [
        ("4294966294", -1002, "failed"),
        ("-1002", -1002, "failed"),
        ("9999999999", None, "sent"),
        ("-9999999999", None, "sent"),
    ],
)
def test_no_code_of_a_unit_has_it_repeat_its_answer_for_ever(
    unit: Terminal, returned: str, kept: int | None, state: str
) -> None:
    order = push_orders.queue(unit, Kind.CHECK)
    ask(f"getrequest?SN={SN}")
    assert ask(f"devicecmd?SN={SN}", f"ID={order.pk}&Return={returned}&CMD=CHECK".encode()) == (200, b"OK")
    assert [*PushCommand.objects.values_list("returned", "state")] == [(kept, state)]


@stores
@pytest.mark.parametrize("table", ["%00", "ATTLOG%00", "A" * 1_000, "%F0%9F%98%80"])
def test_tables_that_do_not_exist_leave_no_position(unit: Terminal, table: str) -> None:
    assert upload(table, b"x\n")[0] == 200
    assert PushPosition.objects.get().stamps == {}


@stores
def test_options_are_bounded_however_often_others_are_told(unit: Terminal) -> None:
    for turn in range(3):
        upload("options", ",".join(f"K{turn}x{number}=v" for number in range(150)).encode())
    upload("options", b"K0x0=changed")
    options = PushState.objects.get().options
    assert (len(options), options["K0x0"]) == (200, "changed")


@stores
def test_a_picture_that_is_no_picture_is_quarantined_and_its_neighbours_are_kept(unit: Terminal) -> None:
    portraits = [picture(), b"GIF89a", picture()[:90], b"\xff\xd8"]
    lines = [b"USERPIC PIN=%d\tContent=%s\n" % (at, base64.b64encode(data)) for at, data in enumerate(portraits, 1)]
    assert upload("OPERLOG", b"".join(lines)) == (200, b"OK: 4")
    assert (TerminalPhoto.objects.count(), QuarantinedRecord.objects.count()) == (1, 3)
    assert not any(
        b"R0lGOD" in bytes(each.raw) or b"GIF8" in bytes(each.raw) for each in QuarantinedRecord.objects.all()
    )


@stores
def test_no_password_or_template_is_quarantined_or_logged(unit: Terminal, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    body = (
        b"USER PIN=0\tPasswd=31415926\nFP PIN=7\tFID=77\tTMP=c2VjcmV0\nFP PIN=7 FID=1 TMP=c2VjcmV0\nX Passwd=31415926\n"
    )
    for table in ("OPERLOG", "BIODATA", "ATTLOG", "x", "options", "rtlog"):
        upload(table, body)
    kept = b"".join(bytes(each.raw) + each.reason.encode() for each in QuarantinedRecord.objects.all())
    assert kept
    for secret in (b"31415926", b"c2VjcmV0"):
        assert secret not in kept
        assert secret.decode() not in caplog.text
        assert secret.decode() not in str(PushState.objects.get().options)


@pytest.mark.parametrize("line", [b"x\n", b"\t\r\n", b"ID=1&Return=0\n", b"\n", b"x\0y\r"])
def test_a_post_of_rubble_is_refused_before_it_is_read(unit: Terminal, line: bytes) -> None:
    for target in (f"cdata?SN={SN}&table=ATTLOG", f"cdata?SN={SN}&table=OPERLOG", f"devicecmd?SN={SN}"):
        assert ask(target, line * 20_001)[0] == 413
    assert not QuarantinedRecord.objects.exists()


@stores
def test_a_whole_log_in_one_post_is_no_rubble(unit: Terminal) -> None:
    lines = [
        f"7\t2026-03-{day:02} {hour:02}:{minute:02}:{second:02}\r\n"
        for day in range(1, 6)
        for hour in range(24)
        for minute in range(60)
        for second in (0, 20, 40)
    ]
    assert upload("ATTLOG", "".join(lines).encode()) == (200, b"OK: 21600")
    assert Transaction.objects.count() == 21_600
