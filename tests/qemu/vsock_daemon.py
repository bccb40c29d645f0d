#!/usr/bin/env python3
"""A vhost-user back end of a socket device, for QEMU's vhost-user-vsock or hosted/vhost_user.c: bridges to Unix sockets.

    vsock_daemon.py SOCKET BRIDGE CID

SOCKET is where the front end connects. A stream from the guest to port N of the host goes to the Unix socket BRIDGE_N, and is
refused where nobody listens; for SEQPACKET that is a Unix socket of the same type. Whoever connects to BRIDGE and writes
"CONNECT N" and a line end gets a stream to port N of the guest: "OK" and a number come back first, as with Firecracker. SIGUSR1
resets the transport, where the front end hands over the event queue; QEMU does not. Rings and messages are vhost_back_end.py's.
Read test_vsock.py next.
"""
import os
import selectors
import signal
import socket
import struct
import sys

from vhost_back_end import BackEnd

RX, TX, EVENT = 0, 1, 2

# 5.10.6
HEADER = struct.Struct("<QQIIIHHIII")
STREAM, SEQPACKET = 1, 2
END_OF_MESSAGE = 1
F_SEQPACKET = 1 << 1
REQUEST, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST = range(1, 8)
NO_RECEIVE, NO_SEND = 1, 2
HOST = 2
BUFFER = 256 * 1024


class Stream:
    """A connection: a Unix socket on one side, ports and credit on the other."""

    def __init__(self, unix, host_port, guest_port, kind=STREAM):
        self.unix = unix
        self.kind = kind
        self.messages = []  # whole ones from the guest; `to_unix` is the beginning of another
        self.host_port = host_port
        self.guest_port = guest_port
        self.open = False  # both sides have agreed
        self.answer = b""  # what the Unix side is told then
        self.to_unix = b""
        self.fwd_cnt = self.told = 0
        self.tx_cnt = self.peer_fwd = self.peer_alloc = 0
        self.unix_ended = self.guest_ended = False
        self.unix_told = False  # that the guest has ended

    def credit(self):
        return max(0, self.peer_alloc - (self.tx_cnt - self.peer_fwd) % 2**32)


class Daemon(BackEnd):
    FEATURES = F_SEQPACKET

    def __init__(self, path, bridge, cid):
        super().__init__(path, rings=3, config=struct.pack("<Q", cid))
        self.cid = cid
        self.bridge = bridge
        self.streams = {}
        self.waiting = []  # packets for the guest that found no buffer
        self.next_port = 100000
        self.resets, wake = os.pipe()
        self.selector.register(self.resets, selectors.EVENT_READ, self.reset_transport)
        signal.signal(signal.SIGUSR1, lambda *_: os.write(wake, b"!"))
        self.listen(bridge, self.accept_unix)

    def ring_stopped(self, index):
        if index == RX:
            self.forget_streams()

    def front_end_gone(self):
        sys.exit(0)

    # --- the rings ---

    def serve(self):
        """Takes all that the guest sent, and sends what there is for it."""
        took = False
        while (buffer := self.rings[TX].take(self.memory)) is not None:
            head, pieces = buffer
            self.take_packet(b"".join(self.memory.read(at, size) for at, size, _ in pieces))
            self.rings[TX].give(self.memory, head, 0)
            took = True
        if took:
            self.rings[TX].signal()
        gave = self.put_waiting()
        for stream in list(self.streams.values()):
            gave |= self.pump(stream)
        if self.put_waiting() or gave:
            self.rings[RX].signal()

    def put_waiting(self):
        gave = False
        while self.waiting and self.put(self.waiting[0]):
            self.waiting.pop(0)
            gave = True
        return gave

    def put(self, packet, ring=RX):
        buffer = self.rings[ring].take(self.memory)
        if buffer is None:
            return False
        head, pieces = buffer
        at, size, writable = pieces[0]
        assert writable and len(pieces) == 1 and size >= len(packet), "not a receive buffer"
        self.memory.write(at, packet)
        self.rings[ring].give(self.memory, head, len(packet))
        return True

    def reset_transport(self, resets):
        os.read(resets, 1)
        self.forget_streams()
        assert self.put(struct.pack("<I", 0), EVENT), "no buffer for an event"
        self.rings[EVENT].signal()

    def packet(self, stream, op, flags=0, data=b""):
        stream.told = stream.fwd_cnt
        return HEADER.pack(
            *(HOST, self.cid, stream.host_port, stream.guest_port, len(data), stream.kind, op, flags),
            *(BUFFER, stream.fwd_cnt % 2**32),
        ) + data

    def send(self, stream, op, flags=0):
        self.waiting.append(self.packet(stream, op, flags))

    # --- streams ---

    def pump_messages(self, stream):
        """The same for messages, each as a whole."""
        while stream.open and not stream.unix_ended and not self.waiting:
            try:
                data = stream.unix.recv(BUFFER, socket.MSG_PEEK)
            except BlockingIOError:
                return
            if not data:
                self.end_unix(stream)
            if not data or len(data) > stream.credit():
                return
            stream.unix.recv(BUFFER)
            stream.tx_cnt += len(data)
            size = 4096 - HEADER.size
            for at in range(0, len(data), size):
                flags = END_OF_MESSAGE if at + size >= len(data) else 0
                self.waiting.append(self.packet(stream, RW, flags, data[at : at + size]))

    def end_unix(self, stream):
        stream.unix_ended = True
        self.watch(stream)
        self.send(stream, SHUTDOWN, NO_SEND | (NO_RECEIVE if stream.guest_ended else 0))

    def pump(self, stream):
        """Data from the Unix side, as far as it is there and the guest has room."""
        sent = False
        if stream.kind == SEQPACKET:
            self.pump_messages(stream)
            return False
        while stream.open and not stream.unix_ended and stream.credit() > 0 and not self.waiting:
            try:
                data = stream.unix.recv(min(4096 - HEADER.size, stream.credit()), socket.MSG_PEEK)
            except BlockingIOError:
                break
            except ConnectionResetError:
                self.send(stream, RST)
                self.drop(stream)
                break
            if not data:
                self.end_unix(stream)
                break
            if not self.put(self.packet(stream, RW, 0, data)):
                break
            stream.unix.recv(len(data))
            stream.tx_cnt += len(data)
            sent = True
        return sent

    def flush(self, stream):
        """What the guest sent goes to the Unix side."""
        try:
            while stream.messages:
                stream.fwd_cnt += stream.unix.send(stream.messages[0])
                stream.messages.pop(0)
            while stream.to_unix and stream.kind == STREAM:
                n = stream.unix.send(stream.to_unix)
                stream.to_unix = stream.to_unix[n:]
                stream.fwd_cnt += n
        except BlockingIOError:
            pass
        except OSError:
            self.send(stream, RST)
            self.drop(stream)
            return
        self.watch(stream)
        if stream.fwd_cnt - stream.told >= BUFFER // 4:
            self.send(stream, CREDIT_UPDATE)
        if stream.guest_ended and not (stream.to_unix or stream.messages or stream.unix_told):
            stream.unix_told = True
            stream.unix.shutdown(socket.SHUT_WR)
            if stream.unix_ended:
                self.send(stream, SHUTDOWN, NO_SEND | NO_RECEIVE)

    def watch(self, stream):
        self.unwatch(stream)
        events = 0 if stream.unix_ended else selectors.EVENT_READ
        if stream.messages or (stream.to_unix and stream.kind == STREAM):
            events |= selectors.EVENT_WRITE
        if events and stream.unix.fileno() >= 0:
            self.selector.register(stream.unix, events, lambda _: self.flush(stream))

    def unwatch(self, stream):
        if self.selector.get_map().get(stream.unix.fileno()):
            self.selector.unregister(stream.unix)

    def drop(self, stream):
        self.unwatch(stream)
        stream.unix.close()
        stream.open = False
        self.streams.pop((stream.host_port, stream.guest_port), None)

    def forget_streams(self):
        self.waiting.clear()
        for stream in list(self.streams.values()):
            self.drop(stream)

    def take_packet(self, data):
        source, target, guest_port, host_port, size, kind, op, flags, alloc, fwd = HEADER.unpack_from(data)
        assert source == self.cid and target == HOST and kind in (STREAM, SEQPACKET), "a packet with a lie in it"
        assert len(data) == HEADER.size + size, "a packet with a wrong length"
        stream = self.streams.get((host_port, guest_port))
        if op == REQUEST and not stream:
            stream = self.connect_unix(host_port, guest_port, kind)
        if not stream:
            if op != RST:
                self.send(Stream(None, host_port, guest_port, kind), RST)
            return
        stream.peer_alloc, stream.peer_fwd = alloc, fwd
        if op == RST:
            self.drop(stream)
        elif op == RESPONSE:
            stream.open = True
            stream.unix.send(stream.answer)
            self.watch(stream)
        elif op == SHUTDOWN and flags == NO_SEND | NO_RECEIVE:
            stream.unix.setblocking(True)  # the rest of it, however long that takes
            self.flush(stream)
            self.send(stream, RST)
            self.drop(stream)
        elif op == SHUTDOWN and flags & NO_SEND:
            stream.guest_ended = True
            self.flush(stream)
        elif op == RW:
            assert len(stream.to_unix) + size <= BUFFER, "more than there is room for"
            stream.to_unix += data[HEADER.size :]
            if kind == SEQPACKET and flags & END_OF_MESSAGE:
                stream.messages.append(stream.to_unix)
                stream.to_unix = b""
            self.flush(stream)
        elif op == CREDIT_REQUEST:
            self.send(stream, CREDIT_UPDATE)

    def connect_unix(self, host_port, guest_port, kind):
        unix = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM if kind == STREAM else socket.SOCK_SEQPACKET
        )
        try:
            unix.connect(f"{self.bridge}_{host_port}")
        except OSError:
            unix.close()
            return None
        stream = self.add(unix, host_port, guest_port, kind)
        stream.open = True
        self.send(stream, RESPONSE)
        return stream

    def add(self, unix, host_port, guest_port, kind=STREAM):
        unix.setblocking(False)
        stream = self.streams[host_port, guest_port] = Stream(unix, host_port, guest_port, kind)
        self.watch(stream)
        return stream

    def accept_unix(self, listener):
        unix, _ = listener.accept()
        line = b""
        while not line.endswith(b"\n"):
            line += unix.recv(1)
        stream = self.add(unix, self.next_port, int(line.split()[1]))
        stream.answer = b"OK %d\n" % self.next_port
        self.unwatch(stream)  # until the guest has answered
        self.next_port += 1
        self.send(stream, REQUEST)


if __name__ == "__main__":
    Daemon(sys.argv[1], sys.argv[2], int(sys.argv[3])).run()
