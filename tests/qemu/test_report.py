"""What the guest says about its devices in lines for programs (docs/ARCHITECTURE.md): the
negotiation report at boot and by command, the counters of each queue, and what they prove.
"""
import re
import time

import pytest

from ferrule import Guest
from website import check

FEATURE_BITS = {"EVENT_IDX": 29, "INDIRECT_DESC": 28, "VERSION_1": 32, "RING_PACKED": 34, "CTRL_VQ": 17}


def fields(line):
    return dict(word.split("=", 1) for word in line.split()[1:])


def lines(text, kind):
    """The fields of each line of a kind, in order."""
    return [fields(match.group(1)) for match in re.finditer(rf"\] ({kind}: .*)$", text, re.M)]


def report(guest):
    """What `virtio` at the console prints: devices by type, queues by name, the loop's counters."""
    text = guest.command_output("virtio", r"loop-report: .*\n")
    queues = {line["name"]: line for line in lines(text, "virtio-queue")}
    return {line["type"]: line for line in lines(text, "virtio-report")}, queues, lines(text, "loop-report")[0]


def has(mask, name):
    return int(mask, 16) >> FEATURE_BITS[name] & 1


def test_report(site):
    """Offered, accepted, refused and why, queues, vectors; and the reason for what is not driven."""
    arguments = ["-device", "virtio-gpu-pci"]
    with Guest(site.disk, nic="event_idx=off,packed=on,guest_rsc_ext=on", arguments=arguments) as guest:
        guest.wait_ready()
        at_boot = {line["type"]: line for line in lines(guest.log(), "virtio-report")}
        devices, queues, _ = report(guest)
        assert devices == at_boot
        net, blk, gpu = devices["net"], devices["blk"], devices["gpu"]
        assert net["state"] == blk["state"] == "running"
        assert net["transport"] == blk["transport"] == "pci-modern" and net["irq"] == "msix"
        for name, offered, accepted in (
            ("EVENT_IDX", 0, 0), ("RING_PACKED", 1, 1), ("VERSION_1", 1, 1), ("INDIRECT_DESC", 1, 1)
        ):
            assert (has(net["offered"], name), has(net["accepted"], name)) == (offered, accepted), name
        assert has(blk["accepted"], "EVENT_IDX") and not has(blk["accepted"], "RING_PACKED")
        assert not int(net["accepted"], 16) & ~int(net["offered"], 16)
        refused = dict(item.split(":", 1) for item in net["refused"].split(","))
        assert "RSC_EXT" in refused and all(refused.values())
        names, vectors = set(), set()
        for queue in (net["queues"] + "," + blk["queues"]).split(","):
            name, _, size, vector = queue.split(":")
            assert queues[name]["size"] == size
            names.add(name)
            if name != "net_control":
                vectors.add(vector)
        assert names == set(queues) and all(vector.startswith("vec") for vector in vectors)
        assert (gpu["driver"], gpu["state"]) == ("none", "off") and "no_driver" in gpu["reason"]
        guest.power_off()


TRANSPORTS = {
    "pci-legacy": (dict(nic="disable-modern=on,disable-legacy=off"), "vec"),
    "mmio-legacy": (dict(machine="microvm", nic_kind="virtio-net-device"), "line"),
    "mmio-modern": (
        dict(
            machine="microvm",
            nic_kind="virtio-net-device",
            arguments=["-global", "virtio-mmio.force-legacy=off"],
        ),
        "line",
    ),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_report_of_other_transports(transport):
    """The report names the transport, and by what the queues interrupt."""
    options, interrupt = TRANSPORTS[transport]
    with Guest(**options) as guest:
        guest.wait_for(r"virtio-report: .*type=net .*\n")
        net = {line["type"]: line for line in lines(guest.log(), "virtio-report")}["net"]
        assert (net["transport"], net["state"]) == (transport, "running")
        data = [queue for queue in net["queues"].split(",") if not queue.startswith("net_control:")]
        assert len(data) == 2 and all(f":{interrupt}" in queue for queue in data)


def test_polling_under_load_and_halting_when_idle(large_site):
    """While work flows the queues are polled, with few interrupts; without, nothing comes.

    covers: SPLIT-INTR-5
    """
    with Guest(large_site.disk) as guest:
        guest.wait_ready()
        check(guest, large_site, ["large/20mb.bin"])
        _, before, _ = report(guest)
        check(guest, large_site, ["large/20mb.bin"])
        _, after, _ = report(guest)

        def grown(name, counter):
            return int(after[name][counter]) - int(before[name][counter])

        frames = grown("net_tx", "used") + grown("net_rx", "used")
        interrupts = grown("net_tx", "interrupts") + grown("net_rx", "interrupts")
        assert frames > 5000 and interrupts < frames / 2, (frames, interrupts)
        assert grown("net_tx", "interrupts") < grown("net_tx", "used") / 10
        # A look takes a row of buffers.
        assert grown("net_rx", "polls") > grown("net_rx", "interrupts")
        assert all(queue["bad"] == queue["broken"] == "0" for queue in after.values())

        _, before, loop = report(guest)
        time.sleep(5)
        _, after, later = report(guest)
        for name in after:
            # A stray broadcast of the user network must not fail this.
            assert grown(name, "interrupts") <= 5, name
        assert int(later["halts"]) > int(loop["halts"])
        guest.power_off()


@pytest.mark.parametrize("queue", [0, 1])
def test_a_broken_queue_is_mended_alone(queue, site):
    """QEMU resets one queue of the NIC; the other and the disk go on, and so does the web server.

    covers: CORE-QRESET-1 CORE-QREENABLE-1 PCI-COMMON-7 PCI-COMMON-8
    """
    with Guest(site.disk) as guest:
        guest.wait_ready()
        for _ in range(3):
            guest.type(f"virtio break 0 {queue}")
            guest.wait_for(r"resetting only net (rx|tx)", new=True)
            check(guest, site)
        devices, queues, _ = report(guest)
        assert devices["net"]["recoveries"] == "3" and devices["net"]["state"] == "running"
        assert all(line["broken"] == "0" for line in queues.values())
        guest.power_off()


def test_a_broken_disk_queue_is_mended(site):
    """QEMU's disk goes on writing after the reset of its queue, so the driver resets the device."""
    with Guest(site.disk) as guest:
        guest.wait_ready()
        guest.type("virtio break 1 0")
        guest.wait_for(r"virtio-blk: running again", new=True)
        check(guest, site)
        guest.power_off()
