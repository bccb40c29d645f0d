"""The store: rows over HTTP into an SQLite database, on either file system, and other people's
SQLite on what it left behind.
"""
import concurrent.futures
import os
import random
import socket
import sqlite3
import subprocess

import pytest

from ferrule import BUILD, Guest
from test_apps import blank
from test_fs import littlefs

# QEMU's user networking listens with a backlog of one: with more who connect at once, the host resets some of them before
# the guest hears of it.
CLIENTS = 2


def fat_disk(path, size="16M"):
    subprocess.run(["truncate", "-s", size, path], check=True)
    subprocess.run(["/sbin/mkfs.fat", path], check=True, stdout=subprocess.DEVNULL)
    return str(path)


def store_guest(disk, words="format=vda:littlefs", **options):
    return Guest(
        disk,
        kernel=os.path.join(BUILD, "store.elf"),
        words=words,
        disk_drive="cache=writeback",
        **options,
    )


def wait_ready(guest):
    """Until it serves, and has an address, without which the first packet of a client is lost."""
    guest.wait_for(r"ready: http://", 60)
    guest.wait_for(r"eth0: 10\.0\.2\.15/24")


def post(guest, body):
    answer = guest.get("/rows", "POST", body, timeout_s=60)
    assert answer.status == 200, answer.body
    return int(answer.body)


def extract(disk, kind, folder):
    """The database and its log, out of the image."""
    names = []
    for name in ("store.db", "store.db-wal"):
        path = folder / name
        if kind == "fat":
            subprocess.run(
                ["mcopy", "-o", "-n", "-i", disk, f"::{name}", path],
                check=False,
                timeout=60,
                stderr=subprocess.DEVNULL,
            )
        elif f"/{name} " in littlefs(disk).decode():
            path.write_bytes(littlefs(disk, f"/{name}"))
        if path.exists():
            names.append(name)
    assert "store.db" in names
    return folder / "store.db"


def rows_of(path):
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(database.execute("SELECT id, body FROM rows"))


@pytest.mark.parametrize("kind", ["littlefs", "fat"])
def test_rows(kind, tmp_path):
    """Rows of many sizes from several clients at once; after a restart, and for another SQLite,
    all are there.
    """
    path = tmp_path / "disk.img"
    disk = fat_disk(path) if kind == "fat" else blank(path, 16 << 20)
    source = random.Random(1)
    bodies = [source.randbytes(size) for size in [0, 1, 511, 4096, 65536, 200000] + [900] * 120]
    with store_guest(disk) as guest:
        wait_ready(guest)
        guest.require(rf"store: /store.db on {kind}, SQLite 3\.")
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
            rows = dict(zip(pool.map(lambda body: post(guest, body), bodies), bodies))
        assert len(rows) == len(bodies)
        assert guest.get("/rows").body.split() == [b"126", b"126"]
        guest.power_off()
    with store_guest(disk) as guest:
        wait_ready(guest)
        for number, body in rows.items():
            assert guest.get(f"/rows/{number}").body == body
        assert guest.get("/check", timeout_s=60).body == b"ok\n"
        assert guest.get("/rows/127").status == 404
        guest.power_off()
    assert rows_of(extract(disk, kind, tmp_path)) == rows


def test_full_disk(tmp_path):
    """A row for which there is no room is refused with the reason; those before it are kept, and
    small ones find room later.
    """
    disk = fat_disk(tmp_path / "disk.img", "2M")
    bodies = []
    with store_guest(disk) as guest:
        wait_ready(guest)
        while len(bodies) < 100:
            body = bytes([len(bodies)]) * 60000
            answer = guest.get("/rows", "POST", body, timeout_s=60)
            if answer.status != 200:
                assert answer.status == 507, answer.body
                break
            bodies.append(body)
        assert 5 < len(bodies) < 100
        assert guest.get("/check", timeout_s=60).body == b"ok\n"
        for number, body in enumerate(bodies):
            assert guest.get(f"/rows/{number + 1}").body == body
        guest.power_off()
    assert len(rows_of(extract(disk, "fat", tmp_path))) == len(bodies)


BAD_REQUESTS = {
    b"POST /rows HTTP/1.1\r\nContent-Length: -1\r\n\r\n": 400,
    b"POST /rows HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n": 413,
    b"POST /rows HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n": 501,
    b"DELETE /rows/1 HTTP/1.1\r\n\r\n": 405,
    b"GET /rows/x HTTP/1.1\r\n\r\n": 404,
    b"GET /rows/-1 HTTP/1.0\r\n\r\n": 404,
    b"GET /else HTTP/1.1\r\n\r\n": 404,
    b"nonsense\r\n\r\n": 400,
    b"GET /rows SMTP\r\n\r\n": 400,
    b"GET /" + b"x" * 5000: 431,
}


def test_bad_requests(tmp_path):
    """Each gets its answer; clients that vanish or come in pieces do no harm."""
    disk = blank(tmp_path / "disk.img", 4 << 20)
    with store_guest(disk) as guest:
        wait_ready(guest)
        for request, status in BAD_REQUESTS.items():
            with guest.connect() as client:
                client.sendall(request)
                assert client.recv(4096).startswith(b"HTTP/1.1 %d " % status), request
        for _ in range(20):
            client = guest.connect()
            client.sendall(b"POST /rows HTTP/1.1\r\nContent-Length: 1000\r\n\r\nabc")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
        with guest.connect() as client:
            for number in (1, 2):
                for byte in b"POST /rows HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc":
                    client.sendall(bytes([byte]))
                assert client.recv(4096).endswith(b"\r\n\r\n%d\n" % number)
        with guest.connect() as client:
            client.sendall(b"GET /rows/1 HTTP/1.1\r\n\r\nGET /rows/2 HTTP/1.1\r\n\r\n")
            data = b""
            while data.count(b"abc") < 2:
                data += client.recv(4096)
        guest.power_off()


def test_no_volume():
    """Without a file system there is no store, and the log says why."""
    with Guest(kernel=os.path.join(BUILD, "store.elf")) as guest:
        assert guest.wait_exit() == 3
        guest.require(r"error: store: /store.db: ")
