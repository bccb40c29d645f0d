"""Disks measured by the service on port 7000 and by the console: answers, refusals, and what is on the
image afterwards.
"""
import contextlib
import os
import re
import select
import socket
import struct
import time

import pytest

from ferrule import Guest

SECTOR = 512
MIB = 1 << 20
BACKEND = "user,id=net0,hostfwd=tcp:127.0.0.1:0-:7000"


@contextlib.contextmanager
def loaded(disk, **options):
    """A guest with the service, and a connection to it: a function from line to answer."""
    options.setdefault("disk_drive", "cache=writeback")
    options.setdefault("words", "services=blk")
    with Guest(disk, backend=BACKEND, **options) as guest:
        guest.wait_ready()
        guest.require(r"services: blk on port 7000")
        text = guest.qmp("human-monitor-command", **{"command-line": "info usernet"})
        port = int(re.search(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", text).group(1))
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            lines = connection.makefile("r")

            def ask(line):
                connection.sendall(line.encode() + b"\n")
                return lines.readline().rstrip("\n")

            ask.connection, ask.lines, ask.port = connection, lines, port
            yield guest, ask


@pytest.fixture
def blank(tmp_path):
    path = tmp_path / "blank.img"
    with open(path, "wb") as file:
        file.truncate(16 * MIB)
    return str(path)


def ask_until(ask, line, start):
    deadline = time.monotonic() + 60
    while not (answer := ask(line)).startswith(start):
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


@contextlib.contextmanager
def endless_load(ask, line="blk randread 4k 8 100000000"):
    """Another connection, whose load is running."""
    with socket.create_connection(("127.0.0.1", ask.port), 60) as other:
        other.sendall(line.encode() + b"\n")
        # Nobody else asks meanwhile, since a load is refused while another one runs.
        assert not select.select([other], [], [], 1)[0]
        ask_until(ask, "blk read 4k 1 1", "error: another load is running")
        yield other


ANSWER = r"ok n=%d usec=\d+ bytes=%d p50=\d+ p99=\d+ max=\d+"
DEVICES = {
    "split": "",
    "packed": "packed=on",
    "no-indirect": "indirect_desc=off,queue-size=16",
    "line-interrupt": "vectors=0",
}


@pytest.mark.parametrize("name", DEVICES)
def test_every_op(name, blank):
    with loaded(blank, disk_device=DEVICES[name]) as (guest, ask):
        assert re.fullmatch(ANSWER % (256, 256 * 65536), ask("blk fill 64k 8 256"))
        for line, count, size in (
            ("blk verify 4k 32 4096", 4096, 4096),
            ("blk randread 4k 1 200", 200, 4096),
            ("blk randread 4096 32 2000", 2000, 4096),
            ("blk randwrite 512 256 1000 vda", 1000, 512),
            ("blk read 128k 4 200", 200, 131072),
            ("blk write 1M 2 5", 5, MIB),
            ("blk flush 0 4 50", 50, 0),
        ):
            assert re.fullmatch(ANSWER % (count, count * size), ask(line))
        # What write wrote is zeros, which is right for sector 0 alone.
        assert ask("blk verify 4k 1 10").startswith("error: 79 sectors of vda are not as filled")
        assert ask("nonsense").startswith("error: expected: blk OP BS DEPTH COUNT")
        guest.type("blk read 4k 1 10")
        guest.wait_for(ANSWER % (10, 40960), new=True)
        guest.power_off()


def test_fill_is_on_the_image(blank):
    with loaded(blank) as (guest, ask):
        assert ask("blk fill 8k 16 2048").startswith("ok n=2048 ")
        assert ask("blk flush 0 1 1").startswith("ok ")
        guest.power_off()
    with open(blank, "rb") as file:
        for sector in range(16 * MIB // SECTOR):
            data = file.read(SECTOR)
            assert data[:8] == data[-8:] == struct.pack("<Q", sector)


def test_a_mounted_disk_is_not_written_to(site):
    with loaded(site.disk, disk_drive="snapshot=on") as (guest, ask):
        assert ask("blk write 4k 1 1").startswith("error: vda is in use (FAT volume)")
        assert ask("blk read 4k 8 100").startswith("ok n=100 ")
        assert ask("blk write 4k 1 1 vda force").startswith("ok n=1 ")
        guest.power_off()


def test_a_read_only_disk(blank):
    with loaded(blank, disk_drive="readonly=on") as (guest, ask):
        assert ask("blk write 4k 4 10") == "error: write at sector 0 of vda: -30 (read-only)"
        assert ask("blk randread 4k 4 10").startswith("ok ")
        guest.power_off()


def test_connections(blank):
    """Lines in one packet, in pieces, one too long, a peer that goes away in the middle of its load."""
    with loaded(blank) as (guest, ask):
        ask.connection.sendall(b"blk read 4k 1 5\nblk read 4k 1 6\r\nblk re")
        assert ask.lines.readline().startswith("ok n=5 ")
        assert ask.lines.readline().startswith("ok n=6 ")
        assert ask("ad 4k 1 7").startswith("ok n=7 ")
        assert ask("x" * 5000) == "error: the line is too long"
        with endless_load(ask) as other:
            # Closed without a word, as by a process that was killed with data unread.
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ask_until(ask, "blk read 4k 1 1", "ok n=1 ")
        # A peer that has sent all it has to say still gets its answer.
        with socket.create_connection(("127.0.0.1", ask.port), 60) as other:
            other.sendall(b"blk read 4k 1 2000\n")
            other.shutdown(socket.SHUT_WR)
            assert other.makefile("r").read().startswith("ok n=2000 ")
        guest.power_off()


def test_features(blank):
    """Discard frees the image's blocks, zeroes are read back, several queues all work, and what the
    disk tells of itself is shown. covers: BLK-OP-7 BLK-OP-8 BLK-OP-14 BLK-T-REQ-1
    """
    device = "num-queues=4,serial=F-0815,discard=on,physical_block_size=4096,min_io_size=4096"
    with loaded(
        blank, disk_drive="discard=unmap,detect-zeroes=off", disk_device=device
    ) as (guest, ask):
        guest.require(
            r"virtio-blk accepts .*GEOMETRY .*TOPOLOGY CONFIG_WCE MQ DISCARD WRITE_ZEROES",
            r"vda: serial number F-0815",
        )
        assert ask("blk fill 64k 32 256").startswith("ok n=256 ")
        assert ask("blk verify 4k 64 4096").startswith("ok n=4096 ")
        assert os.stat(blank).st_blocks * 512 >= 16 * MIB
        assert ask("blk discard 1M 4 8").startswith("ok n=8 ")
        assert os.stat(blank).st_blocks * 512 <= 9 * MIB
        assert ask("blk zeroes 64k 4 192").startswith("ok n=192 ")
        text = guest.command_output("disks", r"write cache on")
        assert "serial F-0815, physical blocks 4096" in text
        assert "4 queues" in text
        text = guest.command_output("virtio", r"queue 3, .*\n.*used.*\n")
        used = re.findall(r"blk requests: added \d+ \(\d+ indirect\) used (\d+)", text)
        assert len(used) == 4 and all(int(count) > 500 for count in used)
        guest.power_off()
    with open(blank, "rb") as file:
        data = file.read()
    assert not any(data[: 12 * MIB])
    assert data[-8:] == struct.pack("<Q", 16 * MIB // SECTOR - 1)
