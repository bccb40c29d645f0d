"""Streams between guest and host over QEMU's vhost-user-vsock, with the daemon of vsock_daemon.py behind it: data both ways,
refusals, half closes, and a daemon that dies.
"""
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from ferrule import BUILD, TOP, Guest
from virtiofs import shared_memory

CID = 1234567
ECHO, DISCARD, CHARGEN = 7, 9, 19
TIMEOUT_S = 30
BULK = random.Random(11).randbytes(1 << 20)


class Daemon:
    """The daemon, as a context manager."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="ferrule-vsock-")
        self.path = os.path.join(self._folder.name, "device")
        self.bridge = os.path.join(self._folder.name, "bridge")
        program = os.path.join(TOP, "tests", "qemu", "vsock_daemon.py")
        self.log = open(os.path.join(self._folder.name, "log"), "w+b")
        self.process = subprocess.Popen(
            [sys.executable, program, self.path, self.bridge, str(CID)], stderr=self.log
        )
        deadline = time.monotonic() + TIMEOUT_S
        while not os.path.exists(self.bridge):
            assert self.process.poll() is None and time.monotonic() < deadline, self.complaints()
            time.sleep(0.02)

    def complaints(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def kill(self):
        self.process.kill()
        self.process.wait(TIMEOUT_S)

    def __enter__(self):
        return self

    def __exit__(self, kind, *exception):
        if self.process.poll() is None:
            self.kill()
        if kind is not None:
            print(self.complaints())
        self.log.close()
        self._folder.cleanup()

    def listen(self, port, kind=socket.SOCK_STREAM):
        listener = socket.socket(socket.AF_UNIX, kind)
        listener.bind(f"{self.bridge}_{port}")
        listener.listen(8)
        listener.settimeout(TIMEOUT_S)
        return listener

    def connect(self, port):
        """A stream to a port of the guest, or None when it is refused."""
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(TIMEOUT_S)
        stream.connect(self.bridge)
        stream.sendall(b"CONNECT %d\n" % port)
        line = b""
        while not line.endswith(b"\n"):
            data = stream.recv(1)
            if not data:
                stream.close()
                return None
            line += data
        assert line.startswith(b"OK ")
        return stream


def vsock_guest(daemon, words="", machine="q35", kind="vhost-user-vsock-pci", device="", more=(), **options):
    machine, memory = shared_memory(machine)
    return Guest(
        machine=machine,
        nic=None,
        words=words,
        arguments=[
            *memory,
            *more,
            *("-chardev", f"socket,id=vsock,path={daemon.path}"),
            *("-device", f"{kind},id=card,chardev=vsock" + (f",{device}" if device else "")),
        ],
        **options,
    )


def read_all(stream):
    data = bytearray()
    while piece := stream.recv(65536):
        data += piece
    return bytes(data)


def echoed(stream, data):
    """What comes back until the end, when this is sent and the stream shut."""

    def send():
        stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    back = read_all(stream)
    thread.join(TIMEOUT_S)
    return back


SLOT = [
    *("-device", "pcie-root-port,id=slot1,slot=1"),
    *("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"),
]

# machine, device, properties, kernel words
WAYS = {
    "q35": ("q35", "vhost-user-vsock-pci", "", ""),
    "pc-line": ("pc", "vhost-user-vsock-pci", "vectors=0", ""),
    "microvm-polled": ("microvm", "vhost-user-vsock-device", "", "irq=poll"),
}


@pytest.mark.parametrize("name", WAYS)
def test_services(name):
    """The small services, without a NIC: a megabyte there and back, a half close, a refusal."""
    machine, kind, device, words = WAYS[name]
    with Daemon() as daemon, vsock_guest(
        daemon, f"services=echo,discard,chargen {words}", machine, kind, device
    ) as guest:
        guest.wait_for(r"services: chargen on port 19")
        with daemon.connect(ECHO) as stream:
            assert echoed(stream, BULK) == BULK
        with daemon.connect(DISCARD) as stream:
            assert echoed(stream, BULK) == b""
        with daemon.connect(CHARGEN) as stream:
            data = b""
            while len(data) < 300000:
                data += stream.recv(65536)
        lines = data.split(b"\r\n")
        assert lines[1] == lines[96] and all(len(line) == 72 for line in lines[:-1])
        assert daemon.connect(12345) is None
        streams = [daemon.connect(ECHO) for _ in range(60)]
        for i, stream in enumerate(streams):
            stream.sendall(b"%d" % i)
        for i, stream in enumerate(streams):
            assert stream.recv(10) == b"%d" % i
            stream.close()
        report = guest.command_output("vsock", r"vsock-report: .* lost=\d+\r")
        assert f" cid={CID} " in report and " bad=0 " in report and " lost=0" in report
        guest.power_off()


def serve_echo(listener):
    """Echoes on every connection, and shuts it when the other side did."""

    def echo(stream):
        with stream:
            while data := stream.recv(65536):  # a message is not longer
                stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)

    def accept():
        try:
            while True:
                stream = listener.accept()[0]
                stream.settimeout(TIMEOUT_S)
                threading.Thread(target=echo, args=[stream], daemon=True).start()
        except OSError:
            pass

    threading.Thread(target=accept, daemon=True).start()


def test_sockets():
    """AF_VSOCK as a program has it: tests/qemu/apps/vsock.c connects, is refused, talks, and serves."""
    kernel = os.path.join(BUILD, "vsock.elf")
    with Daemon() as daemon, daemon.listen(5000) as listener:
        serve_echo(listener)
        serve_echo(daemon.listen(5002, socket.SOCK_SEQPACKET))
        with vsock_guest(daemon, kernel=kernel) as guest:
            guest.wait_for(rf"vsock: this is CID {CID}\b")
            guest.wait_for(r"vsock: serving", TIMEOUT_S)
            assert not guest.find("failed: "), guest.tail()
            streams = [daemon.connect(1234) for _ in range(4)]
            for stream in streams:
                assert echoed(stream, BULK[:200000]) == BULK[:200000]
            with daemon.connect(1234) as stream:
                stream.sendall(b"quit")
                assert read_all(stream) == b"bye"  # the last words of a machine arrive
                assert guest.wait_exit() == 0, guest.tail()
        guest.require(r"vsock: \d+ checks, 0 failed$")


def test_the_daemon_dies():
    """QEMU's device stays without a daemon for good. Its card taken out ends what it had, and a new one brings all back."""
    with Daemon() as daemon, daemon.listen(5000) as listener:
        with vsock_guest(
            daemon, "services=echo", device="bus=slot1", more=SLOT
        ) as guest:
            guest.wait_for(r"services: echo on port 7")
            stream = daemon.connect(ECHO)
            stream.sendall(b"before")
            assert stream.recv(6) == b"before"
            daemon.kill()
            assert " connections=1 " in guest.command_output("vsock", r"vsock-report: .* lost=\d+\r")
            guest.qmp("device_del", id="card")
            guest.wait_event("DEVICE_DELETED", TIMEOUT_S)
            report = guest.command_output("vsock", r"vsock-report: .* lost=\d+\r")
            assert " cid=0 connections=0 " in report and " lost=1" in report
            with Daemon() as second:
                address = {"type": "unix", "data": {"path": second.path}}
                backend = {"type": "socket", "data": {"addr": address, "server": False}}
                guest.qmp("chardev-add", id="second", backend=backend)
                card = {"driver": "vhost-user-vsock-pci", "id": "card2", "chardev": "second"}
                guest.qmp("device_add", bus="slot1", **card)
                guest.wait_for(rf"this machine's CID is {CID}\b", TIMEOUT_S, new=True)
                with second.connect(ECHO) as stream:
                    assert echoed(stream, BULK[:100000]) == BULK[:100000]
                guest.power_off(quiet=False)  # it complains of the first one


def test_a_program_hears_of_it():
    """A read that waits ends with the card, and connecting without one is an error."""
    with Daemon() as daemon, daemon.listen(5000) as listener:
        with vsock_guest(
            daemon,
            "-- dead",
            device="bus=slot1",
            more=SLOT,
            kernel=os.path.join(BUILD, "vsock.elf"),
        ) as guest:
            guest.wait_for(r"vsock: connected")
            with listener.accept()[0]:
                guest.qmp("device_del", id="card")
                assert guest.wait_exit(TIMEOUT_S) == 0, guest.tail()
            guest.require(r"vsock: \d+ checks, 0 failed$")
