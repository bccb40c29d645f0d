"""SCSI disks behind virtio: found, served from, plugged and unplugged, resized, and failing.

The adapter is QEMU's virtio-scsi-pci, the units are its scsi-hd and scsi-cd. Read test_disk.py for
the same errors on virtio-blk.
"""
import http.client
import json
import os

import pytest

from ferrule import BUILD, Guest, GuestError, text_of
from test_apps import SECTOR, blank, pattern
from test_nbd import random_disk, run, url, wait_ready
from website import check, sha256

MIB = 1 << 20


def adapter(options="", name="scsi0"):
    return ["-device", f"virtio-scsi-pci,id={name}" + (f",{options}" if options else "")]


def node(path, name, read_only=False, inner=None, options=None):
    """A block device of QEMU that nothing is attached to yet; its changes are forgotten."""
    file = {"driver": "file", "filename": str(path)}
    if read_only:
        file["read-only"] = True
    node_ = {"driver": "raw", "node-name": name, "file": inner or file, "read-only": read_only}
    node_.update(options or {})
    return ["-blockdev", json.dumps(node_)]


def unit(name, target=0, lun=0, options="", kind="scsi-hd", bus="scsi0"):
    return [
        "-device",
        f"{kind},bus={bus}.0,id=unit-{name},drive={name},scsi-id={target},lun={lun}"
        + (f",{options}" if options else ""),
    ]


def site_disk(site, target=0, lun=0, options="", bus="scsi0"):
    return node(site.disk, "site", read_only=True) + unit("site", target, lun, options, bus=bus)


# name: (options of the adapter, options of Guest)
ADAPTERS = {
    "q35": ("", {}),
    "pc": ("", dict(machine="pc")),
    "modern-only": ("disable-legacy=on", {}),
    "legacy-only": ("disable-modern=on,disable-legacy=off", {}),
    "legacy-only-on-pc": ("disable-modern=on,disable-legacy=off", dict(machine="pc")),
    "line-interrupt": ("vectors=0", {}),
    "poll": ("", dict(words="irq=poll")),
    "no-indirect": ("indirect_desc=off", {}),
    "no-event-index": ("event_idx=off", {}),
    "no-events": ("hotplug=off,param_change=off", {}),
    "one-command": ("cmd_per_lun=1", {}),
    "many-queues": ("num_queues=4", {}),
    "small-queue": ("virtqueue_size=8", {}),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_served_from(name, site):
    """A site on a SCSI disk is served byte for byte.

    covers: SCSI-FEAT-1 SCSI-FEAT-2 SCSI-INIT-1 SCSI-INIT-2 SCSI-CFG-1 SCSI-CFG-2 LEG-SCSI-CFG-1
    covers: LEG-SCSI-OP-1 LEG-SCSI-REQ-1 LEG-SCSI-FRAME-1 LEG-SCSI-FRAME-2
    """
    options, more = ADAPTERS[name]
    with Guest(arguments=adapter(options) + site_disk(site), **more) as guest:
        guest.wait_ready()
        guest.require(
            r"pci \S+ sda: target 0 LUN 0: QEMU QEMU HARDDISK, ",
            r"pci \S+ 1af4:10(04|48) .*driven by virtio-scsi",
            r"fs: sda: FAT",
        )
        check(guest, site)
        check(guest, site, list(site.files)[:40])
        guest.power_off()


# name: (options of the adapter, options of the unit, requests at a time, options of Guest)
LOADS = {
    "sixty-four": ("", "", 64, {}),
    "one-at-a-time": ("", "", 1, {}),
    "one-per-unit": ("cmd_per_lun=1", "", 32, {}),
    "seven-per-unit": ("cmd_per_lun=7", "", 64, {}),
    "small-queue": ("virtqueue_size=8", "", 32, {}),
    "small-commands": ("max_sectors=16", "", 32, {}),
    "no-indirect": ("indirect_desc=off", "", 64, {}),
    "4k-blocks": ("", "logical_block_size=4096,physical_block_size=4096", 16, {}),
    "no-write-cache": ("", "write-cache=off", 16, {}),
    "legacy-only": ("disable-modern=on,disable-legacy=off", "", 32, {}),
    "line-interrupt": ("vectors=0", "", 32, {}),
    "iothread": ("iothread=io0", "", 64, dict(arguments_first=["-object", "iothread,id=io0"])),
    "pc": ("", "", 16, dict(machine="pc")),
}


@pytest.mark.parametrize("name", LOADS)
def test_block_layer(name, tmp_path):
    """A whole disk is written and read in random order and pieces; the image has every sector of
    the last round.

    covers: SCSI-CFG-2 SCSI-CFG-3 SCSI-T-REQ-1
    """
    options, unit_options, depth, more = LOADS[name]
    size, rounds = 8 * MIB, 2
    disk = blank(tmp_path / "disk.img", size)
    with Guest(
        kernel=os.path.join(BUILD, "blocks.elf"),
        words=f"-- {rounds} {depth} 5",
        nic=None,
        arguments=adapter(options) + node(disk, "data") + unit("data", 3, 1, unit_options),
        **more,
    ) as guest:
        assert guest.wait_exit(60) == 0, guest.tail()
        guest.require(
            r"blocks: beyond the end: -22",
            r"blocks: 0 failures, 0 wrong words",
            rf" {rounds} flushes ",
        )
        assert guest.stderr() == ""
    with open(disk, "rb") as file:
        for sector in range(size // SECTOR):
            assert file.read(SECTOR) == pattern(sector, rounds), f"sector {sector}"


def test_many_units(site, tmp_path):
    """Units on several targets, LUNs and adapters get names by address; a CD-ROM is named and left
    alone.

    covers: SCSI-T-REQ-1 SCSI-INIT-1
    """
    arguments = adapter() + adapter(name="scsi1")
    for name, target, lun, size in (
        ("far", 255, 16383, 5),
        ("high", 9, 300, 4),
        ("second", 9, 1, 3),
    ):
        disk = blank(tmp_path / f"{name}.img", size * MIB)
        arguments += node(disk, name) + unit(name, target, lun)
    arguments += ["-device", "scsi-cd,bus=scsi0.0,scsi-id=20,lun=2"]
    arguments += site_disk(site, 40, 7, bus="scsi1")
    with Guest(arguments=arguments) as guest:
        guest.wait_ready()
        guest.require(
            r"sda: target 9 LUN 1: QEMU QEMU HARDDISK, 3 MiB",
            r"sdb: target 9 LUN 300: QEMU QEMU HARDDISK, 4 MiB",
            r"sdc: target 255 LUN 16383: QEMU QEMU HARDDISK, 5 MiB",
            r"sdd: target 40 LUN 7: ",
            r"target 20 LUN 2: CD-ROM \(type 05h, QEMU QEMU CD-ROM\): left alone",
            r"fs: sdd: FAT",
        )
        check(guest, site)
        guest.power_off()


def test_next_to_virtio_blk(site, tmp_path):
    """Disks of both kinds at once, each kind with names of its own."""
    extra = blank(tmp_path / "extra.img", MIB)
    arguments = adapter() + node(extra, "extra") + unit("extra")
    with Guest(site.disk, arguments=arguments) as guest:
        guest.wait_ready()
        guest.require(r"\bvda: ", r"\bsda: target 0 LUN 0: ", r"fs: vda: FAT")
        check(guest, site)
        guest.power_off()


def test_without_units():
    """An adapter that nothing is attached to does not hold up anything."""
    with Guest(arguments=adapter()) as guest:
        guest.wait_ready()
        guest.require(r"driven by virtio-scsi", r"fs: no disk")
        guest.power_off()


def test_read_only(site):
    """A write-protected disk is taken as such, and served."""
    with Guest(arguments=adapter() + site_disk(site)) as guest:
        guest.wait_ready()
        guest.require(r"sda: target 0 LUN 0: .*, read-only", r"fs: sda: .*read-only")
        check(guest, site)
        guest.power_off()


def test_image_is_not_written_to(site):
    """Serving writes nothing, though the guest could."""
    with open(site.disk, "rb") as file:
        before = sha256(file.read())
    with Guest(arguments=adapter() + node(site.disk, "site") + unit("site")) as guest:
        guest.wait_ready()
        guest.require(r"fs: sda: .*read-write")
        check(guest, site)
        guest.power_off()
    with open(site.disk, "rb") as file:
        assert sha256(file.read()) == before


@pytest.mark.parametrize("blocks", [512, 4096])
def test_ranges(blocks, tmp_path):
    """What a client of the NBD server trims is freed in the image of the disk, what it zeroes reads as
    zeros: each is one command without the data. QEMU does not promise that what is freed reads as
    zeros, so zeroing frees nothing.
    """
    disk = random_disk(tmp_path / "disk.img", 16 * MIB)
    before = os.stat(disk).st_blocks
    with Guest(
        kernel=os.path.join(BUILD, "nbd.elf"),
        words="root=none port=80",
        arguments=adapter()
        + node(disk, "data", options={"discard": "unmap"})
        + unit("data", 3, 1, f"logical_block_size={blocks},physical_block_size={blocks}"),
    ) as guest:
        wait_ready(guest)
        guest.require(r"sda: target 3 LUN 1: .*, discard, zeroes")
        commands = ("discard 0 4M", "write -z 8M 4M", "write -z -u 13M 1M", "flush")
        checks = ("read -P 0 8M 4M", "read -P 0 13M 1M")
        words = [word for command in commands + checks for word in ("-c", command)]
        text = run("qemu-io", "-f", "raw", "-d", "unmap", *words, url(guest))
        assert "failed" not in text.lower(), text
        guest.power_off()
    assert os.stat(disk).st_blocks <= before - (3 * MIB) // 512
    with open(disk, "rb") as file:
        content = file.read()
    assert content[8 * MIB : 12 * MIB] == bytes(4 * MIB)
    assert 0 not in (content[4 * MIB : 8 * MIB].count(1), content[12 * MIB : 13 * MIB].count(1))


# --- units that come, go and change ---


def plug(guest, path, number, target, lun):
    """Plugs a disk in. Its node is a new one each time, because QEMU lets go of that of an unplugged
    disk only a moment later.
    """
    file = {"driver": "file", "filename": path, "locking": "off"}
    guest.qmp("blockdev-add", **{"driver": "raw", "node-name": f"extra{number}", "file": file})
    guest.qmp(
        "device_add",
        driver="scsi-hd",
        bus="scsi0.0",
        drive=f"extra{number}",
        id=f"unit{number}",
        **{"scsi-id": target, "lun": lun},
    )


@pytest.mark.parametrize(
    "options",
    ["", "iothread=io0", "vectors=0", "event_idx=off", "disable-modern=on,disable-legacy=off"],
)
def test_hotplug(options, site, tmp_path):
    """Disks that are plugged in and pulled out while the machine serves are in the log, and nothing
    else changes.

    covers: SCSI-FEAT-1 SCSI-EVT-1 SCSI-EVT-2 SCSI-EVT-3 SCSI-EVT-4 SCSI-EVT-7
    covers: LEG-SCSI-EVT-1
    """
    extra = blank(tmp_path / "extra.img", 7 * MIB)
    arguments = adapter(options) + site_disk(site)
    with Guest(arguments=["-object", "iothread,id=io0"] + arguments) as guest:
        guest.wait_ready()
        for number in range(24):
            target, lun = ((5, 0), (5, 3), (0, 1), (200, 0))[number % 4]
            plug(guest, extra, number, target, lun)
            guest.wait_for(rf"sdb: target {target} LUN {lun}: .*, 7 MiB", new=True)
            guest.qmp("device_del", id=f"unit{number}")
            guest.wait_for(r"sdb: removed: ", new=True)
        check(guest, site)
        assert not guest.find(r"sdc:"), guest.tail()
        guest.power_off()


def test_plugged_in_under_load(large_site, tmp_path):
    """A disk comes and goes while another one is read from."""
    extra = blank(tmp_path / "extra.img", 7 * MIB)
    with Guest(arguments=adapter() + site_disk(large_site)) as guest:
        guest.wait_ready()
        path = "large/20mb.bin"
        connection = http.client.HTTPConnection("127.0.0.1", guest.port, timeout=60)
        connection.request("GET", "/" + path)
        answer = connection.getresponse()
        body = answer.read(MIB)
        for number in range(10):
            plug(guest, extra, number, 1, 0)
            guest.wait_for(r"sdb: target 1 LUN 0: ", new=True)
            body += answer.read(MIB)
            guest.qmp("device_del", id=f"unit{number}")
            guest.wait_for(r"sdb: removed: ", new=True)
            body += answer.read(MIB // 2)
        body += answer.read()
        connection.close()
        assert (len(body), sha256(body)) == large_site.files[path]
        guest.power_off()


def test_disk_in_use_is_pulled_out(site):
    """The disk that is served from goes: requests end in errors, the machine goes on, and ends
    well.
    """
    with Guest(arguments=adapter() + site_disk(site)) as guest:
        guest.wait_ready()
        check(guest, site)
        guest.qmp("device_del", id="unit-site")
        guest.wait_for(r"sda: removed: unplugged")
        for path in ("/types/code.js", "/many/", "/deep/1/2/3/", "/sizes/65537.bin"):
            try:
                assert guest.get(path).status in (200, 404, 500, 503)
            except GuestError as error:
                assert "IncompleteRead" in str(error) or "Disconnected" in str(error)
        assert not guest.find(r"panic"), guest.tail()
        guest.power_off()


def test_resize(site, tmp_path):
    """A disk that grows is seen to.

    covers: SCSI-FEAT-2
    """
    extra = blank(tmp_path / "extra.img", 4 * MIB)
    arguments = adapter() + site_disk(site) + node(extra, "extra") + unit("extra", 1)
    with Guest(arguments=arguments) as guest:
        guest.wait_ready()
        for before, after in ((4, 9), (9, 20), (20, 6)):
            guest.qmp("block_resize", **{"node-name": "extra", "size": after * MIB})
            guest.wait_for(
                rf"sdb: capacity changed from {before * 2048} to {after * 2048} sectors", new=True
            )
        check(guest, site)
        guest.power_off()


# --- errors ---


def failing_disk(site, rules):
    inner = {
        "driver": "blkdebug",
        "inject-error": rules,
        "image": {"driver": "file", "filename": site.disk, "read-only": True},
    }
    return adapter() + node(site.disk, "site", True, inner) + unit("site")


def read_error(sector, once=False, errno=5):
    return {"event": "none", "iotype": "read", "errno": errno, "sector": sector, "once": once}


def sector_of(site, path, offset):
    wanted = site.content(path)[offset // SECTOR * SECTOR :][:SECTOR]
    with open(site.disk, "rb") as file:
        image = file.read()
    assert image.count(wanted) == 1
    return image.index(wanted) // SECTOR


def test_bad_sector(large_site):
    """One unreadable sector: its file breaks off, which the log explains, and everything else is
    served.
    """
    bad = sector_of(large_site, "large/20mb.bin", 10 * MIB)
    with Guest(arguments=failing_disk(large_site, [read_error(bad)])) as guest:
        guest.wait_ready()
        for _ in range(2):
            with pytest.raises(GuestError, match="IncompleteRead|Connection"):
                guest.get("/large/20mb.bin", timeout_s=60)
            check(guest, large_site)
        match = guest.wait_for(r"error: sda: reading \d+ sectors at \d+: (.*)")
        assert "ABORTED COMMAND" in text_of(match) or "MEDIUM ERROR" in text_of(match)
        check(guest, large_site, ["large/1mb.bin"])
        guest.power_off()


def test_error_that_passes(large_site):
    """An error that does not come again is not even noticed: the command is sent once more."""
    bad = sector_of(large_site, "large/1mb.bin", 500000)
    with Guest(arguments=failing_disk(large_site, [read_error(bad, once=True)])) as guest:
        guest.wait_ready()
        check(guest, large_site, ["large/1mb.bin"])
        guest.power_off()


def test_everything_fails(site):
    """A disk that cannot be read at all."""
    rules = [{"event": "none", "errno": 5, "once": False}]
    with Guest(arguments=failing_disk(site, rules)) as guest:
        guest.wait_ready()
        guest.require(
            r"sda: target 0 LUN 0: ",
            r"error: sda: reading ",
            r"none of 1 disks could be mounted",
        )
        assert guest.get("/").status == 503
        guest.power_off()


def test_slow_disk(site):
    """A disk throttled to a few requests a second is waited for."""
    drive = f"if=none,id=site,format=raw,file={site.disk},snapshot=on,throttling.iops-total=40"
    with Guest(arguments=adapter() + ["-drive", drive] + unit("site")) as guest:
        guest.wait_ready()
        check(guest, site, ["index.html", "sizes/65537.bin"])
        guest.power_off()
