"""Transports other than modern PCI: virtio over MMIO on microvm in both versions, and legacy PCI.

Each guest serves files, compared by checksum, and ends in good order. What a transport must do with
its registers is checked by the unit tests; here it meets QEMU's devices.
"""
import re

import pytest

from ferrule import QBOOT, Guest, drive
from website import check

MMIO = dict(nic_kind="virtio-net-device")
FILES = ("index.html", "sizes/0.bin", "sizes/65537.bin", "large/1mb.bin")


def mmio_disk(site, *more):
    return drive(site.disk, kind="virtio-blk-device") + list(more)


def mmio_version(version):
    return ["-global", f"virtio-mmio.force-legacy={'on' if version == 1 else 'off'}"]


def interrupts(guest):
    """Used buffer notifications of the two queues that the driver sleeps on."""
    log = guest.command_output("virtio", r"blk requests: driver: avail")
    return [
        int(re.search(rf"{name}: added .* interrupts (\d+)", log).group(1))
        for name in ("net rx", "blk requests")
    ]


def serve(guest, site):
    guest.wait_ready()
    check(guest, site, FILES)


# name: (machine options, options of Guest, what the console must show)
MICROVMS = {
    "acpi": ("", {}, [r"queues.*; INTx"]),
    "acpi-pvh": ("", dict(boot="pvh"), [r"booted by PVH"]),
    "acpi-one-ioapic": (",ioapic2=off", {}, [r"queues.*; INTx"]),
    "acpi-and-words": (
        ",auto-kernel-cmdline=off",
        dict(words="virtio_mmio.device=512@0xfeb02e00:47 virtio_mmio.device=0x200@0xfeb02c00:46:1"),
        [],
    ),
    "no-acpi": (",acpi=off", {}, [r"acpi: no tables", r"queues.*; INTx"]),
    "no-acpi-pvh": (",acpi=off", dict(boot="pvh"), [r"booted by PVH", r"queues.*; INTx"]),
    "no-acpi-arguments": (",acpi=off", dict(boot="pvh", words="loglevel=info -- word"), []),
    "polled": ("", dict(words="irq=poll"), [r"queues.*; polling"]),
    "no-acpi-polled": (",acpi=off", dict(words="irq=poll"), [r"queues.*; polling"]),
    "bare": (",acpi=off,pit=off,pic=off,rtc=off", {}, [r"no wall clock"]),
    "memory-above-4g": ("", dict(memory="4G"), []),
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", MICROVMS)
def test_microvm(name, version, large_site):
    """A microvm's devices are found however it describes them, and driven in both versions.

    covers: MMIO-REG-6 MMIO-REG-7 MMIO-INIT-1 MMIO-INIT-6 MMIO-INT-1 MMIO-INT-3 LEG-MMIO-1
    """
    machine, options, patterns = MICROVMS[name]
    with Guest(
        machine="microvm" + machine,
        arguments=mmio_disk(large_site, *mmio_version(version)),
        **MMIO,
        **options,
    ) as guest:
        serve(guest, large_site)
        guest.require(
            rf"mmio 0x\w+: virtio device, version {version}, type 1: driven by virtio-net",
            rf"mmio 0x\w+: virtio device, version {version}, type 2: driven by virtio-blk",
            *patterns,
        )
        polled = "polling" in "".join(patterns)
        assert all((count == 0) == polled for count in interrupts(guest)), guest.tail()
        assert not guest.find(r"line \d+ masked|in use after"), guest.tail()
        guest.power_off()


def test_microvm_with_pci(large_site):
    """With PCI as well, devices of both kinds are driven side by side."""
    with Guest(
        large_site.disk,
        machine="microvm,pcie=on",
        arguments=mmio_version(2),
        **MMIO,
    ) as guest:
        serve(guest, large_site)
        guest.require(r"mmio 0x\w+: .* driven by virtio-net", r"pci \S+ .* driven by virtio-blk")
        guest.power_off()


@pytest.mark.parametrize("ioapic2", ["on", "off"])
def test_microvm_pci_lines(ioapic2, site):
    """The INTx lines of a microvm's PCI bus arrive, wherever its second I/O APIC makes them begin."""
    machine = f"microvm,pcie=on,ioapic2={ioapic2}"
    with Guest(site.disk, machine=machine, words="irq=intx") as guest:
        guest.wait_ready()
        check(guest, site)
        assert all(interrupts(guest)), guest.tail()
        guest.power_off()


def test_microvm_with_every_slot_taken(site):
    """All 24 slots hold a device; those without a driver are listed and stay quiet.

    covers: MMIO-INIT-6
    """
    more = ["-object", "rng-random,id=rng0,filename=/dev/zero"]
    for _ in range(21):
        more += ["-device", "virtio-rng-device,rng=rng0"]
    with Guest(machine="microvm", arguments=mmio_disk(site, *more), **MMIO) as guest:
        guest.wait_ready()
        check(guest, site)
        assert len(re.findall(r"mmio 0x\w+: virtio device, version 1, type 4:", guest.log())) == 21
        guest.power_off()


def test_microvm_without_console(site):
    """Without a serial port the guest serves all the same."""
    with Guest(
        machine="microvm,isa-serial=off", serial=False, arguments=mmio_disk(site), **MMIO
    ) as guest:
        guest.wait_http()
        check(guest, site)


def test_words_that_make_no_sense(site):
    """Places where nothing is, and words that are none, get one line each."""
    words = (
        "virtio_mmio.device=junk virtio_mmio.device=512@0xfeb00000:24 "
        "virtio_mmio.device=512@0xd0000000:5 virtio_mmio.device=512@0x1000000:5 "
        "virtio_mmio.device=16@0xfeb02e00:47"
    )
    with Guest(machine="microvm", words=words, arguments=mmio_disk(site), **MMIO) as guest:
        guest.wait_ready()
        log = guest.log()
        for line in (
            r"virtio_mmio.device=junk: not of the form <size>@<address>:<irq>\[:<id>\]",
            r"mmio 0xd0000000: no virtio device there \(magic value 0x\w+\)",
            r"mmio 0x1000000: cannot be mapped",
            r"mmio 0xfeb02e00: 16 bytes there cannot be a virtio device",
        ):
            assert len(re.findall(line, log)) == 1, line + guest.tail()
        # An empty slot is nothing to talk about (4.2.2.2).
        assert "0xfeb00000" not in log
        check(guest, site)
        guest.power_off()


LEGACY = "disable-modern=on,disable-legacy=off"

# name: (options of Guest, more properties of both devices, what the console must show)
LEGACY_DEVICES = {
    "pc-msix": (dict(machine="pc"), "", [r"; MSI-X, legacy interface"]),
    "q35-msix": (dict(machine="q35"), "", [r"; MSI-X, legacy interface"]),
    "pc-intx": (dict(machine="pc", words="irq=intx"), "", [r"; INTx, legacy interface"]),
    "q35-intx": (dict(machine="q35", words="irq=intx"), "", [r"; INTx, legacy interface"]),
    "pc-poll": (dict(machine="pc", words="irq=poll"), "", [r"; polling, legacy interface"]),
    "q35-poll": (dict(machine="q35", words="irq=poll"), "", [r"; polling, legacy interface"]),
    "no-vectors": (dict(), ",vectors=0", [r"; INTx, legacy interface"]),
    "one-vector": (dict(), ",vectors=1", [r"; MSI-X, legacy interface"]),
    "ports-placed-by-us": (dict(firmware=QBOOT), "", []),
    "fixed-framing": (dict(), ",any_layout=off", []),
    "plain-rings": (dict(), ",any_layout=off,indirect_desc=off,event_idx=off", []),
}


@pytest.mark.parametrize("merge", ["on", "off"])
@pytest.mark.parametrize("name", LEGACY_DEVICES)
def test_legacy_pci(name, merge, large_site):
    """Devices with nothing but the legacy interface serve by each way to interrupt.

    covers: LEG-PCI-1 LEG-PCI-3 LEG-PCI-DETECT-2 LEG-PCI-VQ-1 LEG-VRING-1 LEG-NET-HDR-2
    covers: LEG-NET-FRAME-1
    """
    options, properties, patterns = LEGACY_DEVICES[name]
    with Guest(
        large_site.disk,
        nic=LEGACY + properties + f",mrg_rxbuf={merge}",
        disk_device=LEGACY + properties,
        **options,
    ) as guest:
        serve(guest, large_site)
        guest.require(
            r"1af4:1000 .*driven by virtio-net", r"1af4:1001 .*driven by virtio-blk", *patterns
        )
        assert len(re.findall(r"queues .*, legacy interface$", guest.log(), re.M)) == 2
        polled = "poll" in name
        assert all((count == 0) == polled for count in interrupts(guest)), guest.tail()
        guest.power_off()


# Registers of 32 bits that take all there is below 4 GiB, by megabytes.
FILLED = [
    word
    for size in (256, 256, 256, 128, 64, 32, 8, 4)
    for word in ("-device", f"secondary-vga,vgamem_mb={size},romfile=")
]
BEHIND = {
    "pc": ["-device", "pci-bridge,id=b1,chassis_nr=1", "-device", "pci-bridge,id=b2,chassis_nr=2"],
    "q35": ["-device", "pcie-root-port,id=b1,chassis=1", "-device", "pcie-root-port,id=b2,chassis=2"],
}


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_no_room_for_registers(machine, large_site):
    """Devices behind bridges whose BARs find no room below 4 GiB are driven through configuration
    space.

    covers: PCI-CFGACC-1 PCI-CFGACC-2
    """
    with Guest(
        large_site.disk,
        machine=machine,
        firmware=QBOOT,
        arguments_first=FILLED + BEHIND[machine],
        nic="disable-legacy=on,addr=1,bus=b1" if machine == "pc" else "disable-legacy=on,bus=b1",
        disk_device="disable-legacy=on,addr=1,bus=b2" if machine == "pc" else "bus=b2",
    ) as guest:
        serve(guest, large_site)
        lines = re.findall(r"BAR 4 cannot be mapped: going through configuration", guest.log())
        assert len(lines) == 2, guest.tail()
        assert all(interrupts(guest)), guest.tail()
        guest.power_off()


def register_places(guest):
    """The addresses of the modern interface of all virtio devices on bus 0, as QEMU has them."""
    devices = next(bus["devices"] for bus in guest.qmp("query-pci") if bus["bus"] == 0)
    virtio = [device for device in devices if device["id"]["vendor"] == 0x1AF4]
    return [r["address"] for device in virtio for r in device["regions"] if r["bar"] == 4]


# name: options of Guest. Why registers are placed high: because they are large, because there is no
# room below, or where the machine looks for them at the top of its addresses.
HIGH = {
    "large": dict(firmware=QBOOT, nic="page-per-vq=on", disk_device="page-per-vq=on"),
    "no-room-below": dict(firmware=QBOOT, arguments_first=FILLED),
    "microvm": dict(machine="microvm,pcie=on", nic="page-per-vq=on", disk_device="page-per-vq=on"),
}


@pytest.mark.parametrize("name", HIGH)
def test_registers_above_4_gib(name, site):
    """Where Ferrule has placed them; test_boot.py has firmware that does it."""
    with Guest(site.disk, **HIGH[name]) as guest:
        guest.wait_ready()
        check(guest, site)
        places = register_places(guest)
        assert len(places) == 2 and all(place >= 1 << 32 for place in places), places
        assert all(interrupts(guest)), guest.tail()
        assert not guest.find(r"going through configuration"), guest.tail()
        guest.power_off()


EXPANDERS = {
    "pc": [
        *("-device", "pxb,id=x1,bus_nr=0x40,bus=pci.0", "-device", "pxb,id=x2,bus_nr=0x80,bus=pci.0"),
    ],
    "q35": [
        *("-device", "pxb-pcie,id=r1,bus_nr=0x40,bus=pcie.0"),
        *("-device", "pxb-pcie,id=r2,bus_nr=0x80,bus=pcie.0"),
        *("-device", "pcie-root-port,id=x1,bus=r1,slot=1,chassis=1"),
        *("-device", "pcie-root-port,id=x2,bus=r2,slot=2,chassis=2"),
        *("-device", "pcie-root-port,id=x3,bus=pcie.0,slot=3,chassis=3"),
    ],
}


@pytest.mark.parametrize("firmware", [None, QBOOT])
@pytest.mark.parametrize("machine, irq", [("pc", "intx"), ("q35", "msix"), ("q35", "intx")])
def test_expander_bridges(machine, irq, firmware, site):
    """Devices behind two further root buses serve, numbered by firmware or not. INTx lines are known
    where the chipset is as QEMU's pc has it.
    """
    device = ",addr=1" if machine == "pc" else ""
    with Guest(
        site.disk,
        machine=machine,
        firmware=firmware,
        words=f"irq={irq}",
        arguments_first=EXPANDERS[machine],
        nic=f"bus=x1{device}",
        disk_device=f"bus=x2{device}",
    ) as guest:
        guest.wait_ready()
        check(guest, site)
        guest.require(
            r"pci: bus 40 is another root bus",
            r"pci: bus 80 is another root bus",
            r"pci 41:0\d\.0 .*driven by virtio-net",
            r"pci 81:0\d\.0 .*driven by virtio-blk",
        )
        if (machine, irq) != ("q35", "intx"):
            assert all(interrupts(guest)), guest.tail()
        assert not guest.find(r"line \d+ masked"), guest.tail()
        guest.power_off()


def test_legacy_disk_beside_modern_nic(large_site):
    """Each device is driven by the interface that it has."""
    with Guest(large_site.disk, disk_device=LEGACY + ",queue-size=1024") as guest:
        serve(guest, large_site)
        guest.require(
            r"virtio-net queues .*MSI-X$", r"virtio-blk queues blk requests 1024; MSI-X, legacy"
        )
        guest.power_off()


def test_legacy_link_change(site):
    """A configuration change of a legacy device is noticed.

    covers: LEG-CFG-1
    """
    with Guest(site.disk, nic=LEGACY, disk_device=LEGACY) as guest:
        guest.wait_ready()
        guest.qmp("set_link", name="net0", up=False)
        guest.wait_for(r"eth0: link down")
        guest.qmp("set_link", name="net0", up=True)
        guest.wait_for(r"eth0: link up", new=True)
        check(guest, site)
        guest.power_off()


def test_mmio_link_change(site):
    """And so is one of an MMIO device, with the line and without."""
    for words in ("", "irq=poll"):
        with Guest(machine="microvm", words=words, arguments=mmio_disk(site), **MMIO) as guest:
            guest.wait_ready()
            guest.qmp("set_link", name="net0", up=False)
            guest.wait_for(r"eth0: link down")
            guest.qmp("set_link", name="net0", up=True)
            guest.wait_for(r"eth0: link up", new=True)
            check(guest, site)
            guest.power_off()
