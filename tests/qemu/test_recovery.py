"""Rings that are damaged from outside while they are in use: by QEMU's qtest socket, in the memory of
the running guest. The device or the driver notices, the device is reset, and a download (over the
NIC, from the disk) ends well all the same: connections survive, requests are given again.
"""
import re
import struct
import time

import pytest

from ferrule import Guest
from test_hotplug import Download, Qtest
from website import check

ROUNDS = 2
INDEX = 2  # behind the flags, in the driver's part of a split ring and in the device's


def rings(guest, name, queue):
    """Where QEMU has the parts of a queue of the first device of this kind."""
    path = next(d["path"] for d in guest.qmp("x-query-virtio") if d["name"] == name)
    return guest.qmp("x-query-virtio-queue-status", path=path, queue=queue)


def move_used_index(guest, qtest, name, queue):
    """More is used than ever was available: the driver finds buffers it did not give."""
    at = rings(guest, name, queue)["vring-used"] + INDEX
    index = struct.unpack("<H", qtest.read(at, 2))[0]
    qtest.write(at, struct.pack("<H", (index + 7) & 0xFFFF))


def move_available_index(guest, qtest, name, queue):
    """More is available than the ring holds: QEMU wants a reset (DEVICE_NEEDS_RESET)."""
    at = rings(guest, name, queue)["vring-avail"] + INDEX
    index = struct.unpack("<H", qtest.read(at, 2))[0]
    qtest.write(at, struct.pack("<H", (index + 0x4000) & 0xFFFF))


def recoveries(guest, driver):
    return len(re.findall(rf"warning: pci \S+: {driver}: resetting ", guest.log()))


DAMAGE = {
    "nic-used": ("virtio-net", 0, move_used_index),
    "nic-available": ("virtio-net", 0, move_available_index),
    "disk-used": ("virtio-blk", 0, move_used_index),
}


@pytest.mark.parametrize("kind", list(DAMAGE))
def test_damaged_ring(kind, large_site, tmp_path):
    """A download that reads the disk goes on while one of its two rings is damaged again and again.
    covers: CORE-T-CFGINT-1 CORE-STATUS-4
    """
    name, queue, damage = DAMAGE[kind]
    qtest = Qtest(tmp_path)
    throttled = "snapshot=on,throttling.iops-total=300"
    with Guest(large_site.disk, disk_drive=throttled, arguments=qtest.arguments) as guest:
        guest.wait_ready()
        qtest.connect()
        download = Download(guest, large_site, "large/1mb.bin")
        download.start()
        for n in range(ROUNDS):
            deadline = time.monotonic() + 30
            while recoveries(guest, name) <= n:
                assert time.monotonic() < deadline and not download.errors, guest.tail()
                damage(guest, qtest, name, queue)
                time.sleep(0.3)
        download.finish()
        check(guest, large_site, ["large/1mb.bin", "index.html"])
        assert not guest.find(r"error: fs|given up"), guest.tail()
        guest.power_off(quiet=False)  # QEMU complains of the damage
