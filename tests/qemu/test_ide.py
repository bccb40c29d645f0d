"""Disks of an emulated IDE controller: a web site read from one, loads checked by their data, errors, and
devices that are no disks.
"""
import json
import struct

import pytest

from ferrule import Guest
from test_blk_load import ANSWER, loaded
from website import check

MIB = 1 << 20
WAYS = {"dma": "ide=dma", "pio": "ide=pio", "dma-polled": "irq=poll", "pio-polled": "ide=pio irq=poll"}


@pytest.mark.parametrize("way", WAYS)
def test_web_site(way, site):
    """Every file of a FAT volume, on the controller that the pc machine has."""
    with Guest(site.disk, machine="pc", disk_kind="ide-hd", words=WAYS[way]) as guest:
        guest.wait_ready()
        guest.require(
            r"ide[01]: hda: QEMU HARDDISK, \d+ MiB, %s, LBA48, flush%s"
            % (way[:3].upper(), ", polled" if "polled" in way else ""),
            r"fs: hda: mounted at /",
        )
        check(guest, site)
        guest.power_off()


@pytest.mark.parametrize("way", WAYS)
def test_data(way, tmp_path):
    """What is written is on the image, sector by sector, and is read back."""
    image = tmp_path / "disk.img"
    with open(image, "wb") as file:
        file.truncate(16 * MIB)
    words = "services=blk " + WAYS[way]
    with loaded(str(image), machine="pc", disk_kind="ide-hd", words=words) as (guest, ask):
        for line, count, size in (
            ("blk fill 64k 8 256 hda", 256, 65536),
            ("blk verify 4k 32 4096 hda", 4096, 4096),
            ("blk randread 512 4 100 hda", 100, 512),
            ("blk verify 1M 2 16 hda", 16, MIB),
            ("blk flush 0 2 20 hda", 20, 0),
        ):
            assert ask(line).startswith("ok n=%d " % count)
        guest.power_off()
    data = image.read_bytes()
    for sector in range(16 * MIB // 512):
        assert struct.unpack_from("<Q", data, sector * 512)[0] == sector


def test_four_devices(tmp_path, site):
    """Two disks of a channel take turns; a CD drive is named, and left alone."""
    blank = tmp_path / "blank.img"
    with open(blank, "wb") as file:
        file.truncate(8 * MIB)
    arguments = ["-device", "ide-cd,bus=ide.1,unit=0"]
    for number, path in enumerate((blank, site.disk)):
        arguments += ["-drive", f"if=none,id=d{number},format=raw,file={path}"]
        arguments += ["-device", f"ide-hd,drive=d{number},bus=ide.0,unit={number}"]
    with Guest(machine="pc", arguments=arguments, words="services=blk") as guest:
        guest.wait_ready()
        guest.require(
            r"ide1: device 0 \(QEMU DVD-ROM\): not used: it is an ATAPI device",
            r"fs: hdb: mounted at /",
        )
        guest.type("blk fill 512 4 16384 hda")
        for _ in range(3):
            check(guest, site)
        guest.wait_for(ANSWER % (16384, 8 * MIB), timeout_s=60)
        guest.power_off()
    data = blank.read_bytes()
    assert all(
        struct.unpack_from("<Q", data, at)[0] == at // 512 for at in range(0, 8 * MIB, 512)
    )


@pytest.mark.parametrize("way", ["dma", "pio"])
def test_bad_sectors(way, tmp_path):
    """Unreadable and unwritable sectors end in an error; others are read."""
    image = tmp_path / "disk.img"
    with open(image, "wb") as file:
        file.truncate(8 * MIB)
    blockdev = {
        "driver": "raw",
        "node-name": "disk0",
        "file": {
            "driver": "blkdebug",
            "inject-error": [
                {"event": "none", "iotype": "read", "errno": 5, "sector": 4000, "once": False},
                {"event": "none", "iotype": "write", "errno": 5, "sector": 5000, "once": False},
            ],
            "image": {"driver": "file", "filename": str(image)},
        },
    }
    arguments = ["-blockdev", json.dumps(blockdev)]
    arguments += ["-device", "ide-hd,drive=disk0,rerror=report,werror=report"]
    options = dict(machine="pc", arguments=arguments, words="services=blk " + WAYS[way])
    with loaded(None, **options) as (guest, ask):
        assert ask("blk read 4k 1 100 hda").startswith("ok ")
        assert ask("blk read 4k 4 2000 hda").startswith("error: read at sector 4000 of hda: -5")
        assert ask("blk write 4k 4 2000 hda").startswith("error: write at sector 5000 of hda: -5")
        guest.require(r"warning: hda: read of 8 sectors at 4000: status 0x")
        assert ask("blk read 4k 1 100 hda").startswith("ok ")
        guest.power_off()
