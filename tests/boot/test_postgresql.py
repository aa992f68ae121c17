"""asyncpg in a booted image, and a real PostgreSQL on the host: passwords, TLS, copies, notifications, a pool."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.certificate import make_certificate
from tests.boot.programs import build_program
from tests.boot.served import free_port, served

pytestmark = [pytest.mark.boot, pytest.mark.slow]

HOST_AS_SEEN_BY_THE_GUEST = "10.0.2.2"
USER = "postgres"
PASSWORD = "a secret of the test"


def program(name: str) -> str:
    """Return a program of PostgreSQL's server; Debian keeps them off the path. Skips where there is none."""
    for folder in (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), None):
        if found := shutil.which(name, path=str(folder) if folder else None):
            return found
    pytest.skip("PostgreSQL's server is not installed (apt-get install postgresql)")


@pytest.fixture
def server() -> Iterator[tuple[int, Path]]:
    """A server of its own on 127.0.0.1; yields its port and its certificate."""
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    as_user: list[str] = []
    owner = os.getuid()
    if owner == 0:  # which it refuses to be
        try:
            owner = pwd.getpwnam(USER).pw_uid
        except KeyError:
            pytest.skip(f"PostgreSQL does not run as root, and there is no user {USER}")
        as_user = ["setpriv", f"--reuid={owner}", "--clear-groups"]
    # Not tmp_path: nobody but root may look into that.
    with tempfile.TemporaryDirectory(prefix="sarab-postgresql-") as name:
        folder = Path(name)
        data, port = folder / "data", free_port()
        make_certificate(folder, HOST_AS_SEEN_BY_THE_GUEST)
        (folder / "password").write_text(PASSWORD)
        (folder / "key.pem").chmod(0o600)
        for path in (folder, *folder.iterdir()):
            os.chown(path, owner, -1)
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c ssl=on"
        options += f" -c ssl_cert_file={folder}/cert.pem -c ssl_key_file={folder}/key.pem"
        secret = f"--pwfile={folder / 'password'}"
        _run(*as_user, initdb, "-D", data, "-U", USER, "--auth=scram-sha-256", secret, "--no-sync")
        control: list[str | Path] = [*as_user, pg_ctl, "-D", data, "-l", folder / "log"]
        try:
            _run(*control, "-o", options, "--wait", "start")
            yield port, folder / "cert.pem"
        finally:
            _run(*control, "--mode=immediate", "--wait", "stop")


def _run(*words: str | Path) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr


def test_asyncpg_with_a_real_server(server: tuple[int, Path], tmp_path: Path) -> None:
    port, certificate = server
    source = f"""
        import asyncio
        import ssl

        import asyncpg

        CERTIFICATE = {certificate.read_text()!r}
        WHERE = dict(host="{HOST_AS_SEEN_BY_THE_GUEST}", port={port}, user="{USER}", password="{PASSWORD}")

        async def main():
            context = ssl.create_default_context(cadata=CERTIFICATE)
            try:
                await asyncpg.connect(**WHERE | {{"password": "wrong"}}, ssl=False)
            except asyncpg.InvalidPasswordError:
                print("refused")
            one = await asyncpg.connect(**WHERE, ssl=False)
            two = await asyncpg.connect(**WHERE, ssl=context)
            print(await two.fetchval("select version from pg_stat_ssl where pid = pg_backend_pid()"))

            await one.execute("create table things (number int primary key, name text, data bytea)")
            await two.copy_records_to_table(
                "things", records=[(n, f"thing {{n}}", bytes([n % 256]) * 100) for n in range(20_000)]
            )
            print(await one.fetchval("select count(*) from things"))
            total = 0
            async with one.transaction():
                async for row in one.cursor("select number, data from things order by number", prefetch=1000):
                    assert row["data"] == bytes([row["number"] % 256]) * 100
                    total += row["number"]
            print(total)

            try:
                async with two.transaction():
                    await two.execute("delete from things")
                    await two.execute("insert into nowhere values (1)")
            except asyncpg.UndefinedTableError:
                print(await one.fetchval("select count(*) from things"))

            heard = asyncio.get_running_loop().create_future()
            await one.add_listener("news", lambda *words: heard.set_result(words[-1]))
            await two.execute("notify news, 'good'")
            print(await asyncio.wait_for(heard, 60))

            try:
                await two.execute("select pg_sleep(60)", timeout=0.2)
            except TimeoutError:
                print("cancelled", await two.fetchval("select 1"))
            large = bytes(range(256)) * 20_000
            assert await two.fetchval("select $1::bytea", large) == large

            async with asyncpg.create_pool(**WHERE, ssl=context, min_size=2, max_size=8) as pool:
                squares = await asyncio.gather(*(pool.fetchval("select $1::int * $1", n) for n in range(200)))
                print(squares == [n * n for n in range(200)])
            await one.close()
            await two.close()

        asyncio.run(main())
        """
    with served(build_program(tmp_path, source), memory_mib=192) as (machine, _):
        outcome = machine.wait()
    said = ["refused", "TLSv1.3", "20000", "199990000", "20000", "good", "cancelled 1", "True"]
    assert outcome.console.decode().splitlines() == said
    assert outcome.status == 0
