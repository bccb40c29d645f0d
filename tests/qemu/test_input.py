"""Keyboard, mouse and tablet over virtio-input: what they say they are, and every event, sent through QMP."""
import os
import time

import pytest

from ferrule import BUILD, Guest

KEYS = os.path.join(BUILD, "keys.elf")


def key(name, down):
    return {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": name}}}


def button(name, down):
    return {"type": "btn", "data": {"down": down, "button": name}}


def move(kind, axis, value):
    return {"type": kind, "data": {"axis": axis, "value": value}}


def app(*devices, **options):
    arguments = [word for device in devices for word in ("-device", device)]
    return Guest(kernel=KEYS, nic=None, arguments=arguments, **options)


def events(guest, device):
    """Events of one device so far: (type, code, value) without the ends of groups."""
    found = []
    for line in guest.log().split("\n")[:-1]:  # without one that is not whole yet
        words = line.split()
        if words[:3] == ["input", f"{device}:", "type"] and words[3] != "0":
            found.append((int(words[3]), int(words[5]), int(words[7])))
    return found


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


WAYS = {
    "q35": ("-pci", {}),
    "pc-intx": ("-pci", dict(machine="pc", words="irq=intx")),
    "poll": ("-pci", dict(words="irq=poll")),
    "packed": ("-pci,packed=on", {}),
    "microvm": ("-device", dict(machine="microvm")),
}


@pytest.mark.parametrize("name", WAYS)
def test_keyboard(name):
    """Every key arrives once, in order, and the light goes back.

    covers: INPUT-INIT-1 INPUT-INIT-2 INPUT-OP-1
    """
    kind, options = WAYS[name]
    model, _, more = kind.partition(",")
    with app(f"virtio-keyboard{model}" + (f",{more}" if more else ""), **options) as guest:
        guest.wait_for("listening")
        guest.require(
            r"input device QEMU Virtio Keyboard",
            r"input 0: 'QEMU Virtio Keyboard' serial '' bus 6 vendor 627 product 1 version 1",
            r"input 0: key A 1, button 0, wheel 0, light 1",
        )
        expected = []
        for _ in range(40):  # more events than the queue has room for, but no more at once:
            wait_until(lambda: len(events(guest, 0)) == len(expected))  # QEMU drops what finds none
            for name, code in (("a", 30), ("shift", 42), ("ret", 28)):
                for down in (True, False):
                    guest.qmp("input-send-event", events=[key(name, down)])
                    expected.append((1, code, int(down)))
        guest.qmp("input-send-event", events=[key("caps_lock", True)])
        guest.wait_for(r"light 1: 0")
        guest.qmp("input-send-event", events=[key("caps_lock", False)])
        guest.wait_for(r"lights: 1 sent, 1 taken")
        assert events(guest, 0) == expected + [(1, 58, 1), (1, 58, 0)]


def test_mouse_and_tablet():
    """Movements, buttons and positions come from the device that they belong to."""
    with app("virtio-mouse-pci", "virtio-tablet-pci,serial=T-1") as guest:
        guest.wait_for("listening")
        guest.require(
            r"input 0: 'QEMU Virtio Mouse' ",
            r"input 0: key A 0, button 1, wheel 1, light 0",
            r"input 1: 'QEMU Virtio Tablet' serial 'T-1'",
            r"input 1: axis 0 from 0 to 32767",
            r"input 1: axis 1 from 0 to 32767",
        )
        guest.qmp("input-send-event", events=[move("rel", "x", -7), move("rel", "y", 300)])
        guest.wait_for(r"input 0: type 2 code 1 value 300")
        guest.qmp("input-send-event", events=[move("abs", "x", 0), move("abs", "y", 32767)])
        guest.wait_for(r"input 1: type 3 code 1 value 32767")
        guest.qmp("input-send-event", events=[button("left", True), button("left", False)])
        guest.wait_for(r"input \d: type 1 code 272 value 0")
        assert events(guest, 0)[:2] == [(2, 0, -7), (2, 1, 300)]
        assert events(guest, 1)[:2] == [(3, 0, 0), (3, 1, 32767)]


def test_unplug():
    """A keyboard that is pulled out is said to the application; another works in its place."""
    native = ("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off")
    with app(
        "pcie-root-port,id=rp,chassis=1,slot=1",
        "virtio-keyboard-pci,id=first,bus=rp",
        arguments_first=native,
    ) as guest:
        guest.wait_for("listening")
        guest.qmp("device_del", id="first")
        guest.wait_for(r"input 'QEMU Virtio Keyboard' has left", 30)
        guest.wait_event("DEVICE_DELETED", 30)
        guest.qmp("device_add", driver="virtio-keyboard-pci", id="second", bus="rp")
        guest.wait_for(r"input device QEMU Virtio Keyboard", new=True)
        guest.qmp("input-send-event", events=[key("a", True)])
        guest.wait_for(r"input 0: type 1 code 30 value 1")
