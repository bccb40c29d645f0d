"""Volumes that survive power cuts and the words that say what is mounted where.

What the guest wrote is read by littlefs-image, a host program of littlefs itself, or by mtools.
"""
import os
import random
import shutil
import subprocess
import zlib

import pytest

from ferrule import BUILD, Guest, drive
from test_apps import app_guest, blank, byte_at

LITTLEFS_IMAGE = os.path.join(BUILD, "host", "littlefs-image")
SIZES = (0, 1, 511, 512, 513, 4095, 4096, 4097, 65537, 1000000)


def littlefs(*arguments):
    """What littlefs-image prints; it fails when the image is not sound."""
    return subprocess.run(
        [LITTLEFS_IMAGE, *arguments], check=True, timeout=60, stdout=subprocess.PIPE
    ).stdout


def listing(image):
    """Path to (size, CRC-32) for each file."""
    lines = littlefs(image).decode().splitlines()
    parts = [line.rsplit(" ", 2) for line in lines]
    return {path: (int(size), int(crc, 16)) for path, size, crc in parts}


@pytest.mark.parametrize("device", ["", "logical_block_size=4096,physical_block_size=4096"])
def test_littlefs(device, tmp_path):
    """The C library on a littlefs volume that the guest made itself; afterwards littlefs on the
    host finds a sound volume with the same content.
    """
    disk = blank(tmp_path / "disk.img", 16 << 20)
    with Guest(
        disk,
        kernel=os.path.join(BUILD, "files.elf"),
        words="format=vda:littlefs",
        nic=None,
        disk_drive="cache=writeback",
        disk_device=device,
    ) as guest:
        assert guest.wait_exit(120) == 0, guest.tail()
        guest.require(
            r"fs: vda: made a littlefs volume of 4096 blocks of 4096 bytes",
            r"fs: vda: mounted at /",
            r"files: \d+ checks, 0 failed",
        )
    files = listing(disk)
    for number, size in enumerate(SIZES):
        content = bytes(byte_at(number, offset) for offset in range(size))
        assert files[f"/written/file {number} – ä.bin"] == (size, zlib.crc32(content)), number
    text = littlefs(disk, "/written/text.txt").decode()
    assert len(text.splitlines()) == 1001 and text.endswith("the end\n")
    assert sum(path.startswith("/written/many/") for path in files) == 150


def test_two_volumes(site, tmp_path):
    """A FAT volume by its label and a littlefs volume by its disk's name, each at its place."""
    data = blank(tmp_path / "data.img", 4 << 20)
    fat = tmp_path / "site.img"
    shutil.copyfile(site.disk, fat)
    subprocess.run(["mlabel", "-i", fat, "::WEBSITE"], check=True, timeout=60)
    with Guest(
        nic=None,
        kernel=os.path.join(BUILD, "hello.elf"),
        words="root=LABEL=WEBSITE format=vda:littlefs mount=vda:/data mount=vdc:/x mount=vdb:rel",
        arguments=drive(data, "cache=writeback", name="a") + drive(str(fat), name="b"),
    ) as guest:
        assert guest.wait_exit(60) == 0, guest.tail()
        guest.require(
            r"fs: vda: mounted at /data",
            r"fs: vdb: mounted at /$",
            r"there is no disk vdc",
            r'fs: vdb: "rel" is not an absolute path',
            r"/index.html",
            r"/data/",
        )
    assert listing(data) == {}


def test_format_leaves_data_alone(site):
    """`format=` is for blank disks only."""
    with Guest(
        site.disk, nic=None, kernel=os.path.join(BUILD, "hello.elf"), words="format=vda:littlefs"
    ) as guest:
        assert guest.wait_exit(60) == 0, guest.tail()
        guest.require(r"fs: vda: is not blank, so it is not formatted", r"/index.html")


def test_read_only_littlefs(tmp_path):
    """A volume on a disk that cannot be written to is read, and nothing else."""
    disk = blank(tmp_path / "disk.img", 4 << 20)
    for options, words in (("cache=writeback", "format=vda:littlefs"), ("readonly=on", "")):
        with Guest(
            disk,
            kernel=os.path.join(BUILD, "hello.elf"),
            words=words,
            nic=None,
            disk_drive=options,
        ) as guest:
            assert guest.wait_exit(60) == 0, guest.tail()
    with app_guest("files", disk=disk, disk_drive="readonly=on") as guest:
        assert guest.wait_exit(60) == 5
        guest.require(r"littlefs volume.*read-only", r"files: cannot write: Read-only file system")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """An image with a littlefs volume that has been used."""
    disk = blank(tmp_path_factory.mktemp("littlefs") / "disk.img", 4 << 20)
    with Guest(
        disk,
        kernel=os.path.join(BUILD, "files.elf"),
        words="format=vda:littlefs",
        nic=None,
        disk_drive="cache=writeback",
    ) as guest:
        assert guest.wait_exit(120) == 0, guest.tail()
    return disk


@pytest.mark.parametrize("seed", range(8))
def test_damaged_littlefs(seed, written, tmp_path):
    """A damaged volume is refused, or used as far as it goes: the application ends, one way or
    another, and the machine with it in good order.
    """
    source = random.Random(seed)
    path = tmp_path / "damaged.img"
    shutil.copyfile(written, path)
    with open(path, "r+b") as file:
        image = bytearray(file.read())
        used = [at for at in range(0, len(image), 512) if any(image[at : at + 512])]
        for _ in range(source.choice((1, 20, 400))):
            at = source.choice(used) + source.randrange(512)
            image[at] ^= 1 << source.randrange(8)
        for at in range(4) if seed % 4 == 3 else ():
            image[at * 2048 : at * 2048 + 600] = source.randbytes(600)
        file.seek(0)
        file.write(image)
    name = "files" if seed % 2 else "hello"
    with app_guest(name, disk=str(path), disk_drive="cache=writeback") as guest:
        guest.wait_exit(120)
        guest.require(r"fs: vda: ", r"ending with status \d+")
        assert not guest.find("panic|crash"), guest.tail()
