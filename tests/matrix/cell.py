"""One cell of the matrix: its guest, and what it must have negotiated and carried.

A cell passes when the boot log reports what was meant on every device, files come over HTTP with the right bytes, a
scratch disk is filled and verified by the guest, and its image, looked at from outside, holds just that.
"""
import os
import re
import struct
import subprocess
import time

from cells import is_legacy, is_mmio, name_of
from ferrule import ISO, KERNEL, OVMF, TOP, Guest, drive
from website import check

FILES = ("index.html", "sizes/513.bin", "sizes/65537.bin")
SECTOR_SIZE = 512
SCRATCH_SIZE = 1 << 20
BOOT_TIMEOUT_S = 120
LOAD_TIMEOUT_S = 60
INTERRUPT_ROUNDS = 8
IDLE_S = 0.2

FEATURES = {"event_idx": 29, "indirect": 28, "packed": 34, "in_order": 35, "version_1": 32}
MRG_RXBUF = 15
BOOTED_BY = {
    "multiboot": r"booted by multiboot1 \(qemu",
    "pvh": r"booted by PVH",
    "grub-bios": r"booted by multiboot2 \(GRUB",
    "grub-uefi": r"booted by multiboot2 \(GRUB",
}
PCI_PROPERTIES = {
    "modern": "disable-legacy=on,disable-modern=off",
    "transitional": "disable-legacy=off,disable-modern=off",
    "legacy": "disable-legacy=off,disable-modern=on",
}
# The PCI device ids of NIC and disk (4.1.2).
PCI_IDS = {"modern": ("1041", "1042"), "transitional": ("1000", "1001"), "legacy": ("1000", "1001")}


class CellError(AssertionError):
    """The guest works, but in another way than was meant."""


def offers_in_order():
    """Whether the emulator knows the property at all."""
    listed = subprocess.run(
        [os.environ.get("QEMU", "qemu-system-x86_64"), "-device", "virtio-net-pci,help"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=True,
    )
    return b"in_order" in listed.stdout



def make_isos(folder):
    """One boot image for each kernel command line, since GRUB has it inside."""
    isos = {}
    for irq in ("intx", "poll"):
        isos[irq] = os.path.join(folder, f"{irq}.iso")
        command = [os.path.join(TOP, "tools", "mkiso"), KERNEL, isos[irq], f"irq={irq}"]
        subprocess.run(command, stdin=subprocess.DEVNULL, timeout=120, check=True)
    # The best way to be notified is what a kernel without words takes.
    isos["msix"] = ISO
    return isos


def properties_of(cell, in_order):
    values = {"event_idx": cell.event_idx, "indirect_desc": cell.indirect}
    values["packed"] = "on" if cell.ring == "packed" else "off"
    if in_order:
        values["in_order"] = cell.in_order
    text = ",".join(f"{name}={value}" for name, value in values.items())
    return text if is_mmio(cell) else f"{text},{PCI_PROPERTIES[cell.transport]}"


def start(cell, disk, scratch, isos, in_order):
    """A guest as the cell means it: a NIC, the disk with files, and the scratch disk."""
    common = properties_of(cell, in_order)
    bus = "device" if is_mmio(cell) else "pci"
    arguments = drive(
        scratch, "cache=unsafe", common, name="scratch", kind=f"virtio-blk-{bus}"
    )
    machine = cell.machine
    if is_mmio(cell):
        arguments += ["-global", f"virtio-mmio.force-legacy={'on' if is_legacy(cell) else 'off'}"]
    elif machine == "microvm":
        machine += ",pcie=on"
    options = dict(boot=cell.boot, words=f"irq={cell.irq}")
    if cell.boot.startswith("grub"):
        options = dict(boot="iso", iso=isos[cell.irq])
    if cell.boot == "grub-uefi":
        options["firmware"] = OVMF
    return Guest(
        machine=machine,
        memory="256M" if cell.boot == "grub-uefi" else "64M",
        nic=f"{common},mrg_rxbuf={cell.mrg_rxbuf}",
        nic_kind=f"virtio-net-{bus}",
        arguments=drive(disk, device=common, kind=f"virtio-blk-{bus}") + arguments,
        **options,
    )


def reports(guest):
    """The fields of the boot log's lines for programs (docs/ARCHITECTURE.md), one for each device."""
    lines = re.findall(r"\] virtio-report: (.*)$", guest.log(), re.M)
    return [dict(word.split("=", 1) for word in line.split()) for line in lines]


def expected_features(cell):
    """Feature bit -> whether it must be both offered and accepted, or neither."""
    on = {name: getattr(cell, name) == "on" for name in ("event_idx", "indirect", "in_order")}
    on["packed"] = cell.ring == "packed"
    on["version_1"] = not is_legacy(cell)
    return {FEATURES[name]: value for name, value in on.items()}


def expected_fields(cell):
    """The report's fields, and how the place begins at which a queue interrupts."""
    notified = {"msix": "vec", "intx": "line", "poll": "poll"}[cell.irq]
    transport = ("mmio" if is_mmio(cell) else "pci") + ("-legacy" if is_legacy(cell) else "-modern")
    return {"transport": transport, "irq": cell.irq, "state": "running", "recoveries": "0"}, notified


def require(holds, text, guest):
    if not holds:
        raise CellError(f"{text}\n{guest.tail()}")


def check_boot(cell, guest):
    """How the kernel came up, and by which kind of device it found what it drives."""
    log = guest.log()
    require(re.search(BOOTED_BY[cell.boot], log), f"not {BOOTED_BY[cell.boot]}", guest)
    if is_mmio(cell):
        version = cell.transport[-1]
        lines = [rf"mmio \w+: virtio device, version {version}, type {kind}: driven" for kind in (1, 2)]
    else:
        lines = [rf"1af4:{number} .*driven by" for number in PCI_IDS[cell.transport]]
    for line in lines:
        require(re.search(line, log), f"no line {line}", guest)


def check_negotiated(cell, guest):
    """What the cell means, and nothing else, was offered and accepted."""
    devices = reports(guest)
    require(sorted(device["type"] for device in devices) == ["blk", "blk", "net"], "not three devices", guest)
    fields, notified = expected_fields(cell)
    for device in devices:
        name = f"{device['type']} {device['device']}"
        for field, value in fields.items():
            require(device[field] == value, f"{name}: {field} is {device[field]}, not {value}", guest)
        bits = expected_features(cell)
        if device["type"] == "net":
            bits[MRG_RXBUF] = cell.mrg_rxbuf == "on"
        for mask in ("offered", "accepted"):
            for bit, value in bits.items():
                found = bool(int(device[mask], 16) >> bit & 1)
                require(found == value, f"{name}: feature {bit} {mask}: {found}, not {value}", guest)
        for queue in device["queues"].split(","):
            how = queue.split(":")[3]
            require(how.startswith((notified, "none")), f"{name}: queue {queue} is not by {notified}", guest)


def check_scratch(path):
    """Every sector holds its number at both ends, written by the guest's `blk fill`."""
    with open(path, "rb") as file:
        image = file.read()
    assert len(image) == SCRATCH_SIZE
    for sector in range(SCRATCH_SIZE // SECTOR_SIZE):
        data = image[sector * SECTOR_SIZE : (sector + 1) * SECTOR_SIZE]
        number = struct.pack("<Q", sector)
        if data[:8] != number or data[-8:] != number:
            raise CellError(f"sector {sector} of the scratch disk is not what the guest wrote")


def counters(guest):
    """(device, queue) -> the fields of its line of counters, for those that the driver sleeps on."""
    text = guest.command_output("virtio", r"loop-report: .*\n")
    lines = [dict(word.split("=", 1) for word in line.split()) for line in re.findall(r"virtio-queue: (.*)", text)]
    return {(line["device"], line["name"]): line for line in lines if line["name"] in ("net_rx", "blk_requests")}


def load(guest, line):
    guest.type(f"blk {line}")
    answer = guest.wait_for(r"(ok n=|error: ).*\n", LOAD_TIMEOUT_S, new=True).group(0).decode()
    require(answer.startswith("ok"), f"blk {line}: {answer}", guest)


def check_interrupts(cell, guest, site):
    """Queues that are slept on are interrupted, none is when all are polled. A device that is always
    done before its driver goes to sleep has no reason to interrupt, so it gets several chances.
    """
    for _ in range(INTERRUPT_ROUNDS):
        lines = counters(guest)
        require(len(lines) == 3, "not three queues with counters", guest)
        for name, line in lines.items():
            require(line["broken"] == line["bad"] == "0", f"{name} met something bad", guest)
        silent = [name for name, line in lines.items() if line["interrupts"] == "0"]
        if cell.irq == "poll" or not silent:
            break
        time.sleep(IDLE_S)
        check(guest, site, FILES[:1])
        for disk in ("vda", "vdb"):
            load(guest, f"randread 4k 1 32 {disk}")
    expected = lines.keys() if cell.irq == "poll" else []
    require(sorted(silent) == sorted(expected), f"not interrupted: {silent}", guest)


def run_cell(cell, site, isos, folder, in_order):
    """Passes or raises. folder: for the scratch disk, which goes again."""
    scratch = os.path.join(folder, name_of(cell) + ".img")
    with open(scratch, "wb") as file:
        file.write(b"\xff" * SCRATCH_SIZE)
    try:
        with start(cell, site.disk, scratch, isos, in_order) as guest:
            guest.wait_ready(BOOT_TIMEOUT_S)
            check_boot(cell, guest)
            check_negotiated(cell, guest)
            check(guest, site, FILES)
            load(guest, f"fill 64k 8 {SCRATCH_SIZE >> 16} vdb")
            load(guest, f"verify 4k 16 {SCRATCH_SIZE >> 12} vdb")
            check_interrupts(cell, guest, site)
            guest.power_off()
        check_scratch(scratch)
    finally:
        os.remove(scratch)
