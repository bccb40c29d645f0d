"""One QEMU machine that serves files over HTTP: how it is started, asked and ended.

Owns the QEMU command line, which is the same for every guest but for what is booted, and the moment of the first HTTP
answer. Every wait has a limit. How the host reaches the guest is line.py's; what is measured is measure.py's.
"""

import http.client
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field

from line import HTTP, UserLine

CPU_MODEL = "Nehalem"  # without fast string instructions, which TCG emulates byte by byte at the Linux guest's cost
RETRY_S = 0.002
CONSOLE_LINES_SHOWN = 6


class Failure(Exception):
    """The guest did not do what was measured; the text says what and ends with its console's last lines."""


@dataclass
class Guest:
    """What is booted. `marker` is what its console says as soon as the web server can be reached."""

    name: str
    boot: list  # QEMU arguments
    marker: bytes = rb"^ready: "
    image_files: list = field(default_factory=list)
    has_iperf3: bool = False  # else it has the services discard and chargen


class Connection(http.client.HTTPConnection):
    """To the guest's web server, by whatever line leads there."""

    def __init__(self, line, limit_s):
        super().__init__(*line.address(HTTP), timeout=limit_s)
        self.line = line

    def connect(self):
        self.sock = self.line.connect(HTTP, self.timeout)


class Machine:
    """Context manager: QEMU runs from entering to leaving."""

    def __init__(
        self, guest, disk, memory_mib, firmware=None, more=(), line=None, nic="virtio-net-pci,netdev=net0", kind="q35", cpus=1, accel="tcg"
    ):
        self.guest = guest
        self.line = line or UserLine()
        self.console = bytearray()
        self.ready = threading.Event()
        self.command = [
            *self.line.command,
            os.environ.get("QEMU") or "qemu-system-x86_64",
            *("-machine", kind, "-accel", accel, "-cpu", CPU_MODEL, "-m", f"{round(memory_mib * 1024)}K"),
            *("-nodefaults", "-display", "none", "-no-reboot", "-monitor", "none", "-serial", "stdio"),
            *(("-smp", str(cpus)) if cpus > 1 else ()),
            *("-netdev", self.line.netdev),
            *("-device", f"{nic},romfile={self.line.nic}"),
            *("-drive", f"if=none,id=disk0,format=raw,readonly=on,file={str(disk).replace(',', ',,')}"),
            *("-device", "virtio-blk-pci,drive=disk0"),
            *(("-bios", firmware) if firmware else ()),
            *guest.boot,
            *more,
        ]

    def __enter__(self):
        self.started = time.monotonic()
        # What QEMU itself has to say belongs to the console's text, for messages.
        self.qemu = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.reader = threading.Thread(target=self._read_console, daemon=True)
        self.reader.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.qemu.poll() is None:
            self.qemu.send_signal(signal.SIGTERM)
            try:
                self.qemu.wait(10)
            except subprocess.TimeoutExpired:
                self.qemu.kill()
                self.qemu.wait(10)
        self.reader.join(5)
        self.qemu.stdout.close()

    def _read_console(self):
        while chunk := os.read(self.qemu.stdout.fileno(), 65536):
            self.console += chunk
            if not self.ready.is_set() and re.search(self.guest.marker, self.console, re.MULTILINE):
                self.ready.set()
        self.ready.set()  # the machine has ended: nobody needs to wait any more

    def failure(self, text):
        if self.qemu.poll() is not None:
            self.reader.join(5)
        lines = self.console.decode(errors="replace").splitlines()[-CONSOLE_LINES_SHOWN:]
        return Failure("\n    ".join([f"{self.guest.name}: {text}", *lines]))

    def get(self, path, limit_s):
        connection = Connection(self.line, limit_s)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def get_many(self, path, content, count, limit_s):
        """Asks `count` times over one connection that is kept open, unless the server closes it."""
        connection = Connection(self.line, limit_s)
        deadline = time.monotonic() + limit_s
        try:
            for _ in range(count):
                connection.request("GET", path, headers={"Connection": "keep-alive"})
                if connection.getresponse().read() != content:
                    raise self.failure(f"wrong answer to GET {path}")
                if time.monotonic() > deadline:
                    raise self.failure(f"{count} requests took more than {limit_s} s")
        except (OSError, http.client.HTTPException) as error:
            raise self.failure(f"GET {path}: {error or type(error).__name__}") from None
        finally:
            connection.close()

    def first_answer(self, path, content, limit_s):
        """Seconds from QEMU's start to the first complete and right answer.

        Nothing is sent before the guest says on its console that it listens, so that the asking does not slow the
        boot; from then on it is asked every RETRY_S until it answers."""
        deadline = self.started + limit_s
        if not self.ready.wait(limit_s):
            raise self.failure(f"not ready within {limit_s:.0f} s")
        while True:
            left_s = deadline - time.monotonic()
            if self.qemu.poll() is not None:
                raise self.failure("the machine ended before it answered")
            if left_s <= 0:
                raise self.failure(f"no answer within {limit_s:.0f} s")
            try:
                status, body = self.get(path, min(left_s, 5))
            except (OSError, http.client.HTTPException):
                time.sleep(RETRY_S)
                continue
            seconds = time.monotonic() - self.started
            if status != 200 or body != content:
                raise self.failure(f"wrong answer to GET {path}: status {status}, {len(body)} bytes")
            return seconds
