"""A network whose far end stops reading: QEMU keeps what the guest sends, for as long as that lasts.

The far end is a socket of the test's own, with each frame's length in front of it. Read virtio/virtio_watch.c first;
its unit test has the times, pauses and other causes.
"""
import socket
import struct
import threading
import time

from ferrule import Guest
from frames import ETHERTYPE_ARP, ETHERTYPE_IPV4, arp_request, ipv4, ones_complement, to_guest
from netns import GUEST, HOST, STATIC

MAC = bytes.fromhex("020000000001")
PINGS = 2000  # with 1400 bytes each: more than sockets hold
LIMIT_S = 60


class FarEnd:
    def __init__(self):
        self._ours, self.guests = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._ours.settimeout(LIMIT_S)
        self._writer = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ours.close()
        self.guests.close()

    @property
    def backend(self):
        return f"socket,id=net0,fd={self.guests.fileno()}"

    def send(self, frame):
        self._ours.sendall(struct.pack("!I", len(frame)) + frame)

    def _read(self, size):
        data = b""
        while len(data) < size:
            piece = self._ours.recv(size - len(data))
            assert piece, "QEMU closed the socket"
            data += piece
        return data

    def receive(self, wanted):
        """The next frame that is wanted."""
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            frame = self._read(struct.unpack("!I", self._read(4))[0])
            if wanted(frame):
                return frame
        raise AssertionError("no such frame came")

    def ping(self, number, size=1400):
        message = struct.pack("!BBHHH", 8, 0, 0, 1, number) + bytes(size)
        message = message[:2] + struct.pack("!H", 0xFFFF - ones_complement(message)) + message[4:]
        self.send(to_guest(ETHERTYPE_IPV4, ipv4(HOST, GUEST, 1, message), MAC))

    def receive_answer(self, number):
        wanted = b"\0" + struct.pack("!HH", 1, number)
        self.receive(lambda frame: frame[12:14] == ETHERTYPE_IPV4 and frame[23] == 1 and wanted == frame[34:35] + frame[38:42])

    def meet(self):
        """The guest learns our address, and we that it is there."""
        self.send(b"\xff" * 6 + MAC + ETHERTYPE_ARP + arp_request(MAC, HOST, GUEST))
        self.receive(lambda frame: frame[:6] == MAC and frame[12:14] == ETHERTYPE_ARP)


def test_far_end_stops_reading():
    """The guest notices, resets the device, and goes on when somebody reads again."""
    with FarEnd() as far, Guest(words=STATIC, backend=far.backend, nic="", pass_fds=[far.guests.fileno()]) as guest:
        guest.wait_started()
        far.meet()
        far.ping(1)
        far.receive_answer(1)
        pings = threading.Thread(target=lambda: [far.ping(2) for _ in range(PINGS)])
        pings.start()
        guest.wait_for(r"net tx: no buffer was used for 5 s, \d+ are under way", LIMIT_S)
        guest.wait_for(r"virtio-net: running again \(recovery 1\)")
        threading.Timer(0.1, lambda: [far.ping(3) for _ in range(3)]).start()
        far.receive_answer(3)
        pings.join(LIMIT_S)
        assert not pings.is_alive()
        far.ping(4)
        far.receive_answer(4)
        assert not guest.find(r"given up|recovery 3"), guest.tail()
        guest.power_off()
