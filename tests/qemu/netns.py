"""A network of the test's own: a namespace with a tap interface for the guest, and programs and
sockets inside it.

Owns the names, the addresses and the clean-up; the host's own network is never touched. Needs root.
Read test_net.py next.
"""
import contextlib
import ctypes
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time

HOST = "10.77.0.1"
GUEST = "10.77.0.2"
HOST6 = "fd00:77::1"
GUEST6 = "fd00:77::2"
STATIC = f"ip={GUEST}::{HOST}:255.255.255.0"
COMMAND_TIMEOUT_S = 30

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP_NO_PI = 0x1002
SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM = 0x17
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33


class NetworkError(AssertionError):
    """A program inside the namespace failed; the message holds what it said."""


def why_not():
    """Why no such network can be made here, or None."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    try:
        with Network():
            return None
    except (NetworkError, OSError) as error:
        return f"network namespaces or tap interfaces do not work here: {error}"


class Network:
    """A namespace with the interface tap0, which has the address HOST."""

    count = 0

    def __init__(self, mtu=1500, bridge=False, queues=1):
        Network.count += 1
        self.name = f"ferrule-{os.getpid()}-{Network.count}"
        self._children = []
        self._command("ip", "netns", "add", self.name)
        try:
            self.run("ip", "link", "set", "lo", "up")
            # The host's own IPv6 addresses are good at once, without asking round for duplicates.
            self.run("sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad")
            several = ("multi_queue",) if queues > 1 else ()
            self.run("ip", "tuntap", "add", "tap0", "mode", "tap", "vnet_hdr", *several)
            self.interface = "tap0"
            if bridge:
                self._add_bridge()
            self.run("ip", "link", "set", "tap0", "mtu", str(mtu), "up")
            self.run("ip", "address", "add", f"{HOST}/24", "dev", self.interface)
        except Exception:
            self.close()
            raise

    def _add_bridge(self):
        """tap0 and one end of a veth pair in a bridge; the host's address is at the other end,
        veth0.
        """
        self.interface = "veth0"
        self.run("ip", "link", "add", "br0", "type", "bridge")
        self.run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
        for name in ("tap0", "veth1"):
            self.run("ip", "link", "set", name, "master", "br0")
        for name in ("br0", "veth0", "veth1"):
            self.run("ip", "link", "set", name, "up")
        self.set_transmit_checksum("veth1", False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.wait()
        subprocess.run(
            ["ip", "netns", "delete", self.name],
            check=False,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_TIMEOUT_S,
        )

    # --- programs ---

    def _command(self, *command, timeout_s=COMMAND_TIMEOUT_S):
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise NetworkError(
                f"{' '.join(command)}: not done after {timeout_s} s: {error.stdout}"
            ) from None
        text = done.stdout.decode(errors="replace")
        if done.returncode != 0:
            raise NetworkError(f"{' '.join(command)}: status {done.returncode}: {text}")
        return text

    def run(self, *command, timeout_s=COMMAND_TIMEOUT_S):
        """Runs a program in the namespace and returns what it printed; a status other than 0 is an
        error.
        """
        return self._command("ip", "netns", "exec", self.name, *command, timeout_s=timeout_s)

    def start(self, *command, **options):
        """Starts a program in the namespace; it ends with the network at the latest."""
        child = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command], stdin=subprocess.DEVNULL, **options
        )
        self._children.append(child)
        return child

    def ping(self, address, *options, count=3):
        """Pings and fails unless every answer came."""
        text = self.run("ping", "-n", "-c", str(count), "-i", "0.1", "-W", "5", *options, address)
        if f"{count} received" not in text:
            raise NetworkError(text)
        return text

    def curl(self, path, output, *options, address=GUEST):
        """Starts a download from the guest."""
        return self.start(
            "curl",
            "--silent",
            "--show-error",
            "--fail",
            "--globoff",
            "--max-time",
            "90",
            *options,
            "--output",
            str(output),
            f"http://{address}/{path}",
        )

    # --- sockets ---

    def inside(self, function):
        """Calls a function in the namespace and returns its result; sockets it makes stay there."""
        result = []

        def call():
            libc = ctypes.CDLL(None, use_errno=True)
            handle = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
            try:
                if libc.setns(handle, CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), "setns")
                result.append((function(), None))
            except OSError as error:
                result.append((None, error))
            finally:
                os.close(handle)

        # A thread of its own, because the namespace is the thread's.
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        value, error = result[0]
        if error:
            raise error
        return value

    def packet_socket(self, interface):
        """A raw socket that sends and sees whole frames of one interface."""

        def make():
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            made.bind((interface, 0))
            made.settimeout(5)
            return made

        return self.inside(make)

    @contextlib.contextmanager
    def capture(self, interface):
        """A list that holds, at the end, every frame which the interface sent or received."""
        frames, stop = [], threading.Event()
        wire = self.packet_socket(interface)
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        wire.settimeout(0.2)

        def listen():
            while True:
                try:
                    frames.append(wire.recv(1 << 17))
                except TimeoutError:
                    if stop.is_set():
                        return

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield frames
        finally:
            stop.set()
            listener.join()
            wire.close()

    def set_transmit_checksum(self, interface, on):
        """Whether the interface leaves checksums to whoever is behind it, as `ethtool -K ... tx`
        does.
        """
        value = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_STXCSUM, int(on)))
        request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))

        def change():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
                fcntl.ioctl(control, SIOCETHTOOL, request)

        self.inside(change)

    def open_tap(self):
        """The other end of tap0: a file of frames, for who wants to be in the guest's place."""

        def attach():
            handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH22x", b"tap0", IFF_TAP_NO_PI))
            return handle

        return self.inside(attach)

    def connect(self, port=80, address=GUEST, timeout_s=10):
        """A TCP connection from inside the namespace."""
        return self.inside(lambda: socket.create_connection((address, port), timeout_s))


class BadCable:
    """Joins a network's tap0 with a guest, and loses, repeats, delays and damages frames in both
    directions, by a seed. A frame that is delayed goes behind the next one, or when latency_s is
    given, as much later as that at most. heal() makes a good cable of it.
    """

    def __init__(self, network, seed, lose=0.0, repeat=0.0, delay=0.0, damage=0.0, latency_s=0.0):
        self._odds = (lose, repeat, delay, damage)
        self._latency_s = latency_s
        self._late = []  # a heap of frames with the time at which each is due
        self._random = random.Random(seed)
        self._tap = network.open_tap()
        self._ours, self._guests = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in (self._ours, self._guests):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        self._ours.setblocking(False)
        self._held = {}
        self._stop_read, self._stop_write = os.pipe()
        self.counts = {"passed": 0, "lost": 0, "repeated": 0, "delayed": 0, "damaged": 0}
        self._thread = threading.Thread(target=self._relay)
        self._thread.start()

    @property
    def backend(self):
        """What -netdev takes; the guest needs fileno in pass_fds."""
        return f"dgram,id=net0,local.type=fd,local.str={self.fileno()}"

    def fileno(self):
        return self._guests.fileno()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._stop_write)
        self._thread.join()
        for end in (self._ours, self._guests):
            end.close()
        for handle in (self._tap, self._stop_read):
            os.close(handle)

    def heal(self):
        self._odds = (0.0, 0.0, 0.0, 0.0)

    def _send_late(self):
        """Sends what is due; returns how long the next one has to wait."""
        while self._late and self._late[0][0] <= time.monotonic():
            _, _, frame, send = heapq.heappop(self._late)
            send(frame)
        return max(0, self._late[0][0] - time.monotonic()) if self._late else None

    def _relay(self):
        to_guest, to_host = self._ours.send, lambda frame: os.write(self._tap, frame)
        while True:
            try:
                wait_s = self._send_late()
                ready = select.select([self._tap, self._ours, self._stop_read], [], [], wait_s)[0]
                if self._stop_read in ready:
                    return
                if self._tap in ready:
                    self._pass(os.read(self._tap, 65536), to_guest, "to guest")
                if self._ours in ready:
                    self._pass(self._ours.recv(65536), to_host, "to host")
            except OSError:
                # A full queue or a guest that is gone: one more lost frame.
                self.counts["lost"] += 1

    def _pass(self, frame, send, direction):
        lose, repeat, delay, damage = self._odds
        held = self._held.pop(direction, None)
        if self._random.random() < lose:
            self.counts["lost"] += 1
        elif self._latency_s and self._random.random() < delay:
            self.counts["delayed"] += 1
            due = time.monotonic() + self._random.random() * self._latency_s
            heapq.heappush(self._late, (due, self.counts["delayed"], frame, send))
        elif not self._latency_s and self._random.random() < delay and not held:
            self._held[direction] = frame
            self.counts["delayed"] += 1
        else:
            if self._random.random() < damage:
                at = self._random.randrange(14, len(frame))
                frame = (
                    frame[:at]
                    + bytes([frame[at] ^ (1 << self._random.randrange(8))])
                    + frame[at + 1 :]
                )
                self.counts["damaged"] += 1
            send(frame)
            self.counts["passed"] += 1
            if self._random.random() < repeat:
                send(frame)
                self.counts["repeated"] += 1
        if held:
            send(held)
