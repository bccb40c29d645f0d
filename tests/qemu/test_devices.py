"""Which devices there are, how they are attached, and what they offer: the driver copes with each,
and says so when it cannot.
"""
import os
import re
import subprocess

import pytest

from ferrule import Guest, drive
from website import check

ROOT_PORTS = [
    "-device",
    "pcie-root-port,id=port0,chassis=1,slot=1",
    "-device",
    "pcie-root-port,id=port1,chassis=2,slot=2",
]
PCI_BRIDGE = ["-device", "pci-bridge,id=bridge0,chassis_nr=1,addr=5"]
PCIE_PCI_BRIDGE = [
    "-device",
    "pcie-root-port,id=port0,chassis=1,slot=1",
    "-device",
    "pcie-pci-bridge,id=bridge0,bus=port0",
]
SWITCH = [
    "-device",
    "pcie-root-port,id=port0,chassis=1,slot=1",
    "-device",
    "x3130-upstream,id=up0,bus=port0",
    "-device",
    "xio3130-downstream,id=down0,bus=up0,chassis=2,slot=1",
    "-device",
    "xio3130-downstream,id=down1,bus=up0,chassis=3,slot=2",
]

# How the two devices are attached. name: options of Guest
PLACES = {
    "pc-transitional": dict(machine="pc"),
    "q35-transitional": dict(machine="q35"),
    "pc-modern-only": dict(machine="pc", nic="disable-legacy=on", disk_device="disable-legacy=on"),
    "q35-modern-only": dict(nic="disable-legacy=on", disk_device="disable-legacy=on"),
    "root-ports": dict(arguments_first=ROOT_PORTS, nic="bus=port0", disk_device="bus=port1"),
    "pci-bridge-on-pc": dict(
        machine="pc",
        arguments_first=PCI_BRIDGE,
        nic="bus=bridge0,addr=3",
        disk_device="bus=bridge0,addr=4",
    ),
    "pcie-to-pci-bridge": dict(
        arguments_first=PCIE_PCI_BRIDGE, nic="bus=bridge0,addr=1", disk_device="bus=bridge0,addr=2"
    ),
    "pcie-switch": dict(arguments_first=SWITCH, nic="bus=down0", disk_device="bus=down1"),
    "functions-of-one-device": dict(nic="addr=6.0,multifunction=on", disk_device="addr=6.1"),
}


@pytest.mark.parametrize("name", PLACES)
def test_place(name, site):
    """Devices are found and driven wherever they sit.

    covers: PCI-DISC-1 PCI-DISC-2 PCI-DISC-3 PCI-DISC-4 PCI-CAP-1 PCI-CAP-2
    """
    with Guest(site.disk, **PLACES[name]) as guest:
        guest.wait_ready()
        guest.require(
            r"1af4:10[04][01] .*driven by virtio-net", r"1af4:10[04][12] .*driven by virtio-blk"
        )
        check(guest, site)
        guest.power_off()


# What the devices offer. name: (options of Guest, what the console's `virtio` must show)
OFFERS = {
    "no-event-index": (dict(nic="event_idx=off", disk_device="event_idx=off"), []),
    "no-indirect": (
        dict(nic="indirect_desc=off", disk_device="indirect_desc=off"),
        [r"\(0 indirect\)"],
    ),
    "neither": (
        dict(nic="event_idx=off,indirect_desc=off", disk_device="event_idx=off,indirect_desc=off"),
        [],
    ),
    "no-merged-buffers": (dict(nic="mrg_rxbuf=off"), []),
    "packed": (
        dict(nic="packed=on", disk_device="packed=on"),
        [r"virtio-net accepts.* RING_PACKED", r"virtio-blk accepts.* RING_PACKED"],
    ),
    "packed-no-event-index": (
        dict(nic="packed=on,event_idx=off", disk_device="packed=on,event_idx=off"),
        [r"virtio-net accepts.* RING_PACKED"],
    ),
    "packed-no-indirect": (
        dict(nic="packed=on,indirect_desc=off", disk_device="packed=on,indirect_desc=off"),
        [r"\(0 indirect\)"],
    ),
    "iommu-platform": (
        dict(
            nic="iommu_platform=on,disable-legacy=on",
            disk_device="iommu_platform=on,disable-legacy=on",
        ),
        [],
    ),
    "no-queue-reset": (dict(nic="queue_reset=off", disk_device="queue_reset=off"), []),
    "no-link-status": (dict(nic="status=off"), []),
    "no-control-queue": (
        dict(
            nic="ctrl_vq=off,ctrl_rx=off,ctrl_vlan=off,ctrl_rx_extra=off,ctrl_mac_addr=off,"
            "guest_announce=off,ctrl_guest_offloads=off,mq=off"
        ),
        [],
    ),
    "multiqueue-offered": (dict(nic="mq=on", disk_device="num-queues=4"), []),
    "rx-1024": (dict(nic="rx_queue_size=1024"), []),
    "rx-256-tx-256": (dict(nic="rx_queue_size=256,tx_queue_size=256"), []),
    "disk-queue-1024": (dict(disk_device="queue-size=1024"), []),
    "disk-queue-16": (dict(disk_device="queue-size=16"), []),
    "disk-queue-4": (dict(disk_device="queue-size=4"), []),
    "page-per-queue": (dict(nic="page-per-vq=on", disk_device="page-per-vq=on"), []),
    "no-config-wce": (dict(disk_device="config-wce=off,write-cache=off"), []),
    "no-discard": (dict(disk_device="discard=off,write-zeroes=off"), []),
    "large-blocks-hint": (dict(disk_device="physical_block_size=4096,min_io_size=4096"), []),
    "ioeventfd-off": (dict(nic="ioeventfd=off", disk_device="ioeventfd=off"), []),
    "iothread": (
        dict(disk_device="iothread=io0", arguments_first=["-object", "iothread,id=io0"]),
        [],
    ),
}


def test_iommu_is_left_disabled(site):
    """Devices that ask for translated addresses work beside an IOMMU, which stays switched off.

    covers: RSVF-3 RSVF-4
    """
    behind = "iommu_platform=on,disable-legacy=on"
    with Guest(site.disk, nic=behind, disk_device=behind, arguments=["-device", "intel-iommu"]) as guest:
        guest.wait_ready()
        guest.require(r"virtio-net accepts.* ACCESS_PLATFORM", r"virtio-blk accepts.* ACCESS_PLATFORM")
        check(guest, site)
        guest.power_off()


@pytest.mark.parametrize("name", OFFERS)
def test_offer(name, site):
    """Whatever features and queue sizes are offered, the driver takes what it can use and serves.

    covers: CORE-FEAT-1 CORE-FEAT-2 CORE-FEAT-7 CORE-FEAT-8 CORE-FEAT-10 CORE-CFG-4 NET-CFG-5
    covers: NET-FEATDEP-1 SPLIT-IND-1 SPLIT-T-SIZE-1 PCI-T-QSIZE-1 PCI-T-NOTIFY-1 BLK-T-LIMITS-1
    covers: NET-T-MERGE-1
    """
    options, patterns = OFFERS[name]
    with Guest(site.disk, **options) as guest:
        guest.wait_ready()
        check(guest, site, list(site.files)[:40])
        guest.command_output("virtio", r"blk.*: driver: avail")
        guest.require(*patterns)
        guest.power_off()


def test_status_from_outside(site):
    """QEMU's own view: each driven device has all status bits of initialisation, VERSION_1, and no
    FAILED.

    covers: CORE-STATUS-1 INIT-2 INIT-3 INIT-6 INIT-10
    """
    with Guest(site.disk) as guest:
        guest.wait_ready()
        names = set()
        for device in guest.qmp("x-query-virtio"):
            state = guest.qmp("x-query-virtio-status", path=device["path"])
            names.add(state["name"])
            status = " ".join(state["status"]["statuses"])
            for bit in ("S_ACKNOWLEDGE", "S_DRIVER:", "S_FEATURES_OK", "S_DRIVER_OK"):
                assert bit in status, status
            assert "FAILED" not in status and "NEEDS_RESET" not in status, status
            assert any(
                "VIRTIO_F_VERSION_1" in text for text in state["guest-features"]["transports"]
            )
            assert not state["broken"]
        assert names == {"virtio-net", "virtio-blk"}


def test_reset_at_the_end(site):
    """At power off the devices are reset before memory goes: QEMU's trace shows status 0 as the
    last word.

    covers: CORE-RESET-1 PCI-COMMON-5
    """
    trace = ["-trace", "virtio_set_status"]
    with Guest(site.disk, arguments=trace) as guest:
        guest.wait_ready()
        guest.power_off(quiet=False)
        last = {}
        for device, value in re.findall(r"virtio_set_status vdev (\S+) val (\d+)", guest.stderr()):
            last[device] = int(value)
        assert len(last) == 2 and set(last.values()) == {0}, last


def test_no_nic(site):
    """Without a network device the log says so, and the guest goes on until it is told to end."""
    with Guest(site.disk, nic=None) as guest:
        guest.wait_started()
        guest.require(r"net: no network device")
        guest.wait_for(r"no network interface, so nobody can reach the server")
        guest.power_off()


def test_no_disk():
    """Without a disk the server answers with a page that says so."""
    with Guest() as guest:
        guest.wait_ready()
        guest.require(r"fs: no disk: there are no files")
        answer = guest.get("/")
        assert answer.status == 503 and b"no disk" in answer.body
        assert guest.get("/index.html").status == 404
        guest.power_off()


def test_no_device_at_all():
    """Neither: clear lines, no error beyond them, and the console works."""
    with Guest(nic=None) as guest:
        guest.wait_started()
        guest.require(r"net: no network device", r"fs: no disk")
        guest.power_off()


def test_two_nics(site):
    """Each NIC gets an address of its own, and the server is reached by the first."""
    second = [
        "-netdev",
        "user,id=net1,net=10.9.0.0/24",
        "-device",
        "virtio-net-pci,netdev=net1,romfile=",
    ]
    with Guest(site.disk, arguments=second) as guest:
        guest.wait_ready()
        guest.wait_for(r"eth0: 10\.0\.2\.15/24 via 10\.0\.2\.2")
        guest.wait_for(r"eth1: 10\.9\.0\.15/24")
        check(guest, site)
        guest.power_off()


def test_two_disks(site, tmp_path):
    """The first disk with a file system is served, and each is in the log; a blank one before it
    does not matter.
    """
    blank = tmp_path / "blank.img"
    with open(blank, "wb") as file:
        file.truncate(8 << 20)
    with Guest(str(blank), arguments=drive(site.disk, name="disk1")) as guest:
        guest.wait_ready()
        guest.require(r"no FAT volume on it \(unformatted", r"FAT(16|32) volume at sector 0")
        check(guest, site)
        guest.power_off()


def test_mac_address():
    """The device's MAC address is the one in use.

    covers: NET-CFG-2 NET-CFG-3
    """
    with Guest(nic="mac=52:54:00:ab:cd:ef") as guest:
        guest.wait_ready()
        guest.require(r"eth0: 52:54:00:ab:cd:ef mtu 1500, .*link up")


def test_unknown_devices_are_named(site):
    """Virtio devices that nobody drives, and others, appear in the log with what they are and why
    they are not used.
    """
    devices = ["-netdev", "user,id=net9"]
    for kind in (
        "virtio-gpu-pci",
        "rtl8139",
        "nvme,serial=1",
        "edu",
    ):
        devices += ["-device", kind + (",romfile=,netdev=net9" if kind == "rtl8139" else "")]
    with Guest(site.disk, arguments=devices) as guest:
        guest.wait_ready()
        log = guest.log()
        assert re.search(r"pci \S+ 1af4:1050 .*not driven: no driver for this device type", log), (
            guest.tail()
        )
        for identity in ("10ec:8139", "1b36:0010", "1234:11e8"):
            assert re.search(rf"pci \S+ {identity} .*not driven: no driver", log), (
                identity + guest.tail()
            )
        check(guest, site)
        guest.power_off()


def test_unformatted_disk(tmp_path):
    """A blank disk is said to be one, and the server says that there are no files."""
    blank = tmp_path / "blank.img"
    with open(blank, "wb") as file:
        file.truncate(8 << 20)
    with Guest(str(blank)) as guest:
        guest.wait_ready()
        guest.require(r"no FAT volume on it \(unformatted", r"none of 1 disks could be mounted")
        assert guest.get("/").status == 503
        guest.power_off()


@pytest.mark.parametrize("size", [0, 512, 4096])
def test_tiny_disk(size, tmp_path):
    """Disks of no, one and eight sectors are no trouble."""
    tiny = tmp_path / "tiny.img"
    with open(tiny, "wb") as file:
        file.truncate(size)
    with Guest(str(tiny)) as guest:
        guest.wait_ready()
        assert guest.get("/").status == 503
        guest.power_off()


def resized(disk, path, numerator, denominator):
    """A copy of an image, cut or lengthened."""
    subprocess.run(["cp", "--sparse=always", disk, str(path)], check=True)
    os.truncate(path, os.path.getsize(disk) * numerator // denominator // 512 * 512)
    return str(path)


def test_truncated_disk(site, tmp_path):
    """Half of an image is not mounted, and the log says why.

    covers: BLK-OP-2
    """
    with Guest(resized(site.disk, tmp_path / "half.img", 1, 2)) as guest:
        guest.wait_ready()
        guest.require(
            r"the FAT volume ends at sector \d+, but the disk at \d+ \((a )?truncated image\?\)"
        )
        assert guest.get("/").status == 503
        guest.power_off()


def test_disk_of_twice_the_size(site, tmp_path):
    """More disk than file system is fine, and in the log."""
    with Guest(resized(site.disk, tmp_path / "double.img", 2, 1)) as guest:
        guest.wait_ready()
        guest.require(r"the FAT volume uses the first \d+")
        check(guest, site)
        guest.power_off()


def test_read_only_disk(site):
    """A read-only disk is known as one and served.

    covers: BLK-OP-3
    """
    with Guest(site.disk, disk_drive="readonly=on") as guest:
        guest.wait_ready()
        guest.require(r"blocks of 512 bytes, read-only")
        check(guest, site)
        guest.power_off()


def test_disk_of_4k_blocks(site):
    """A file system of 512-byte sectors cannot be used on blocks of 4096, which is said instead of
    tried.
    """
    with Guest(site.disk, disk_device="logical_block_size=4096,physical_block_size=4096") as guest:
        guest.wait_ready()
        guest.require(
            r"blocks of 4096 bytes", r"sectors of 512 bytes cannot be used on blocks of 4096"
        )
        assert guest.get("/").status == 503
        guest.power_off()


def test_file_system_of_4k_sectors(site, tmp_path):
    """A file system made for blocks of 4096 bytes serves from such a disk.

    covers: BLK-T-UNITS-1
    """
    image = tmp_path / "4k.img"
    subprocess.run(["truncate", "-s", "400M", image], check=True)
    subprocess.run(
        ["/sbin/mkfs.fat", "-F", "32", "-S", "4096", "-s", "1", image],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    subprocess.run(
        [
            "mcopy",
            "-s",
            "-i",
            str(image),
            os.path.join(site.folder, "index.html"),
            os.path.join(site.folder, "sizes"),
            "::",
        ],
        check=True,
        env=dict(os.environ, LC_ALL="C.UTF-8", MTOOLS_SKIP_CHECK="1"),
    )
    with Guest(str(image), disk_device="logical_block_size=4096,physical_block_size=4096") as guest:
        guest.wait_ready()
        check(
            guest,
            site,
            ["index.html", "sizes/0.bin", "sizes/4095.bin", "sizes/4097.bin", "sizes/65537.bin"],
        )
        guest.power_off()


def test_disk_grows(site):
    """A change of the disk's size while it runs is noticed, and serving goes on.

    covers: BLK-OP-1 CORE-T-CFGINT-1
    """
    with Guest(site.disk) as guest:
        guest.wait_ready()
        guest.qmp("block_resize", device="disk0", size=256 << 20)
        guest.wait_for(r"capacity changed from \d+ to 524288 sectors")
        check(guest, site)
        guest.power_off()
