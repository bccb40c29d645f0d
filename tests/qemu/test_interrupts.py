"""How devices tell the driver that there is work: MSI-X, a shared line, or not at all."""
import re

import pytest

from ferrule import Guest, drive
from website import check

COUNTERS = (
    r"^(?:\[[ .0-9]*\] )?(.*): added \d+ .* "
    r"notified (\d+) suppressed \d+ interrupts (\d+) .*bad (\d+)"
)


def counters(guest):
    """The console's `virtio`: name of each queue -> (notifications sent, interrupts taken); none
    may be bad.
    """
    text = guest.command_output("virtio", r"blk.*: driver: avail")
    found = {
        name: (int(notified), int(interrupts))
        for name, notified, interrupts, bad in re.findall(COUNTERS, text, re.M)
    }
    assert found, text
    assert all(bad == "0" for *_, bad in re.findall(COUNTERS, text, re.M)), text
    return found


def interrupts(guest):
    return {name: taken for name, (_, taken) in counters(guest).items()}


def serve_twice(guest, site):
    """Work with pauses between, so that the guest sleeps and has to be woken."""
    guest.wait_ready()
    check(guest, site)
    check(guest, site, ["sizes/65536.bin", "many/file 001.txt"])


@pytest.mark.parametrize("machine", ["pc", "q35"])
@pytest.mark.parametrize("mode", ["msix", "intx", "poll"])
def test_mode(mode, machine, site):
    """irq= sets the best kind of interrupt that may be used; the counters show that it was.

    covers: PCI-MSIX-2 PCI-T-ISR-1 SPLIT-INTR-5
    """
    with Guest(site.disk, machine=machine, words=f"irq={mode}") as guest:
        serve_twice(guest, site)
        guest.require(
            {"msix": r"queues.*; MSI-X", "intx": r"queues.*; INTx", "poll": r"queues.*; poll"}[mode]
        )
        taken = interrupts(guest)
        receive = next(count for name, count in taken.items() if "rx" in name)
        if mode == "poll":
            assert not any(taken.values()), taken
        else:
            assert receive > 0, taken
        guest.power_off()


VECTORS = {
    "none": (0, "INTx"),
    "one": (1, "MSI-X"),
    "two": (2, "MSI-X"),
    "three": (3, "MSI-X"),
    "many": (64, "MSI-X"),
}


@pytest.mark.parametrize("name", VECTORS)
def test_vectors(name, site):
    """Any number of MSI-X vectors: none (INTx), one for all, a shared one for the queues, one each,
    more than needed.

    covers: PCI-MSIX-1 PCI-MSIX-2 PCI-MSIX-3 PCI-MSIX-4 PCI-CFGINT-1
    """
    vectors, kind = VECTORS[name]
    with Guest(site.disk, nic=f"vectors={vectors}", disk_device=f"vectors={vectors}") as guest:
        serve_twice(guest, site)
        assert len(re.findall(rf"queues.*; {kind}", guest.log())) == 2, guest.tail()
        assert any(interrupts(guest).values())
        guest.power_off()


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_shared_line(machine, site):
    """Ten devices share four lines, and every driver sees its own interrupts."""
    devices = []
    for index in range(1, 5):
        devices += drive(site.disk, device="vectors=0", name=f"disk{index}")
        devices += [
            "-netdev",
            f"user,id=net{index},net=10.{index}.0.0/24",
            "-device",
            f"virtio-net-pci,netdev=net{index},romfile=,vectors=0",
        ]
    with Guest(
        site.disk, machine=machine, nic="vectors=0", disk_device="vectors=0", arguments=devices
    ) as guest:
        serve_twice(guest, site)
        for index in range(1, 5):
            guest.wait_for(rf"eth\d: 10\.{index}\.0\.15/24")
        assert not guest.find(r"line \d+ masked"), guest.tail()
        guest.power_off()


def test_line_behind_bridges(site):
    """INTx through a root port and a bridge takes the right line."""
    bridges = [
        "-device",
        "pcie-root-port,id=port0,chassis=1,slot=1",
        "-device",
        "pcie-pci-bridge,id=bridge0,bus=port0",
    ]
    with Guest(
        site.disk,
        words="irq=intx",
        arguments_first=bridges,
        nic="bus=bridge0,addr=3",
        disk_device="bus=bridge0,addr=6",
    ) as guest:
        serve_twice(guest, site)
        guest.require(r"queues.*; INTx")
        assert any(interrupts(guest).values())
        guest.power_off()


def test_idle_guest_sleeps(site):
    """A guest with nothing to do takes next to no processor time."""
    with Guest(site.disk) as guest:
        serve_twice(guest, site)

        def cpu_ticks():
            with open(f"/proc/{guest.process.pid}/stat", encoding="ascii") as file:
                fields = file.read().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12])

        guest.command_output("mem", "KiB free")
        start = cpu_ticks()
        with pytest.raises(AssertionError):
            guest.wait_for("nothing comes for two seconds", timeout_s=2)
        used = cpu_ticks() - start
        assert used < 60, f"{used} ticks of 200 while idle"


def test_link_change_is_heard_by_line(site):
    """A configuration change comes by INTx as well.

    covers: PCI-T-ISR-1 NET-CFG-6
    """
    with Guest(site.disk, words="irq=intx") as guest:
        guest.wait_ready()
        guest.qmp("set_link", name="net0", up=False)
        guest.wait_for(r"eth0: link down")
        guest.qmp("set_link", name="net0", up=True)
        guest.wait_for(r"eth0: link up", new=True)
        check(guest, site)
