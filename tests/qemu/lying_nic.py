"""A network device that lies, for QEMU's vhost-user: between its lies it carries frames between a guest and a
network's tap0 as an honest one does.

Owns the lies and which of them break a queue; what they must not do to the guest is test_lying_nic.py's. Runs in a thread of
the test. Read vhost_back_end.py first.
"""
import collections
import os
import selectors
import struct
import tempfile
import threading
import time
from concurrent.futures import Future

from frames import ETHERTYPE_IPV4, TCP, ipv4, nonsense, tcp_syn, to_guest
from netns import GUEST
from vhost_back_end import BackEnd

RX, TX = 0, 1
GUEST_CSUM, GUEST_TSO4, GUEST_TSO6, MRG_RXBUF = 1, 7, 8, 15

# 5.1.9: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers.
HEADER = struct.Struct("<BBHHHHH")
HONEST = (0, 0, 0, 0, 0, 0, 1)
NEEDS_CSUM, TCPV4, UDP, TCPV6, ECN = 1, 1, 3, 4, 0x80
MOST = 0xFFFF
STRANGER = "10.77.0.9"
TIMEOUT_S = 10

# Frames that cannot be what they say are dropped, and nothing else happens.
DROPPED_HEADERS = (
    (NEEDS_CSUM, TCPV4, 54, 0, 34, 16, 1),
    (NEEDS_CSUM, TCPV6, 74, 0, 54, 16, 1),
    (NEEDS_CSUM, UDP, 42, 1472, 34, 6, 1),  # was not negotiated
    (NEEDS_CSUM, TCPV4 | ECN, 54, 1460, 34, 16, 1),  # nor was that
    (0, ECN, 0, 0, 0, 0, 1),
    (0, 0x7F, 0, 100, 0, 0, 1),
)
# Nothing of these is relied on: the frame is what its own headers say.
UNUSED_HEADERS = (
    (NEEDS_CSUM, TCPV4, 54, MOST, 34, 16, 1),
    (NEEDS_CSUM, TCPV4, 54, 1, 34, 16, 1),
    (NEEDS_CSUM, TCPV6, 54, 1460, 34, 16, 1),
    (NEEDS_CSUM, TCPV4, MOST, 1460, 34, 16, 1),
    (NEEDS_CSUM, TCPV4, 0, 1460, MOST, MOST, 1),
    (NEEDS_CSUM, 0, 0, 0, MOST, MOST, 1),
    (NEEDS_CSUM, 0, 0, 0, 0, 0, 1),
    (0xFE, 0, MOST, MOST, MOST, MOST, 1),
)
SHORT = (0, 1, 11, 12, 13, 25)  # the header alone has 12 bytes, Ethernet's 14
# How many buffers a frame takes, of one: the queue is broken. With 2 the next frame would be swallowed, if there is one.
BUFFERS = (0, 49, MOST)


class LyingNic(BackEnd):
    """One of the two sides of a network's tap0, and a vhost-user socket for the guest."""

    FEATURES = 1 << GUEST_CSUM | 1 << GUEST_TSO4 | 1 << GUEST_TSO6 | 1 << MRG_RXBUF

    def __init__(self, network, source):
        self._folder = tempfile.TemporaryDirectory(prefix="ferrule-nic-")
        self._source = source
        self.path = os.path.join(self._folder.name, "device")
        super().__init__(self.path, rings=2)
        self._tap = network.open_tap()
        self._calls = collections.deque()
        ours, self._wake = os.pipe()
        self.selector.register(self._tap, selectors.EVENT_READ, self._from_network)
        self.selector.register(ours, selectors.EVENT_READ, self._call)
        self._last_sent = 0
        self._thread = threading.Thread(target=self.run)
        self.lost = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        os.close(self._wake)
        self._thread.join()
        for key in list(self.selector.get_map().values()):
            os.close(key.fd) if isinstance(key.fileobj, int) else key.fileobj.close()
        self._folder.cleanup()

    def _call(self, pipe):
        if not os.read(pipe, 1):
            self.running = False
            return
        function, result = self._calls.popleft()
        try:
            result.set_result(function())
        except Exception as error:
            result.set_exception(error)

    def _do(self, function, *arguments):
        """Has it done by the device's thread."""
        result = Future()
        self._calls.append((lambda: function(*arguments), result))
        os.write(self._wake, b"!")
        return result.result(TIMEOUT_S)

    # --- the honest side ---

    def front_end_gone(self):
        self.selector.unregister(self.front_end)
        self.front_end.close()

    def _from_network(self, tap):
        self._put(HEADER.pack(*HONEST) + os.read(tap, 65536))

    def _fill(self, buffer, data):
        """Writes as much as fits, and returns the rest."""
        for at, size, writable in buffer[1]:
            assert writable, "a receive buffer that is not to be written to"
            self.memory.write(at, data[:size])
            data = data[size:]
        return data

    def _put(self, data, used=None):
        """One buffer for the guest. False: it has given none."""
        buffer = self.rings[RX].take(self.memory) if self.memory else None
        if buffer is None:
            self.lost += 1
            return False
        used = len(data) if used is None else used
        assert not self._fill(buffer, data), "a receive buffer that no frame fits"
        self.rings[RX].give(self.memory, buffer[0], used)
        self.rings[RX].signal()
        return True

    def _put_large(self, header, frame):
        """As many buffers as it takes, if the guest has given them."""
        ring, data, taken = self.rings[RX], HEADER.pack(*header) + frame, []
        size = sum(size for _, size, _ in ring.peek(self.memory))
        count = -(-len(data) // size) if size else 0
        if not 0 < count <= ring.waiting(self.memory):
            self.lost += 1
            return False
        data = HEADER.pack(*header[:-1], count) + frame
        while data:
            buffer = ring.take(self.memory)
            rest = self._fill(buffer, data)
            taken.append((buffer[0], len(data) - len(rest)))
            data = rest
        assert len(taken) == count, "receive buffers of several sizes"
        for head, used in taken:
            ring.give(self.memory, head, used)
        ring.signal()
        return True

    def serve(self):
        took = False
        while self.memory and (buffer := self.rings[TX].take(self.memory)) is not None:
            self._last_sent, pieces = buffer
            data = b"".join(self.memory.read(at, size) for at, size, _ in pieces)
            os.write(self._tap, data[HEADER.size :])
            self.rings[TX].give(self.memory, self._last_sent, 0)
            took = True
        if took:
            self.rings[TX].signal()

    # --- the lies ---

    def _packet(self):
        segment = tcp_syn(STRANGER, GUEST, self._source.randrange(65536), 1, self._source.random() < 0.5)
        return to_guest(ETHERTYPE_IPV4, ipv4(STRANGER, GUEST, TCP, segment))

    def _frame(self):
        """Something that somebody might have sent, and that nobody misses."""
        packet = self._packet()
        return self._source.choice((packet, packet.ljust(1514, b"!"), nonsense(self._source)))

    def _headers(self, headers):
        return [self._put(HEADER.pack(*header) + self._frame()) for header in headers]

    def tell_dropped(self):
        """Frames that the driver has to drop; returns how many."""
        return sum(self._do(self._headers, DROPPED_HEADERS))

    def tell_unused(self):
        """Frames with fields that mean nothing, or less than they say."""
        return sum(self._do(self._headers, UNUSED_HEADERS))

    def tell_cut(self):
        """Segments that end within their own headers."""
        header = HEADER.pack(NEEDS_CSUM, TCPV4, 54, 1460, 34, 16, 1)

        def cut():
            packet = self._packet()
            return [self._put(header + packet[: self._source.randrange(14, 54)]) for _ in SHORT]

        return sum(self._do(cut))

    def tell_large(self):
        """Frames of many segments that are larger than IP allows, that say other lengths than they
        have, and that are nothing at all.
        """
        header = (NEEDS_CSUM, TCPV4, 54, self._source.choice((1, 1460, MOST)), 34, 16, 1)
        body = self._source.randbytes(self._source.choice((20000, 60000, 70000)))
        length = self._source.choice((None, 20, 1500, MOST))
        segment = tcp_syn(STRANGER, GUEST, 4444, 1) + body
        packet = ipv4(STRANGER, GUEST, TCP, segment[: MOST - 20], length=length) + segment[MOST - 20 :]
        frame = self._source.choice((to_guest(ETHERTYPE_IPV4, packet), body))
        return self._do(self._put_large, header, frame)

    def tell_short(self):
        """Frames shorter than their headers, which the driver has to drop; returns how many."""

        def short():
            return [self._put(HEADER.pack(*HONEST) + self._frame(), used) for used in SHORT]

        return sum(self._do(short))

    def breaking(self):
        """Lies that break a queue, by name."""
        lies = {f"{n} buffers": lambda n=n: all(self._headers([(*HONEST[:-1], n)])) for n in BUFFERS}
        for used in (5000, 0xFFFFFFFF):
            lies[f"{used} bytes"] = lambda used=used: self._put(bytes(60), used)
        for ring, name in ((RX, "receive"), (TX, "transmit")):
            for kind in (self._twice, self._nobodys, self._far):
                lies[f"{name}{kind.__name__}"] = lambda ring=ring, kind=kind: self._lie(ring, kind)
        return {name: lambda lie=lie: self._until_told(lie) for name, lie in lies.items()}

    def _until_told(self, lie):
        """While the guest sets the device up again there is nobody to lie to."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self._do(lambda: all(r.is_ready() for r in self.rings) and lie()):
            assert time.monotonic() < deadline, "the guest has no rings"
            time.sleep(0.01)

    def _lie(self, index, kind):
        told = kind(self.rings[index])
        self.rings[index].signal()
        return told

    def _twice(self, ring):
        """A buffer is used that was given back already, or is the device's no more."""
        head = self._last_sent
        if ring is self.rings[RX]:
            if (buffer := ring.take(self.memory)) is None:
                return False
            head = buffer[0]
            ring.give(self.memory, head, 60)
        ring.give(self.memory, head, 60)
        return True

    def _nobodys(self, ring):
        ring.give(self.memory, ring.size + 7, 60)
        return True

    def _far(self, ring):
        """More buffers are used than there are."""
        ring.used_index = (ring.used_index + ring.size) % 65536
        ring.give(self.memory, 0, 60)
        return True
