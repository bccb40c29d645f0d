"""One VLAN of a network's tap0 as a tap interface of its own, for host kernels without VLAN devices.

Owns the relay that takes tags off and puts them on; frames keep the header that says which checksum
is to be made and which segments are to be cut, so offloads are at work on both sides. Read netns.py
first.
"""
import fcntl
import os
import select
import socket
import struct
import threading

SOL_PACKET, PACKET_AUXDATA, PACKET_VNET_HDR = 263, 8, 15
PACKET_OUTGOING = 4
TP_STATUS_VLAN_VALID = 1 << 4
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TAP_NO_PI_VNET_HDR = 0x5002
TUN_F_CSUM_TSO4_TSO6 = 7
# Flags, segmentation, header length, segment size, checksum start and offset (VIRTIO 5.1.9).
HEADER = struct.Struct("=BBHHHH")
NEEDS_CSUM, ETHERNET, TAG = 1, 12, 4
ETHERTYPE_VLAN = b"\x81\x00"


class Vlan:
    """The interface vlan<number> in a network, whose frames are tagged on tap0. Counts what passed,
    how much of it was larger than a packet of the MTU, and what came without the tag.
    """

    def __init__(self, network, number, address):
        self._number = number
        self.counts = {"in": 0, "out": 0, "large in": 0, "large out": 0, "others": 0}
        name = f"vlan{number}"
        self._trunk = network.packet_socket("tap0")
        self._trunk.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self._trunk.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self._trunk.setblocking(False)
        self._tap = network.inside(lambda: self._open_tap(name))
        network.run("ip", "link", "set", name, "up")
        network.run("ip", "address", "add", address, "dev", name)
        self._stop_read, self._stop_write = os.pipe()
        self._thread = threading.Thread(target=self._relay)
        self._thread.start()

    @staticmethod
    def _open_tap(name):
        handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP_NO_PI_VNET_HDR))
        fcntl.ioctl(handle, TUNSETOFFLOAD, TUN_F_CSUM_TSO4_TSO6)
        return handle

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._stop_write)
        self._thread.join()
        self._trunk.close()
        for handle in (self._tap, self._stop_read):
            os.close(handle)

    def _relay(self):
        while True:
            ready = select.select([self._trunk, self._tap, self._stop_read], [], [])[0]
            if self._stop_read in ready:
                return
            try:
                if self._trunk in ready:
                    self._from_trunk()
                if self._tap in ready:
                    self._to_trunk(os.read(self._tap, 1 << 17))
            except BlockingIOError:
                pass  # a full queue: one more lost frame

    def _from_trunk(self):
        data, control, _, address = self._trunk.recvmsg(1 << 17, 256)
        if address[2] == PACKET_OUTGOING:
            return
        number = 0
        for level, kind, value in control:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, tci = struct.unpack_from("=I", value)[0], struct.unpack_from("=H", value, 16)[0]
                number = tci & 0xFFF if status & TP_STATUS_VLAN_VALID else 0
        # The kernel has taken the tag off already, and counts the header's places without it.
        if number != self._number:
            self.counts["others"] += 1
            return
        self.counts["in"] += 1
        self.counts["large in"] += len(data) > 2000
        os.write(self._tap, data)

    def _to_trunk(self, data):
        flags, kind, header, size, start, offset = HEADER.unpack_from(data)
        if flags & NEEDS_CSUM:
            start += TAG
        header += TAG if header else 0
        frame = data[HEADER.size :]
        tag = ETHERTYPE_VLAN + struct.pack(">H", self._number)
        self._trunk.send(
            HEADER.pack(flags, kind, header, size, start, offset)
            + frame[:ETHERNET]
            + tag
            + frame[ETHERNET:]
        )
        self.counts["out"] += 1
        self.counts["large out"] += len(data) > 2000
