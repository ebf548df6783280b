from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from zkbio.launcher.owner import server_owner
from zkbio.launcher.postgres import EmbeddedPostgres, embedded_postgres, is_private
from zkbio.launcher.programs import POSTGRES_PACKAGE, copy_programs, package_folder
from zkbio.launcher.state import ROOT, StateDir
from zkbio.launcher.trouble import LaunchError


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def test_a_block_has_an_empty_database_of_its_own(state: StateDir) -> None:
    with embedded_postgres(state.root, durable=False) as url:
        assert ask(url, "SELECT current_user, current_database(), upper('ñß'), current_setting('data_checksums')") == [
            ("zkbio", "zkbio", "Ñß", "on")
        ]
        assert ask(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]

    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(url)


def test_what_was_committed_is_there_after_an_immediate_stop(state: StateDir) -> None:
    server = EmbeddedPostgres(state.root, durable=True)
    server.start()
    url = server.url
    ask(url, "CREATE TABLE punches AS SELECT 1 AS id")

    server.stop_immediately()
    server.start()

    assert server.url == url
    assert ask(url, "SELECT id FROM punches") == [(1,)]
    server.stop()


def test_the_platforms_role_is_no_superuser_and_a_wrong_password_is_refused(state: StateDir) -> None:
    with embedded_postgres(state.root) as url:
        assert ask(url, "SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'zkbio'") == [
            (False, False, False)
        ]
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(re.sub(r":[^:@/]+@", ":wrong@", url))


def test_there_is_no_network_socket_and_nobody_else_can_enter_the_folder(state: StateDir) -> None:
    with embedded_postgres(state.root) as url:
        server = EmbeddedPostgres(state.root)
        assert ask(url, "SELECT current_setting('listen_addresses'), current_setting('max_connections')") == [
            ("", "300")
        ]
        assert is_private(server.socket_dir(), server.owner)
        assert len(str(server.socket_dir() / ".s.PGSQL.5432")) < 60


def test_a_start_is_durable_and_a_test_is_fast(state: StateDir) -> None:
    settings = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
    with embedded_postgres(state.root) as url:
        assert ask(url, settings) == [("on", "on")]
    with embedded_postgres(state.root, durable=False) as url:
        assert ask(url, settings) == [("off", "off")]


def test_a_server_that_was_left_running_is_taken_over(state: StateDir) -> None:
    first = EmbeddedPostgres(state.root, durable=False)
    first.start()
    second = EmbeddedPostgres(state.root, durable=False)

    second.start()

    assert first.running is not None
    assert second.running is not None
    assert second.running.pid == first.running.pid
    second.stop()
    assert not first.running.alive()


def test_a_server_whose_socket_was_swept_away_is_replaced(state: StateDir) -> None:
    first = EmbeddedPostgres(state.root, durable=False)
    first.start()
    shutil.rmtree(first.socket_dir())
    second = EmbeddedPostgres(state.root, durable=False)

    second.start()

    assert ask(second.url, "SELECT 1") == [(1,)]
    second.stop()


def test_a_killed_server_starts_again(state: StateDir) -> None:
    server = EmbeddedPostgres(state.root, durable=False)
    server.start()
    assert server.running is not None
    server.running.stop(signal.SIGKILL, 5)

    server.start()

    assert ask(server.url, "SELECT 1") == [(1,)]
    server.stop()


def test_statements_and_rows_stay_out_of_the_log(state: StateDir) -> None:
    with embedded_postgres(state.root, durable=False) as url:
        ask(url, "CREATE TABLE t (secret text CHECK (length(secret) < 3))")
        with pytest.raises(psycopg2.errors.CheckViolation):
            ask(url, "INSERT INTO t VALUES ('hunter2hunter2')")

    log = (state.log / "postgres.log").read_text()
    assert "violates check constraint" in log
    assert "hunter2" not in log


def test_a_database_without_its_secrets_is_not_given_new_ones(state: StateDir) -> None:
    with embedded_postgres(state.root, durable=False):
        pass
    (state.root / "secrets.env").unlink()

    with pytest.raises(LaunchError, match=r"secrets\.env with its keys is gone"):
        EmbeddedPostgres(state.root).prepare()

    assert not (state.root / "secrets.env").exists()


def test_a_cut_first_start_is_begun_anew(state: StateDir) -> None:
    home = EmbeddedPostgres(state.root).home()
    (home / "data.new").mkdir()
    (home / "data.new" / "half").touch()

    with embedded_postgres(state.root, durable=False) as url:
        assert ask(url, "SELECT 1") == [(1,)]


def test_a_copy_of_the_programs_runs(state: StateDir) -> None:
    package = package_folder(POSTGRES_PACKAGE)

    copy_programs(package, package / "pginstall18", state.root / "programs")

    for program in ("initdb", "postgres", "psql", "pg_dump"):
        assert server_owner().can_run(state.root / "programs" / POSTGRES_PACKAGE / "pginstall18" / "bin" / program)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL to another user")
def test_below_a_closed_folder_the_data_goes_where_its_user_can_reach_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "var", durable=False)
    server.start()
    try:
        assert (closed / "var" / "postgres").is_symlink()
        assert f"PostgreSQL's data goes to {server.home()}" in capsys.readouterr().out
        assert closed.stat().st_mode & 0o777 == 0o700
        assert ask(server.url, "SELECT 1") == [(1,)]
    finally:
        server.stop()
        server.remove_socket_dir()
        shutil.rmtree(server.home())


@pytest.mark.skipif(os.geteuid() != 0, reason="then the whole suite runs as an ordinary user")
def test_an_ordinary_user_runs_the_servers_as_themselves(state: StateDir) -> None:
    nobody = server_owner()
    interpreters = [Path(sys.executable), Path(f"/usr/bin/python3.{sys.version_info.minor}")]
    python = next((path for path in interpreters if path.exists() and nobody.can_run(path)), None)
    if python is None or not nobody.can_enter(Path(sysconfig.get_path("purelib"))) or not nobody.can_enter(ROOT):
        pytest.skip("this interpreter or checkout lies where other users can't reach it")
    own = state.root / "own"
    own.mkdir()
    os.chown(own, nobody.uid, nobody.gid)
    code = """
import sys; from pathlib import Path; import psycopg2; from zkbio.launcher.postgres import embedded_postgres
with embedded_postgres(Path(sys.argv[1]), durable=False) as url:
    psycopg2.connect(url).close(); print("served")
"""
    path = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    result = subprocess.run(
        [python, "-B", "-c", code, own / "state"],
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
        cwd="/",
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
        user=nobody.uid,
        group=nobody.gid,
        extra_groups=[],
    )

    assert (result.stdout, result.returncode) == ("served\n", 0), result.stderr
    assert (own / "state").stat().st_mode & 0o777 == 0o700


def test_a_cluster_that_cannot_start_is_one_sentence(state: StateDir) -> None:
    with embedded_postgres(state.root, durable=False):
        pass
    server = EmbeddedPostgres(state.root, durable=False)
    (server.data / "global" / "pg_control").unlink()

    with pytest.raises(LaunchError) as raised:
        server.start()

    assert re.fullmatch(r"PostgreSQL did not start: [^\n]+ \(see .*/postgres\.log\)", str(raised.value))
