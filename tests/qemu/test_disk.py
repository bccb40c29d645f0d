"""Disks that fail and file systems that lie: the client gets an error, the log a line, and the
machine goes on.

Errors come from QEMU's blkdebug, damage from a seed.
"""
import http.client
import json
import random
import shutil
import struct

import pytest

from ferrule import Guest, GuestError
from website import check, sha256

SECTOR = 512


def debug_disk(path, rules, device=""):
    """QEMU arguments for a disk of which blkdebug makes requests fail."""
    blockdev = {
        "driver": "raw",
        "node-name": "disk0",
        "read-only": True,
        "file": {
            "driver": "blkdebug",
            "inject-error": rules,
            "image": {"driver": "file", "filename": path, "read-only": True},
        },
    }
    return [
        "-blockdev",
        json.dumps(blockdev),
        "-device",
        "virtio-blk-pci,drive=disk0" + (f",{device}" if device else ""),
    ]


def read_errors(sector, once=False):
    return {"event": "none", "iotype": "read", "errno": 5, "sector": sector, "once": once}


def sectors_of(site, path, offset):
    """The sector of the image at which the byte of a file lies."""
    wanted = site.content(path)[offset // SECTOR * SECTOR :][:SECTOR]
    with open(site.disk, "rb") as file:
        image = file.read()
    assert image.count(wanted) == 1
    return image.index(wanted) // SECTOR


@pytest.mark.parametrize("device", ["", "event_idx=off,indirect_desc=off", "vectors=0"])
def test_bad_sector(device, large_site):
    """One unreadable sector: its file breaks off instead of ending well, in the log, and every
    other file is served.
    """
    bad = sectors_of(large_site, "large/20mb.bin", 10 << 20)
    with Guest(arguments=debug_disk(large_site.disk, [read_errors(bad)], device)) as guest:
        guest.wait_ready()
        for _ in range(3):
            connection = http.client.HTTPConnection("127.0.0.1", guest.port, timeout=20)
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                connection.request("GET", "/large/20mb.bin")
                connection.getresponse().read()
            connection.close()
            check(guest, large_site)
        guest.wait_for(r"error: .*large/20mb\.bin: cannot be read")
        guest.require(r"error: fs: vda: ")
        check(guest, large_site, ["large/1mb.bin"])
        guest.power_off()


def test_bad_sector_recovers(large_site):
    """An error that passes: the next download is right."""
    bad = sectors_of(large_site, "large/1mb.bin", 500000)
    with Guest(arguments=debug_disk(large_site.disk, [read_errors(bad, once=True)])) as guest:
        guest.wait_ready()
        with pytest.raises(GuestError, match="IncompleteRead|Connection"):
            guest.get("/large/1mb.bin")
        check(guest, large_site, ["large/1mb.bin"])
        guest.power_off()


def test_first_sector_unreadable(site):
    """Without a readable first sector nothing is mounted, which the log and the server say."""
    with Guest(arguments=debug_disk(site.disk, [read_errors(0)])) as guest:
        guest.wait_ready()
        guest.require(r"error: fs: vda: .*sectors? at 0", r"none of 1 disks could be mounted")
        assert guest.get("/").status == 503
        guest.power_off()


def test_everything_fails(site):
    """A disk that answers every request with an error."""
    rules = [{"event": "none", "errno": 5, "once": False}]
    with Guest(arguments=debug_disk(site.disk, rules)) as guest:
        guest.wait_ready()
        guest.require(r"error: fs: vda: ", r"none of 1 disks could be mounted")
        assert guest.get("/").status == 503
        guest.power_off()


def test_slow_disk(site):
    """A disk throttled to a few requests a second is waited for."""
    with Guest(site.disk, disk_drive="snapshot=on,throttling.iops-total=40") as guest:
        guest.wait_ready()
        check(guest, site, ["index.html", "sizes/65537.bin"])
        guest.power_off()


def boot_sector(image):
    """Where the FATs and the root directory lie: (start, end) in bytes."""
    bytes_per_sector, _, reserved, fats, root_entries = struct.unpack_from("<HBHBH", image, 11)
    fat_sectors = struct.unpack_from("<H", image, 22)[0] or struct.unpack_from("<I", image, 36)[0]
    start = reserved * bytes_per_sector
    return start, start + fats * fat_sectors * bytes_per_sector + root_entries * 32


def random_bytes(image, source, start, end):
    for _ in range(source.choice((10, 1000))):
        image[source.randrange(start, end)] = source.randrange(256)


def random_runs(image, source, start, end):
    for _ in range(20):
        at = source.randrange(start, end)
        length = min(source.randrange(1, 600), end - at)
        image[at : at + length] = source.randbytes(length)


def loops(image, source, start, end):
    """Every cluster leads to a low one: chains that never end."""
    for at in range(start + 4, start + 4096, 2):
        struct.pack_into("<H", image, at, source.randrange(2, 64))


def bad_boot_sector(image, source, start, end):
    for _ in range(source.choice((1, 3, 8))):
        image[source.randrange(11, 62)] = source.choice((0, 1, 255, source.randrange(256)))


def all_random(image, source, start, end):
    image[start:end] = source.randbytes(end - start)


DAMAGE = [
    (kind, seed)
    for kind in (random_bytes, random_runs, loops, bad_boot_sector, all_random)
    for seed in range(4)
]


@pytest.mark.parametrize(
    "damage, seed", DAMAGE, ids=[f"{kind.__name__}-{seed}" for kind, seed in DAMAGE]
)
def test_damaged_file_system(damage, seed, site, tmp_path):
    """A damaged FAT volume is refused or served as far as it goes: the guest boots, answers every
    request, and ends well.
    """
    path = tmp_path / "damaged.img"
    shutil.copyfile(site.disk, path)
    with open(path, "r+b") as file:
        image = bytearray(file.read(4 << 20))
        damage(image, random.Random(seed), *boot_sector(image))
        file.seek(0)
        file.write(image)
    with Guest(str(path)) as guest:
        guest.wait_ready()
        guest.require(r"fs: vda: ")
        for name in (
            "",
            "sizes/",
            "many/",
            "names/",
            "index.html",
            "sizes/65537.bin",
            "sizes/4097.bin",
            "many/file 001.txt",
            "deep/1/2/3/4/5/6/7/8/leaf.txt",
            "nothing",
        ):
            try:
                answer = guest.get("/" + name)
            except GuestError as error:
                assert (
                    "IncompleteRead" in str(error)
                    or "Connection" in str(error)
                    or "RemoteDisconnected" in str(error)
                )
                continue
            assert answer.status in (200, 404, 500, 503), (name, answer.status)
        assert not guest.find(r"panic|broken"), guest.tail()
        guest.power_off()


def test_image_is_not_written_to(site):
    """Serving writes nothing: the image is the same byte for byte afterwards, though the guest
    could have changed it.
    """
    with open(site.disk, "rb") as file:
        before = sha256(file.read())
    with Guest(site.disk, disk_drive="cache=writeback") as guest:
        guest.wait_ready()
        check(guest, site, list(site.files)[:30])
        guest.power_off()
    with open(site.disk, "rb") as file:
        assert sha256(file.read()) == before
