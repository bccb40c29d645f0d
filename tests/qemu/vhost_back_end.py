"""The back end of a vhost-user device: what is said on the socket, the guest's memory, and split rings.

Owns no device: BackEnd is for one to be derived from (vsock_daemon.py, lying_nic.py). One guest; no event indices; written for
clarity, since the tests need megabytes, not gigabytes.
"""
import mmap
import os
import selectors
import socket
import struct

# The vhost-user protocol, as in QEMU's document of that name.
GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE = 1, 2, 3, 4, 5
SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL = range(8, 14)
GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES = 15, 16
SET_VRING_ENABLE, GET_CONFIG = 18, 24
F_VERSION_1, F_PROTOCOL_FEATURES = 1 << 32, 1 << 30
PROTOCOL_F_REPLY_ACK, PROTOCOL_F_CONFIG = 1 << 3, 1 << 9
VERSION, REPLY, NEED_REPLY = 1, 4, 8

DESC_NEXT, DESC_WRITE = 1, 2


class Memory:
    """The guest's memory: regions, and the two kinds of addresses into them."""

    def __init__(self, regions, files):
        self.regions = []
        for (guest, size, user, offset), file in zip(regions, files):
            self.regions.append((guest, user, size, offset, mmap.mmap(file, size + offset)))
            os.close(file)

    def find(self, address, kind):
        for region in self.regions:
            if region[kind] <= address < region[kind] + region[2]:
                return region[4], address - region[kind] + region[3]
        raise ValueError(f"address {address:#x} is not the guest's")

    def read(self, address, size, kind=0):
        view, at = self.find(address, kind)
        return view[at : at + size]

    def write(self, address, data, kind=0):
        view, at = self.find(address, kind)
        view[at : at + len(data)] = data


class Ring:
    """One split ring (2.7)."""

    def __init__(self):
        self.size = self.avail = self.used_index = 0
        self.addresses = None
        self.kick = self.call = -1

    def word(self, memory, address):
        return struct.unpack("<H", memory.read(address, 2, 1))[0]

    def is_ready(self):
        return self.addresses is not None and self.kick >= 0 and self.size > 0

    def take(self, memory):
        """The next available buffer: its head and pieces (address, length, writable), or None."""
        if not self.is_ready():
            return None
        descriptors, used, available = self.addresses
        if self.word(memory, available + 2) == self.avail:
            return None
        head = index = self.word(memory, available + 4 + 2 * (self.avail % self.size))
        self.avail = (self.avail + 1) % 65536
        pieces = []
        while True:
            address, length, flags, index_next = struct.unpack(
                "<QIHH", memory.read(descriptors + 16 * index, 16, 1)
            )
            pieces.append((address, length, bool(flags & DESC_WRITE)))
            if not flags & DESC_NEXT:
                return head, pieces
            index = index_next

    def waiting(self, memory):
        """How many buffers are available."""
        return (self.word(memory, self.addresses[2] + 2) - self.avail) % 65536 if self.is_ready() else 0

    def peek(self, memory):
        """The pieces of the next available buffer, which stays where it is; none when there is none."""
        place = self.avail
        buffer = self.take(memory)
        self.avail = place
        return buffer[1] if buffer else ()

    def give(self, memory, head, length):
        used = self.addresses[1]
        memory.write(used + 4 + 8 * (self.used_index % self.size), struct.pack("<II", head, length), 1)
        self.used_index = (self.used_index + 1) % 65536
        memory.write(used + 2, struct.pack("<H", self.used_index), 1)

    def signal(self):
        if self.call >= 0:
            os.write(self.call, struct.pack("<Q", 1))


class BackEnd:
    FEATURES = 0  # of the device type

    def __init__(self, path, rings, config=b""):
        self.config = config
        self.running = True
        self.selector = selectors.DefaultSelector()
        self.rings = [Ring() for _ in range(rings)]
        self.memory = None
        self.acknowledges = False
        self.listen(path, self.accept_front_end)

    def serve(self):
        """Whatever there is to do; called after everything that happened."""

    def ring_stopped(self, index):
        """The front end takes a ring away."""

    def front_end_gone(self):
        """The front end has closed its connection."""

    def listen(self, path, callback):
        if os.path.exists(path):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(64)
        self.selector.register(listener, selectors.EVENT_READ, callback)

    def run(self):
        while self.running:
            for key, _ in self.selector.select():
                if self.selector.get_map().get(key.fd) is key:  # not closed by one before it
                    key.data(key.fileobj)
            self.serve()

    # --- the socket ---

    def accept_front_end(self, listener):
        self.front_end, _ = listener.accept()
        self.selector.register(self.front_end, selectors.EVENT_READ, self.take_message)

    def take_message(self, front_end):
        data, files, _, _ = socket.recv_fds(front_end, 12, 8, socket.MSG_WAITALL)
        if not data:
            self.front_end_gone()
            return
        request, flags, size = struct.unpack("<III", data)
        payload = b""
        while len(payload) < size:
            payload += front_end.recv(size - len(payload))
        answer = self.handle(request, payload, files)
        if answer is None and flags & NEED_REPLY and self.acknowledges:
            answer = struct.pack("<Q", 0)
        if answer is not None:
            front_end.sendall(struct.pack("<III", request, VERSION | REPLY, len(answer)) + answer)

    def handle(self, request, payload, files):
        if request == GET_FEATURES:
            return struct.pack("<Q", F_VERSION_1 | F_PROTOCOL_FEATURES | self.FEATURES)
        if request == GET_PROTOCOL_FEATURES:
            return struct.pack("<Q", PROTOCOL_F_CONFIG | PROTOCOL_F_REPLY_ACK)
        if request == SET_PROTOCOL_FEATURES:
            self.acknowledges = bool(struct.unpack("<Q", payload)[0] & PROTOCOL_F_REPLY_ACK)
        elif request == GET_CONFIG:
            offset, size, config_flags = struct.unpack("<III", payload[:12])
            config = self.config.ljust(256, b"\0")[offset : offset + size]
            return struct.pack("<III", offset, size, config_flags) + config
        elif request == SET_MEM_TABLE:
            count = struct.unpack("<I", payload[:4])[0]
            regions = [struct.unpack_from("<QQQQ", payload, 8 + 32 * i) for i in range(count)]
            self.memory = Memory(regions, files)
        elif request == SET_VRING_ADDR:
            index, _, descriptors, used, available, _ = struct.unpack("<IIQQQQ", payload)
            self.rings[index].addresses = descriptors, used, available
        elif request in (SET_VRING_NUM, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_ENABLE):
            return self.set_ring(request, *struct.unpack("<II", payload))
        elif request in (SET_VRING_KICK, SET_VRING_CALL):
            self.set_file(request, struct.unpack("<Q", payload)[0] & 0xFF, files)
        return None

    def set_ring(self, request, index, number):
        ring = self.rings[index]
        if request == SET_VRING_NUM:
            ring.size = number
        elif request == SET_VRING_BASE:
            ring.avail = ring.used_index = number
        elif request == GET_VRING_BASE:  # it stops
            self.set_file(SET_VRING_KICK, index, [])
            ring.addresses = None
            self.ring_stopped(index)
            return struct.pack("<II", index, ring.avail)
        return None

    def set_file(self, request, index, files):
        ring = self.rings[index]
        file = files[0] if files else -1
        if request == SET_VRING_CALL:
            ring.call = file
            return
        if ring.kick >= 0:
            self.selector.unregister(ring.kick)
            os.close(ring.kick)
        ring.kick = file
        if file >= 0:
            self.selector.register(file, selectors.EVENT_READ, lambda kick: os.read(kick, 8))
