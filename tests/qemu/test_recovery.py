"""Rings that are damaged from outside while they are in use: by QEMU's qtest socket, in the memory of
the running guest. The device or the driver notices, the device is reset, and what goes on meanwhile
ends well all the same: connections survive, requests are given again.

A download is silent from the damage until a frame meets it, and no longer: after the reset, the guest
sends again at once what may be lost, whatever TCP's timers have backed off to. Only the other end's
packets are the other end's business, so rings are damaged in the middle of a transfer and not while
connections begin: QEMU's user network asks again after 6, 18 and 42 s, and forgets what it has sent
when its SYN is answered twice.
"""
import re
import socket
import struct
import threading
import time

import pytest

from ferrule import Guest, drive
from test_hotplug import Download, Qtest
from website import check

ROUNDS = 2
VERIFIED = 16 << 20
# In the driver's part of a split ring and in the device's: behind the flags, and behind that.
INDEX, RING = 2, 4


def rings(guest, name, queue):
    """Where QEMU has the parts of a queue of the first device of this kind."""
    path = next(d["path"] for d in guest.qmp("x-query-virtio") if d["name"] == name)
    return guest.qmp("x-query-virtio-queue-status", path=path, queue=queue)


def move_used_index(guest, qtest, name, queue):
    """More is used than ever was available: the driver finds buffers it did not give."""
    at = rings(guest, name, queue)["vring-used"] + INDEX
    index = struct.unpack("<H", qtest.read(at, 2))[0]
    qtest.write(at, struct.pack("<H", (index + 7) & 0xFFFF))


def spoil_available(guest, qtest, name, queue):
    """All available buffers are such as the ring has no numbers for: QEMU wants a reset
    (DEVICE_NEEDS_RESET) as soon as it needs one of them.
    """
    ring = rings(guest, name, queue)
    qtest.write(ring["vring-avail"] + RING, b"\xff" * 2 * ring["vring-num"])


def recoveries(guest, driver):
    return len(re.findall(rf"warning: pci \S+: {driver}: resetting ", guest.log()))


def offer_nonsense(guest, qtest, device, address):
    """The next buffer is one that the ring has no number for; QEMU wants a reset. The guest stands
    still meanwhile, and does not write over it.
    """
    path = f"/machine/peripheral/{device}/virtio-backend"
    ring = guest.qmp("x-query-virtio-queue-status", path=path, queue=0)
    guest.qmp("stop")
    at = ring["vring-avail"] + INDEX
    index = qtest.number(at, 2)
    qtest.write(ring["vring-avail"] + RING + index % ring["vring-num"] * 2, b"\xff\xff")
    qtest.write(at, struct.pack("<H", (index + 1) & 0xFFFF))
    qtest.notify(address, 0)
    guest.qmp("cont")


DAMAGE = {
    "nic-used": ("virtio-net", 0, move_used_index),
    "nic-available": ("virtio-net", 0, spoil_available),
    "disk-used": ("virtio-blk", 0, move_used_index),
}


@pytest.mark.parametrize("kind", list(DAMAGE))
def test_damaged_ring(kind, large_site, tmp_path):
    """A download that reads the disk goes on while one of its two rings is damaged again and again.
    covers: CORE-T-CFGINT-1 CORE-STATUS-4
    """
    name, queue, damage = DAMAGE[kind]
    qtest = Qtest(tmp_path)
    throttled = "snapshot=on,throttling.bps-total=10000000"
    with Guest(large_site.disk, disk_drive=throttled, arguments=qtest.arguments) as guest:
        guest.wait_ready()
        qtest.connect()
        download = Download(guest, large_site, "large/20mb.bin")
        download.start()
        for n in range(ROUNDS):
            deadline = time.monotonic() + 30
            while recoveries(guest, name) <= n:
                assert time.monotonic() < deadline and not download.errors, guest.tail()
                download.wait_moving()
                damage(guest, qtest, name, queue)
                time.sleep(0.3)
        download.finish()
        check(guest, large_site, ["large/1mb.bin", "index.html"])
        if kind == "nic-available":
            guest.require(r"eth0: \d+ connections send again what may be lost")
        assert not guest.find(r"error: fs|given up"), guest.tail()
        guest.power_off(quiet=False)  # QEMU complains of the damage


class Verify(threading.Thread):
    """Reads all of vdb again and again, and compares it with what was written."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self._end = False
        self.rounds, self.error = 0, None
        self._connection = socket.create_connection(("127.0.0.1", port), 60)
        self._lines = self._connection.makefile("r")

    def ask(self, line):
        self._connection.sendall(line.encode() + b"\n")
        answer = self._lines.readline()
        assert answer.startswith("ok "), answer
        return answer

    def run(self):
        while not self._end and not self.error:
            try:
                self.ask(f"blk verify 4k 16 {VERIFIED // 4096} vdb")
                self.rounds += 1
            except (AssertionError, OSError) as error:
                self.error = repr(error)

    def finish(self):
        before = self.rounds
        self._end = True
        self.join(60)
        self._connection.close()
        assert not self.is_alive() and not self.error and self.rounds > before, self.error


def test_disks_want_a_reset(large_site, tmp_path):
    """A file is downloaded from one disk and another disk is read and compared while both disks in
    turn meet a ring that makes them give up (DEVICE_NEEDS_RESET): nobody notices.
    covers: CORE-T-CFGINT-1 CORE-STATUS-4
    """
    qtest = Qtest(tmp_path)
    scratch = tmp_path / "scratch.img"
    scratch.write_bytes(bytes(VERIFIED))
    disks = {"web": (0x10, "pci 00:10.0"), "scratch": (0x11, "pci 00:11.0")}
    with Guest(
        words="services=blk",
        backend="user,id=net0,hostfwd=tcp:127.0.0.1:0-:80,hostfwd=tcp:127.0.0.1:0-:7000",
        arguments=qtest.arguments
        + drive(large_site.disk, "snapshot=on,throttling.bps-total=10000000", "id=web,addr=0x10")
        + drive(str(scratch), "throttling.iops-total=2000", "id=scratch,addr=0x11", name="disk1"),
    ) as guest:
        guest.wait_ready()
        guest.port = guest.forwarded_ports()[80]
        qtest.connect()
        download = Download(guest, large_site, "large/20mb.bin")
        verify = Verify(guest.forwarded_ports()[7000])
        verify.ask(f"blk fill 64k 8 {VERIFIED >> 16} vdb")
        verify.start()
        download.start()
        for n in range(ROUNDS):
            for device, (address, name) in disks.items():
                download.wait_moving()
                offer_nonsense(guest, qtest, device, address)
                guest.wait_for(rf"{name}: virtio-blk: running again \(recovery {n + 1}\)")
        verify.finish()
        download.finish()
        guest.require(
            r"00:10\.0: virtio-blk: resetting it: it asked for a reset \(DEVICE_NEEDS_RESET\)",
            r"00:11\.0: virtio-blk: resetting it: it asked for a reset \(DEVICE_NEEDS_RESET\)",
        )
        assert not guest.find(r"error: "), guest.tail()
        guest.power_off(quiet=False)  # QEMU complains of the damage
