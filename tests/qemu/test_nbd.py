"""The NBD server, as other people's clients see it: qemu-img, qemu-io, nbdinfo, nbdcopy; and as
clients see it that break the protocol.
"""
import json
import os
import random
import socket
import struct
import subprocess

import pytest

from ferrule import BUILD, Guest, drive
from test_apps import blank

MIB = 1 << 20
OPTION = b"IHAVEOPT"
GO, LIST, STRUCTURED, STARTTLS, ABORT, EXPORT_NAME = 7, 3, 8, 5, 2, 1
READ, WRITE, DISC, FLUSH, TRIM, ZEROES = 0, 1, 2, 3, 4, 6
FUA = 1


def nbd_guest(*disks, names="", words="", **options):
    arguments = []
    for number, disk in enumerate(disks):
        arguments += drive(disk, "cache=writeback", name=f"disk{number}")
    return Guest(
        kernel=os.path.join(BUILD, "nbd.elf"),
        words=f"root=none port=80 {words} -- {names}",
        arguments=arguments,
        **options,
    )


def random_disk(path, size, seed=1):
    with open(path, "wb") as file:
        file.write(random.Random(seed).randbytes(size))
    return str(path)


def wait_ready(guest):
    """Until it serves, and has an address, without which the first packet of a client is lost."""
    guest.wait_for(r"ready: nbd://")
    guest.wait_for(r"eth0: 10\.0\.2\.15/24")


def run(*command, status=0):
    done = subprocess.run(
        [str(word) for word in command],
        check=False,
        timeout=120,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    text = done.stdout.decode(errors="replace")
    assert done.returncode == status, text
    return text


def url(guest, export=""):
    return f"nbd://127.0.0.1:{guest.port}/{export}"


def test_qemu_img_and_nbdcopy(tmp_path):
    """A disk is read and written as a whole by QEMU's and libnbd's copying programs."""
    disk = random_disk(tmp_path / "disk.img", 24 * MIB)
    other = blank(tmp_path / "other.img", 24 * MIB)
    original = random_disk(tmp_path / "original.img", 24 * MIB)  # the guest's QEMU locks its own
    with nbd_guest(disk, other) as guest:
        wait_ready(guest)
        info = json.loads(run("qemu-img", "info", "--output=json", url(guest, "vda")))
        assert info["virtual-size"] == 24 * MIB
        run("qemu-img", "compare", "-f", "raw", "-F", "raw", original, url(guest, "vda"))
        run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", original, url(guest, "vdb"))
        run("qemu-img", "compare", "-f", "raw", "-F", "raw", original, url(guest, "vdb"))
        copy = tmp_path / "copy.img"
        run("nbdcopy", "--connections=4", url(guest, "vda"), copy)
        run("cmp", disk, copy)
        changed = random_disk(tmp_path / "changed.img", 24 * MIB, seed=2)
        run("nbdcopy", "--flush", "--connections=4", changed, url(guest, "vdb"))
        run("cmp", changed, other)
        guest.power_off()


def test_nbdinfo(tmp_path):
    """What the server says of itself and its exports."""
    disks = [random_disk(tmp_path / "a.img", 2 * MIB), blank(tmp_path / "b.img", 4 * MIB)]
    with nbd_guest(*disks, names="vdb vda:ro") as guest:
        wait_ready(guest)
        listed = json.loads(run("nbdinfo", "--json", "--list", url(guest)))
        sizes = {export["export-name"]: export for export in listed["exports"]}
        assert listed["protocol"] == "newstyle-fixed"
        assert sizes["vdb"]["export-size"] == 4 * MIB and not sizes["vdb"]["is_read_only"]
        assert sizes["vda"]["export-size"] == 2 * MIB and sizes["vda"]["is_read_only"]
        for can in ("can_flush", "can_fua", "can_trim", "can_zero", "can_multi_conn", "can_df"):
            assert sizes["vdb"][can], can
        assert sizes["vdb"]["block_size_minimum"] == 512
        assert run("nbdinfo", "--size", url(guest)).strip() == str(4 * MIB)
        run("nbdinfo", "--size", url(guest, "nothing"), status=1)
        guest.power_off()


def test_qemu_io(tmp_path):
    """Single requests, with and without FUA, zeros, trims and flushes; errors have their numbers."""
    disk = random_disk(tmp_path / "disk.img", 8 * MIB)
    with nbd_guest(disk) as guest:
        wait_ready(guest)
        text = run(
            "qemu-io",
            "-f",
            "raw",
            *("-c", "write -P 0x11 0 64k"),
            *("-c", "write -f -P 0x22 1M 3M"),
            *("-c", "write -z 2M 1M"),
            *("-c", "discard 5M 1M"),
            *("-c", "flush"),
            *("-c", "read -P 0x11 0 64k"),
            *("-c", "read -P 0x22 1M 1M"),
            *("-c", "read -P 0 2M 1M"),
            *("-c", "read -P 0x22 3M 1M"),
            url(guest),
        )
        assert "failed" not in text.lower(), text
        guest.power_off()
    with open(disk, "rb") as file:
        content = file.read()
    assert content[:65536] == b"\x11" * 65536
    assert content[2 * MIB : 3 * MIB] == bytes(MIB)
    assert content[3 * MIB : 4 * MIB] == b"\x22" * MIB


def test_trim_reaches_the_disk(tmp_path):
    """Trimmed and zeroed ranges become holes of the image, where the disk knows how."""
    disk = random_disk(tmp_path / "disk.img", 16 * MIB)
    before = os.stat(disk).st_blocks
    with Guest(
        disk,
        kernel=os.path.join(BUILD, "nbd.elf"),
        words="root=none port=80",
        disk_drive="cache=writeback,discard=unmap",
    ) as guest:
        wait_ready(guest)
        run(
            "qemu-io",
            *("-f", "raw", "-d", "unmap"),
            *("-c", "discard 0 4M", "-c", "write -z -u 8M 4M", "-c", "flush", "-c", "read -P 0 8M 4M"),
            url(guest),
        )
        guest.power_off()
    assert os.stat(disk).st_blocks <= before - (7 * MIB) // 512


def test_partition_read_only_disk_and_claims(site, tmp_path):
    """A read-only disk refuses writes; a mounted disk and an unknown one are not exported."""
    with Guest(
        site.disk,
        kernel=os.path.join(BUILD, "nbd.elf"),
        words="root=none port=80",
        disk_drive="readonly=on",
    ) as guest:
        wait_ready(guest)
        run("qemu-img", "compare", "-f", "raw", "-F", "raw", site.disk, url(guest))
        text = run("qemu-io", "-f", "raw", "-c", "write 0 512", url(guest), status=1)
        assert "permission denied" in text.lower()
        guest.power_off()
    for words, reason in (("-- vda", r"vda: not exported: in use"), ("-- vdz", r"no disk vdz")):
        with Guest(site.disk, kernel=os.path.join(BUILD, "nbd.elf"), words=words) as guest:
            assert guest.wait_exit() == 3
            guest.require(reason)


def test_disk_errors(tmp_path):
    """An error of the disk reaches the client as EIO, and the connection goes on."""
    disk = random_disk(tmp_path / "disk.img", 2 * MIB)
    rules = [{"event": "none", "iotype": "read", "errno": 5, "sector": 100, "once": False}]
    blockdev = {
        "driver": "raw",
        "node-name": "disk0",
        "file": {
            "driver": "blkdebug",
            "inject-error": rules,
            "image": {"driver": "file", "filename": disk},
        },
    }
    with Guest(
        kernel=os.path.join(BUILD, "nbd.elf"),
        words="root=none port=80",
        arguments=["-blockdev", json.dumps(blockdev), "-device", "virtio-blk-pci,drive=disk0"],
    ) as guest:
        wait_ready(guest)
        text = run(
            "qemu-io",
            "-f",
            "raw",
            *("-c", "read 50k 512"),
            *("-c", "read 0 4k"),
            url(guest),
            status=1,
        )
        assert "Input/output error" in text and "read 4096/4096" in text
        guest.power_off()


class Client:
    """A client that says what it is told, byte by byte."""

    def __init__(self, guest):
        self.socket = socket.create_connection(("127.0.0.1", guest.port), 20)
        assert self.read(18) == b"NBDMAGICIHAVEOPT\x00\x03"

    def read(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            assert part, "the server closed"
            data += part
        return data

    def send(self, data):
        self.socket.sendall(data)

    def option(self, number, data=b""):
        self.send(OPTION + struct.pack(">II", number, len(data)) + data)

    def reply(self):
        magic, option, kind, length = struct.unpack(">QIII", self.read(20))
        assert magic == 0x3E889045565A9
        return option, kind, self.read(length)

    def go(self, structured=False):
        self.send(struct.pack(">I", 3))
        if structured:
            self.option(STRUCTURED)
            assert self.reply()[1] == 1
        self.option(GO, struct.pack(">IH", 0, 0))
        while self.reply()[1] != 1:
            pass
        return self

    def request(self, kind, offset=0, length=0, flags=0, cookie=1, data=b""):
        self.send(struct.pack(">IHHQQI", 0x25609513, flags, kind, cookie, offset, length) + data)

    def simple(self, length=0):
        magic, error, cookie = struct.unpack(">IIQ", self.read(16))
        assert magic == 0x67446698
        return cookie, error, b"" if error else self.read(length)

    def closed(self):
        """True when the server ends the connection, whatever it says before."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass
        return True


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    disk = random_disk(tmp_path_factory.mktemp("nbd") / "disk.img", 4 * MIB)
    with nbd_guest(disk) as guest:
        wait_ready(guest)
        yield guest
        run("qemu-io", "-f", "raw", "-c", "read 0 1M", url(guest))
        assert not guest.find(r"panic|error:"), guest.tail()
        guest.power_off()


def test_options(server):
    """Options that are not known, or come wrong, are answered and do no harm."""
    client = Client(server)
    client.send(struct.pack(">I", 3))
    client.option(STARTTLS)
    assert client.reply()[:2] == (STARTTLS, 0x80000001)
    client.option(LIST, b"x")
    assert client.reply()[:2] == (LIST, 0x80000003)
    client.option(LIST)
    assert client.reply()[1:] == (2, struct.pack(">I", 3) + b"vda")
    assert client.reply()[1] == 1
    for data in (b"", bytes(5), struct.pack(">I", 4000) + bytes(9), struct.pack(">IH", 0, 7)):
        client.option(GO, data)
        assert client.reply()[:2] == (GO, 0x80000003)
    client.option(GO, struct.pack(">I", 3) + b"xyz" + bytes(2))
    assert client.reply()[:2] == (GO, 0x80000006)
    client.option(ABORT)
    assert client.reply()[:2] == (ABORT, 1)
    assert client.closed()


def test_old_way_to_choose(server):
    """NBD_OPT_EXPORT_NAME: with the 124 zeros that old clients expect, and without."""
    for flags, size in ((1, 134), (3, 10)):
        client = Client(server)
        client.send(struct.pack(">I", flags))
        client.option(EXPORT_NAME, b"vda")
        assert struct.unpack(">Q", client.read(size)[:8])[0] == 4 * MIB
        client.request(READ, 0, 512)
        assert client.simple(512)[1] == 0


REFUSED = {
    "beyond the end": (READ, 4 * MIB, 512, 0, 22),
    "across the end": (READ, 4 * MIB - 512, 1024, 0, 22),
    "offset overflow": (READ, (1 << 64) - 512, 1024, 0, 22),
    "misaligned": (READ, 1, 512, 0, 22),
    "odd length": (READ, 0, 100, 0, 22),
    "nothing": (READ, 0, 0, 0, 22),
    "too much": (READ, 0, 2 * MIB, 0, 22),
    "unknown command": (77, 0, 512, 0, 22),
    "unknown flag": (READ, 0, 512, 0x100, 22),
    "flush with a length": (FLUSH, 0, 512, 0, 22),
    "trim beyond the end": (TRIM, 4 * MIB, 512, 0, 22),
}


@pytest.mark.parametrize("structured", [False, True])
def test_refused_requests(server, structured):
    """Each is answered with its error, and the next request is served."""
    client = Client(server).go(structured)
    for name, (kind, offset, length, flags, error) in REFUSED.items():
        client.request(kind, offset, length, flags, cookie=7)
        if structured:
            head = struct.unpack(">IHHQI", client.read(20))
            assert head == (0x668E33EF, 1, 0x8001, 7, 6), name
            assert struct.unpack(">IH", client.read(6)) == (error, 0), name
        else:
            assert client.simple() == (7, error, b""), name
    client.request(WRITE, 4 * MIB, 4096, 0, cookie=8, data=bytes(4096))
    if structured:
        client.read(26)
    else:
        assert client.simple() == (8, 28, b"")
    client.request(READ, 0, 512, cookie=9)
    if structured:
        assert struct.unpack(">IHHQI", client.read(20)) == (0x668E33EF, 1, 1, 9, 520)
        assert struct.unpack(">Q", client.read(8))[0] == 0
        client.read(512)
    else:
        assert client.simple(512)[:2] == (9, 0)


def test_hostile_clients(server):
    """Whoever breaks the protocol is disconnected, with a line in the log."""
    cases = {
        "unknown client flags": struct.pack(">I", 0xFF),
        "no option where one was due": struct.pack(">I", 3) + b"GET / HTTP/1.1\r\n\r\n",
        "an option of no end": struct.pack(">I", 3) + OPTION + struct.pack(">II", 3, 0xFFFFFFFF),
        "asked for an export": struct.pack(">I", 3) + OPTION + struct.pack(">II", 1, 2) + b"xx",
    }
    for reason, data in cases.items():
        client = Client(server)
        client.send(data)
        assert client.closed()
        server.wait_for(f"disconnected: .*{reason}")
    client = Client(server).go()
    client.send(bytes(28))
    assert client.closed()
    server.wait_for(r"disconnected: no request where one was due")
    client = Client(server).go()
    client.request(WRITE, 0, 0xFFFFFE00)
    assert client.closed()
    server.wait_for(r"disconnected: a write of more than was agreed")


def test_random_bytes(server):
    """Seeded nonsense, in either phase."""
    source = random.Random(5)
    for _ in range(30):
        client = Client(server)
        if source.random() < 0.5:
            client.go(source.random() < 0.5)
        data = bytearray(source.randbytes(source.randrange(1, 3000)))
        if source.random() < 0.5:
            data[0:4] = struct.pack(">I", 0x25609513)
        try:
            client.send(bytes(data))
        except ConnectionError:
            pass
        client.socket.close()


def test_many_requests_at_once(server):
    """Two thousand requests are sent before the first reply is read: all are answered, once."""
    client = Client(server).go()
    client.request(WRITE, 0, MIB, data=bytes(range(256)) * 4096)
    assert client.simple()[1] == 0
    wanted = {}
    source = random.Random(3)
    request = b""
    for cookie in range(2000):
        sector = source.randrange(2048 - 8)
        wanted[cookie] = sector
        request += struct.pack(">IHHQQI", 0x25609513, 0, READ, cookie, sector * 512, 4096)
    client.send(request)
    for _ in range(2000):
        cookie, error, data = client.simple(4096)
        assert error == 0 and data == bytes(range(256)) * 16, wanted.pop(cookie)
        del wanted[cookie]
    assert not wanted


def test_more_connections_than_places(server):
    """The 33rd connection is refused; the others are served; afterwards there is room again."""
    clients = [Client(server).go() for _ in range(32)]
    with pytest.raises((AssertionError, ConnectionError)):
        Client(server)
    for client in clients:
        client.request(WRITE, 512, 512, flags=FUA, data=bytes(512))
    for client in clients:
        assert client.simple()[1] == 0
        client.request(DISC)
        assert client.closed()
    Client(server).go()


def test_vanished_clients(server):
    """Clients that go while their requests are with the disk, or half sent, leave nothing behind."""
    for number in range(40):
        client = Client(server).go()
        for cookie in range(20):
            client.request(READ, cookie * 65536, 65536, cookie=cookie)
        if number % 2:
            client.request(WRITE, 0, MIB, data=bytes(1000))
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()
    client = Client(server).go()
    client.request(READ, 0, MIB)
    assert client.simple(MIB)[1] == 0
