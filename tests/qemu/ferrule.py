"""One Ferrule guest in QEMU, as the tests see it: options in, console, QMP, web address and exit
status out.

Owns the QEMU command line, the life of the process and every time limit; knows nothing about what
is tested. A guest is a context manager, and its process never outlives the block. Read conftest.py
for disk images and shared guests, then any test_*.py.
"""
import http.client
import json
import os
import re
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("FERRULE_BUILD", os.path.join(TOP, "build"))
KERNEL = os.path.join(BUILD, "ferrule.elf")
ISO = os.path.join(BUILD, "ferrule.iso")
OVMF = "/usr/share/ovmf/OVMF.fd"
QBOOT = "qboot.rom"

# Generous, because a build or other tests may share the processors; what is fast ends sooner.
BOOT_TIMEOUT_S = 30
LINE_TIMEOUT_S = 15
EXIT_TIMEOUT_S = 15
QMP_TIMEOUT_S = 10
HTTP_TIMEOUT_S = 20
TAIL_LINES = 60

# What isa-debug-exit makes of the status that the kernel ends a crash with: 2 * 99 + 1.
CRASH_EXIT = 199


class GuestError(AssertionError):
    """A guest did not do what was waited for. The message ends with the last lines of its console.
    """


class Response:
    """What a web server answered."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body


def pvh_kernel(folder, kernel=KERNEL):
    """A copy of the kernel without its multiboot1 magic, so that QEMU takes the PVH note instead.
    """
    with open(kernel, "rb") as file:
        image = file.read()
    magic = (0x1BADB002).to_bytes(4, "little")
    offset = next(
        i
        for i in range(0, 8192, 4)
        if image[i : i + 4] == magic
        and sum(int.from_bytes(image[j : j + 4], "little") for j in (i, i + 4, i + 8)) % 2**32
        == 0
    )
    path = os.path.join(folder, "pvh.elf")
    with open(path, "wb") as file:
        file.write(image[:offset] + bytes(4) + image[offset + 4 :])
    return path


def drive(path, options="", device="", name="disk0", kind="virtio-blk-pci"):
    """QEMU arguments for one disk. The image itself is never written to: snapshot=on is the
    default.
    """
    options = options or "snapshot=on"
    escaped = path.replace(",", ",,")
    return [
        "-drive",
        f"if=none,id={name},format=raw,file={escaped},{options}",
        "-device",
        f"{kind},drive={name}" + (f",{device}" if device else ""),
    ]


class Guest:
    """A running guest.

    nic: properties of the virtio-net-pci device ("" for none in particular), None for no NIC;
    backend replaces user networking. disk: path of an image, with disk_drive and disk_device for
    options of -drive and the device, which disk_kind names. words: kernel command line. boot: "multiboot", "pvh" or "iso".
    arguments: more of QEMU's; arguments_first come before the NIC and the disk. namespace: network
    namespace to run in. pass_fds: open files that the arguments refer to by number.
    """

    def __init__(
        self,
        disk=None,
        *,
        machine="q35",
        memory="128M",
        cpu="max",
        firmware=None,
        boot="multiboot",
        kernel=KERNEL,
        iso=ISO,
        words="",
        nic="",
        nic_kind="virtio-net-pci",
        backend=None,
        disk_drive="",
        disk_device="",
        disk_kind="virtio-blk-pci",
        arguments=(),
        arguments_first=(),
        serial=True,
        debug_exit=True,
        no_reboot=True,
        namespace=None,
        pass_fds=(),
    ):
        self.folder = tempfile.mkdtemp(prefix="ferrule-")
        self.console = b""
        self.exit_status = None
        self.port = None
        self.has_user_network = nic is not None and backend is None
        self._changed = threading.Condition()
        self._console_ended = not serial
        self._mark = 0
        self._events = []
        self._qmp_input = b""
        command = ["ip", "netns", "exec", namespace] if namespace else []
        command += [
            os.environ.get("QEMU", "qemu-system-x86_64"),
            "-machine",
            machine,
            "-accel",
            "tcg",
            "-cpu",
            cpu,
            "-m",
            memory,
            "-nodefaults",
            "-display",
            "none",
        ]
        if no_reboot:
            command += ["-no-reboot"]
        if firmware:
            command += ["-bios", firmware]
        if boot == "iso":
            command += ["-boot", "d", "-cdrom", iso]
        else:
            command += ["-kernel", pvh_kernel(self.folder, kernel) if boot == "pvh" else kernel]
            if words:
                command += ["-append", words]
        if debug_exit:
            command += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        command += list(arguments_first)
        if nic is not None:
            command += [
                "-netdev",
                backend or "user,id=net0,hostfwd=tcp:127.0.0.1:0-:80",
                "-device",
                f"{nic_kind},netdev=net0"
                + (",romfile=" if nic_kind.endswith("-pci") or nic_kind.startswith("e1000") else "")
                + (f",{nic}" if nic else ""),
            ]
        if disk:
            command += drive(disk, disk_drive, disk_device, kind=disk_kind)
        self.command = command + list(arguments)
        self._start(serial, pass_fds)

    # --- process ---

    def _start(self, serial, pass_fds):
        ours, theirs = {}, {}
        names = ["qmp"] + (["console"] if serial else [])
        for name in names:
            ours[name], theirs[name] = socket.socketpair()
            self.command += ["-chardev", f"socket,id={name},fd={theirs[name].fileno()}"]
        self.command += ["-mon", "chardev=qmp,mode=control"]
        self.command += ["-serial", "chardev:console" if serial else "none"]
        self._errors = open(os.path.join(self.folder, "stderr"), "w+b")
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
            pass_fds=[*pass_fds, *(end.fileno() for end in theirs.values())],
        )
        for end in theirs.values():
            end.close()
        self._qmp = ours["qmp"]
        self._console = ours.get("console")
        if self._console:
            threading.Thread(target=self._read_console, daemon=True).start()
        try:
            self._qmp_read("the greeting", lambda message: "QMP" in message)
            self.qmp("qmp_capabilities")
            if self.has_user_network:
                self.port = self.forwarded_ports()[80]
        except Exception:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and not issubclass(kind, GuestError):
            print(self.tail())
        self.close()

    def close(self):
        """Ends the process, if it still runs, and removes what belongs to it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for end in (self._qmp, self._console):
            if end:
                end.close()
        self._errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def running(self):
        return self.process.poll() is None

    def wait_exit(self, timeout_s=EXIT_TIMEOUT_S):
        """The exit status of QEMU, once it has ended; the console is complete then."""
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise GuestError(self._complaint(f"QEMU has not ended within {timeout_s} s")) from None
        with self._changed:
            self._changed.wait_for(lambda: self._console_ended, 5)
        return status

    def stderr(self):
        self._errors.flush()
        with open(self._errors.name, "rb") as file:
            return file.read().decode(errors="replace")

    # --- console ---

    def _read_console(self):
        while True:
            try:
                data = self._console.recv(65536)
            except OSError:
                data = b""
            with self._changed:
                self.console += data
                self._console_ended = not data
                self._changed.notify_all()
            if not data:
                return

    def log(self):
        """Everything on the console so far, as text with plain newlines."""
        return self.console.decode(errors="replace").replace("\r\n", "\n")

    def tail(self):
        lines = self.log().splitlines()[-TAIL_LINES:]
        return (
            "--- console ---\n"
            + "\n".join(lines)
            + "\n--- QEMU ---\n"
            + (self.stderr() if not self._errors.closed else "")
            + " ".join(self.command)
        )

    def _complaint(self, text):
        return f"{text}\n{self.tail()}"

    def wait_for(self, pattern, timeout_s=LINE_TIMEOUT_S, new=False):
        """Waits until the pattern is on the console and returns the match. new: behind what was
        matched or typed last.
        """
        expression = re.compile(pattern.encode(), re.M)
        found = None

        def look():
            nonlocal found
            found = expression.search(self.console, self._mark if new else 0)
            return found or self._console_ended

        with self._changed:
            self._changed.wait_for(look, timeout_s)
            if found:
                self._mark = found.end()
                return found
        state = (
            "within %s s" % timeout_s
            if self.running
            else f"before QEMU ended with {self.process.wait()}"
        )
        raise GuestError(self._complaint(f"the console did not show {pattern!r} {state}"))

    def find(self, pattern):
        """The first match on the console so far, or None."""
        return re.search(pattern, self.log(), re.M)

    def require(self, *patterns):
        """Fails unless all patterns are on the console already."""
        for pattern in patterns:
            if not self.find(pattern):
                raise GuestError(self._complaint(f"the console does not show {pattern!r}"))

    def type(self, line):
        """Types one line at the console."""
        with self._changed:
            self._mark = len(self.console)
        self._console.sendall(line.encode() + b"\r")

    def command_output(self, line, until, timeout_s=LINE_TIMEOUT_S):
        """Types a line and returns what the console shows from there until the pattern has come."""
        with self._changed:
            start = len(self.console)
        self.type(line)
        self.wait_for(until, timeout_s, new=True)
        return self.console[start:].decode(errors="replace").replace("\r\n", "\n")

    # --- QMP ---

    def _qmp_read(self, what, wanted, timeout_s=QMP_TIMEOUT_S):
        deadline = time.monotonic() + timeout_s
        while True:
            while b"\n" in self._qmp_input:
                line, _, self._qmp_input = self._qmp_input.partition(b"\n")
                message = json.loads(line)
                if "event" in message:
                    self._events.append(message)
                if wanted(message):
                    return message
            left = deadline - time.monotonic()
            data = b""
            if left > 0 and select.select([self._qmp], [], [], left)[0]:
                try:
                    data = self._qmp.recv(65536)
                except OSError:
                    pass
            if not data:
                raise GuestError(self._complaint(f"QMP: {what} did not come"))
            self._qmp_input += data

    def qmp(self, execute, **arguments):
        """Executes a QMP command and returns its result."""
        self._qmp.sendall(json.dumps({"execute": execute, "arguments": arguments}).encode() + b"\n")
        answer = self._qmp_read(execute, lambda message: "return" in message or "error" in message)
        if "error" in answer:
            raise GuestError(self._complaint(f"QMP: {execute}: {answer['error']}"))
        return answer["return"]

    def wait_event(self, name, timeout_s=QMP_TIMEOUT_S):
        for event in self._events:
            if event["event"] == name:
                return event
        return self._qmp_read(name, lambda message: message.get("event") == name, timeout_s)

    def forwarded_ports(self):
        """Which port of the host leads to which of the guest, under user networking."""
        text = self.qmp("human-monitor-command", **{"command-line": "info usernet"})
        rows = re.findall(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)", text)
        return {int(inside): int(outside) for outside, inside in rows}

    # --- web ---

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def connect(self, timeout_s=HTTP_TIMEOUT_S):
        """A TCP connection to the web server."""
        return socket.create_connection(("127.0.0.1", self.port), timeout_s)

    def get(self, path="/", method="GET", body=None, headers=None, timeout_s=HTTP_TIMEOUT_S):
        """One request over a connection of its own. What has to be is percent-encoded, but no `%`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, urllib.parse.quote(path, safe="/%?=&"), body, headers or {})
            answer = connection.getresponse()
            return Response(answer.status, answer.headers, answer.read())
        except (OSError, http.client.HTTPException) as error:
            raise GuestError(self._complaint(f"{method} {path}: {error!r}")) from error
        finally:
            connection.close()

    def wait_http(self, path="/", timeout_s=BOOT_TIMEOUT_S):
        """Asks until the web server answers at all: for guests without a console."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.get(path, timeout_s=2)
            except GuestError:
                if time.monotonic() > deadline or not self.running:
                    raise
                time.sleep(0.1)

    def wait_ready(self, timeout_s=BOOT_TIMEOUT_S):
        """Waits until the application says that it serves."""
        self.wait_for(r"ready: http://\S+", timeout_s)
        return self

    def wait_started(self, timeout_s=BOOT_TIMEOUT_S):
        """Waits until bring-up is over and the application is started."""
        self.wait_for(r"ready in \d+ us", timeout_s)
        return self

    def power_off(self, timeout_s=EXIT_TIMEOUT_S, quiet=True):
        """Ends the guest in good order and checks that it does, and that QEMU had nothing to
        complain of (quiet).
        """
        self.type("poweroff")
        status = self.wait_exit(timeout_s)
        if status != 0:
            raise GuestError(self._complaint(f"power off ended QEMU with {status}"))
        if quiet and self.stderr():
            raise GuestError(self._complaint("QEMU had something to complain of"))


def text_of(match, group=1):
    """A group of a console match as text."""
    return match.group(group).decode(errors="replace")
