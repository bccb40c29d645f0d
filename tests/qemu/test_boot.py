"""Every way to start the kernel: loaders, firmware, machines, CPUs and memory sizes. Each guest
serves files and powers off.
"""
import os
import re
import subprocess

import pytest

from ferrule import ISO, KERNEL, OVMF, QBOOT, TOP, Guest, text_of
from test_transports import register_places
from website import check

ROOT_PORT = ["-device", "pcie-root-port,id=port0,chassis=1,slot=1"]

# name: options of Guest, and what the console must show beside the files being served
LOADERS = {
    "pc-multiboot": (dict(machine="pc"), [r"booted by multiboot1"]),
    "q35-multiboot": (dict(machine="q35"), [r"booted by multiboot1"]),
    "pc-pvh": (dict(machine="pc", boot="pvh"), [r"booted by PVH"]),
    "q35-pvh": (dict(machine="q35", boot="pvh"), [r"booted by PVH"]),
    "pc-iso-bios": (dict(machine="pc", boot="iso"), [r"booted by multiboot2 \(GRUB"]),
    "q35-iso-bios": (dict(machine="q35", boot="iso"), [r"booted by multiboot2 \(GRUB"]),
    "pc-qboot": (dict(machine="pc", firmware=QBOOT), []),
    "q35-qboot": (dict(machine="q35", firmware=QBOOT), []),
    "q35-qboot-pvh": (dict(machine="q35", firmware=QBOOT, boot="pvh"), [r"booted by PVH"]),
    "q35-qboot-root-port": (
        dict(machine="q35", firmware=QBOOT, arguments_first=ROOT_PORT, nic="bus=port0"),
        [],
    ),
}


@pytest.mark.parametrize("name", LOADERS)
def test_loader(name, site):
    """The kernel boots by each loader and firmware, finds its devices and serves; with qboot it
    places the BARs itself.

    covers: PCI-DISC-1 PCI-DISC-2 INIT-1 INIT-10
    """
    options, patterns = LOADERS[name]
    with Guest(site.disk, **options) as guest:
        guest.wait_ready()
        guest.require(*patterns)
        check(guest, site)
        guest.power_off()


def make_iso(path, entry):
    subprocess.run(
        [os.path.join(TOP, "tools", "mkiso"), KERNEL, str(path)],
        check=True,
        timeout=60,
        env=dict(os.environ, ENTRY=entry),
        stdin=subprocess.DEVNULL,
    )
    return str(path)


def test_iso_multiboot1_bios(site, tmp_path):
    """GRUB's multiboot1 loader takes the same file."""
    with Guest(site.disk, boot="iso", iso=make_iso(tmp_path / "one.iso", "multiboot")) as guest:
        guest.wait_ready()
        guest.require(r"booted by multiboot1 \(GRUB")
        check(guest, site)


UEFI = {
    "q35-multiboot2": ("q35", "multiboot2"),
    "q35-multiboot1": ("q35", "multiboot"),
    "pc-multiboot2": ("pc", "multiboot2"),
}


@pytest.mark.parametrize("name", UEFI)
def test_uefi(name, site, tmp_path):
    """By GRUB on UEFI firmware, which places 64-bit BARs far above 4 GiB."""
    machine, entry = UEFI[name]
    iso = ISO if entry == "multiboot2" else make_iso(tmp_path / "uefi.iso", entry)
    with Guest(
        site.disk, machine=machine, memory="256M", firmware=OVMF, boot="iso", iso=iso
    ) as guest:
        guest.wait_ready(timeout_s=60)
        guest.require(
            rf"booted by {'multiboot2' if entry == 'multiboot2' else 'multiboot1'} \(GRUB"
        )
        check(guest, site)
        placed = register_places(guest)
        assert placed and all(address >= 1 << 32 for address in placed), placed
        guest.power_off()


@pytest.mark.parametrize("memory", ["16M", "32M", "1G", "3500M", "5G"])
def test_memory(memory, site):
    """From 16 MiB to more than 4 GiB; the log states what there is, all but what firmware keeps."""
    with Guest(site.disk, memory=memory) as guest:
        guest.wait_ready()
        check(guest, site)
        mib = int(text_of(guest.wait_for(r"booted by .*, (\d+) MiB of memory")))
        wanted = int(memory[:-1]) * (1024 if memory.endswith("G") else 1)
        assert wanted - 2 <= mib <= wanted
        guest.power_off()


CPUS = [
    "qemu64",
    "Nehalem",
    "max",
    "max,-nx",
    "max,-pdpe1gb",
    "max,-rdrand,-rdseed",
    "max,-sse4.1,-erms",
    "max,+la57",
]


@pytest.mark.parametrize("cpu", CPUS)
def test_cpu(cpu, site):
    """From the oldest 64-bit model to all that the emulator knows, and without what may be missing.
    """
    with Guest(site.disk, cpu=cpu) as guest:
        guest.wait_ready()
        check(guest, site)
        guest.power_off()


def test_cpu_without_64_bits():
    """A CPU that cannot run the kernel is told so on the console instead of a silent restart."""
    with Guest(cpu="qemu32", nic=None) as guest:
        guest.wait_for("this CPU has no 64-bit mode")


def test_memory_that_does_not_hold_the_kernel():
    """So does a machine whose memory ends within the kernel, where nothing that needs a stack can run."""
    with Guest(memory="2M", nic=None) as guest:
        guest.wait_for("less memory than the kernel takes up")


def test_hardly_any_memory(site):
    """What the kernel leaves of 3 MiB is enough to serve."""
    with Guest(site.disk, memory="3M") as guest:
        guest.wait_ready()
        check(guest, site)
        guest.power_off()


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_cpu_without_apic(machine, site):
    """Without a local APIC no interrupt arrives: the log says that all is polled, and it serves."""
    with Guest(site.disk, machine=machine, cpu="max,-apic") as guest:
        guest.wait_ready()
        guest.require(r"no local APIC, devices are polled")
        check(guest, site)
        guest.power_off()


# Processors, timers and interrupt controllers. name: options of Guest
HARDWARE = {
    "four-processors": dict(arguments=["-smp", "4"]),
    "two-nodes": dict(
        memory="256M",
        arguments=[
            "-smp",
            "2",
            "-object",
            "memory-backend-ram,id=a,size=128M",
            "-object",
            "memory-backend-ram,id=b,size=128M",
            "-numa",
            "node,memdev=a",
            "-numa",
            "node,memdev=b",
        ],
    ),
    "no-pit": dict(machine="pc,pit=off"),
    "no-pic-no-pit": dict(machine="q35,pic=off,pit=off"),
    "iommu": dict(machine="q35,kernel-irqchip=split", arguments_first=["-device", "intel-iommu"]),
    "instruction-counting": dict(arguments=["-icount", "shift=0,sleep=off"]),
}


@pytest.mark.parametrize("name", HARDWARE)
def test_hardware(name, site):
    """More processors than are used, fewer timers and controllers than usual."""
    with Guest(site.disk, **HARDWARE[name]) as guest:
        guest.wait_ready()
        check(guest, site)
        guest.power_off()


def test_machine_without_pci():
    """A PC from before PCI and ACPI boots, says what is missing, and ends by command."""
    with Guest(machine="isapc", nic=None) as guest:
        guest.wait_started()
        guest.require(r"pci: none", r"acpi: no tables")
        guest.type("poweroff")
        assert guest.wait_exit() == 0


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_no_uart(machine, site):
    """Without a serial port there is no log, but it serves, and the power button ends it."""
    with Guest(site.disk, machine=machine, serial=False) as guest:
        guest.wait_http()
        check(guest, site)
        guest.qmp("system_powerdown")
        assert guest.wait_exit() == 0


def test_microvm_without_pci():
    """A machine without PCI boots, says what is missing, and stays there until it is told to end.
    """
    with Guest(machine="microvm", nic=None) as guest:
        guest.wait_started()
        guest.require(r"pci: none", r"no network device", r"no disk")
        guest.type("poweroff")
        assert guest.wait_exit() == 0


def test_microvm_with_pcie(site):
    """microvm's PCI has no ports, only ECAM, and no firmware that places BARs."""
    with Guest(site.disk, machine="microvm,pcie=on,acpi=on", nic_kind="virtio-net-pci") as guest:
        guest.wait_ready()
        check(guest, site)
        guest.type("poweroff")
        assert guest.wait_exit() == 0


def test_microvm_without_rtc():
    """Without a clock chip the log says that there is no wall clock, and all goes on."""
    with Guest(machine="microvm,rtc=off", nic=None) as guest:
        guest.wait_started()
        guest.require(r"no wall clock")


@pytest.mark.parametrize(
    "machine", ["pc,hpet=off", "q35,hpet=off,smm=off", "pc,usb=off,acpi=off", "q35,acpi=off"]
)
def test_reduced_machines(machine, site):
    """Without HPET, SMM or ACPI the kernel still serves and can be switched off."""
    with Guest(site.disk, machine=machine) as guest:
        guest.wait_ready()
        check(guest, site)
        guest.type("poweroff")
        assert guest.wait_exit() == 0


def test_command_line_is_cut(site):
    """A command line of 64 KiB boots all the same; what does not fit is cut and said so."""
    with Guest(site.disk, words="word " * 13000) as guest:
        guest.wait_ready()
        guest.require(r"command line is longer than \d+ bytes and was cut")


def test_unknown_words_are_named():
    """Bad values of kernel words are named, with what would be right, and defaults used."""
    with Guest(words="loglevel=loud irq=maybe crash=never port=99999 ip=1.2.3") as guest:
        guest.wait_ready()
        guest.require(
            r"loglevel=loud: not one of",
            r"irq=maybe: not one of",
            r"crash=never: no such crash",
            r"port=99999 is not a port",
            r"eth0: .*1\.2\.3",
        )


def test_log_is_plain():
    """The boot log is lines with a time that never goes back, and without any error in the usual
    case.
    """
    with Guest() as guest:
        guest.wait_ready()
        log = guest.log()
        times = [float(value) for value in re.findall(r"^\[ *(\d+\.\d{6})\] ", log, re.M)]
        assert len(times) > 5
        assert times == sorted(times)
        assert not re.search(r"error|panic|broken|cannot", log, re.I), guest.tail()
