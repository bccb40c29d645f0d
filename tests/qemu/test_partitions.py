"""Partition tables made by the tools that people use, and RAM disks: what the kernel makes of them.

Hostile tables are tests/unit/test_blk_partition.c's.
"""
import subprocess

import pytest

from ferrule import Guest
from website import check

MIB = 1 << 20


def run(*command, script=None):
    subprocess.run(command, input=script, check=True, timeout=60, capture_output=True, text=True)


def make_disk(path, size, script):
    """An image with the table that sfdisk makes of a script."""
    with open(path, "wb") as file:
        file.truncate(size)
    run("sfdisk", "--no-reread", "--no-tell-kernel", "-q", str(path), script=script)
    return str(path)


def put(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


GUID = "0fc63daf-8483-4772-8e79-3d69d8477de4"
UUID = "11223344-5566-7788-99aa-bbccddeeff00"


@pytest.fixture
def gpt(site, tmp_path):
    """A disk with two partitions, the second one with the web site's volume."""
    with open(site.disk, "rb") as file:
        volume = file.read()
    size = len(volume) + 4 * MIB
    path = str(tmp_path / "gpt.img")
    with open(path, "wb") as file:
        file.truncate(size)
    run(
        "sgdisk",
        "-n1:2048:4095",
        f"-n5:4096:+{len(volume) // 512}",
        "-c5:web site ü",
        f"-u5:{UUID}",
        f"-t5:{GUID}",
        path,
    )
    put(path, 4096 * 512, volume)
    return path


def test_gpt(gpt, site):
    """The volume in a partition is mounted, and the console says what there is."""
    with Guest(gpt) as guest:
        guest.wait_ready()
        guest.require(
            r"vda: GPT with 2 partitions",
            r"vda1: 1024 KiB at sector 2048$",
            r'vda5: \d+ KiB at sector 4096, "web site ü"',
        )
        assert not guest.find(r"(warn|error).*GPT")
        check(guest, site)
        text = guest.command_output("disks", r"vda5:.*\n.*flushes")
        assert f"{UUID}, web site ü, in use" in text
        assert "vda: " in text and "vda1: 2048 sectors, " in text
        guest.power_off()


@pytest.mark.parametrize("damage", [(512, bytes(512)), (1024 + 40, b"\1"), (512 + 16, b"\0")])
def test_backup_gpt(gpt, site, damage):
    """With the first header or its entries destroyed the backup serves."""
    put(gpt, *damage)
    with Guest(gpt) as guest:
        guest.wait_ready()
        guest.require(r"vda: the GPT cannot be used: .*; the backup at the end is", r"vda5: ")
        check(guest, site)
        guest.power_off()


def test_mbr_with_logical_partitions(tmp_path):
    script = """label: dos
label-id: 0xcafe1234
start=2048, size=2048, type=c
start=4096, size=12288, type=f
start=6144, size=2048, type=83, bootable
start=10240, size=1024, type=82
start=16384, type=83
"""
    disk = make_disk(tmp_path / "mbr.img", 16 * MIB, script)
    words = "ramdisk=8M ramdisk=vda6 ramdisk=vda ramdisk=PARTUUID=cafe1234-01"
    with Guest(disk, words=words) as guest:
        guest.wait_ready()
        guest.require(
            r"vda: MBR with 4 partitions",
            r"vda1: 1024 KiB at sector 2048$",
            r"vda3: 8192 KiB at sector 16384$",
            r"vda5: 1024 KiB at sector 6144$",
            r"vda6: 512 KiB at sector 10240$",
            r"ramb: begins as a copy of vda6$",
            r"ramc: MBR with 4 partitions",
            r"ramd: begins as a copy of vda1$",
        )
        text = guest.command_output("disks", r"ramd:.*\n.*flushes")
        assert "cafe1234-06" in text
        guest.power_off()


def test_blocks_of_4096_bytes(tmp_path):
    """Tables count in blocks of the device."""
    size = 16 * MIB
    image = bytearray(size)
    # An MBR counts so too: blocks 256 to 511.
    image[446:462] = bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + (256).to_bytes(4, "little") * 2
    image[510:512] = b"\x55\xaa"
    path = tmp_path / "4k.img"
    path.write_bytes(image)
    with Guest(
        str(path), disk_device="logical_block_size=4096,physical_block_size=4096"
    ) as guest:
        guest.wait_ready()
        guest.require(r"vda1: 1024 KiB at sector 2048$")
        guest.power_off()


def test_site_from_a_copy_in_memory(site):
    """The disk is taken into memory, and the copy has the same files (the disk itself is mounted)."""
    with Guest(site.disk, words="ramdisk=vda", memory="512M") as guest:
        guest.wait_ready()
        guest.require(r"rama: begins as a copy of vda$")
        check(guest, site)
        guest.power_off()
