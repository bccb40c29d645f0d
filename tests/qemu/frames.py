"""Ethernet frames made and judged by hand: good ones, ones with a wrong checksum, and seeded
nonsense.

Owns the wire formats that test_net.py needs and nothing of how frames are sent (netns.py). RFC 791,
8200, 9293.
"""
import socket
import struct

from netns import GUEST, HOST

GUEST_MAC = bytes.fromhex("525400123456")
# Belongs to nobody: what is answered to it is lost.
NOBODY_MAC = bytes.fromhex("02aabbccddee")
GUEST_LINK_LOCAL = "fe80::5054:ff:fe12:3456"

ETHERTYPE_IPV4 = b"\x08\x00"
ETHERTYPE_ARP = b"\x08\x06"
ETHERTYPE_VLAN = b"\x81\x00"
ETHERTYPE_IPV6 = b"\x86\xdd"
TCP, ICMPV6 = 6, 58


def ones_complement(data):
    """The Internet checksum's sum, not yet inverted."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data):
    return struct.pack("!H", 0xFFFF - ones_complement(data))


def ipv4(
    source, target, protocol, payload, *, version_length=0x45, length=None, identity=1, fragment=0
):
    """An IPv4 packet whose header checksum is right, whatever else is not."""
    header = struct.pack(
        "!BBHHHBBH4s4s",
        version_length,
        0,
        20 + len(payload) if length is None else length,
        identity,
        fragment,
        64,
        protocol,
        0,
        socket.inet_aton(source),
        socket.inet_aton(target),
    )
    return header[:10] + checksum(header) + header[12:] + payload


def _pseudo_header(source, target, length, protocol=TCP):
    if ":" in source:
        addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(
            socket.AF_INET6, target
        )
        return addresses + struct.pack("!II", length, protocol)
    return socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!HH", protocol, length)


def tcp_syn(source, target, source_port, sequence, good=True, port=80):
    """A SYN, with a right checksum or a wrong one, for IPv4 or IPv6 as the addresses are."""
    segment = struct.pack("!HHIIBBHHH", source_port, port, sequence, 0, 5 << 4, 2, 1000, 0, 0)
    right = checksum(_pseudo_header(source, target, len(segment)) + segment)
    used = right if good else bytes([right[0] ^ 0x55, right[1]])
    return segment[:16] + used + segment[18:]


def ipv6(source, target, protocol, payload):
    header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
    addresses = (socket.inet_pton(socket.AF_INET6, address) for address in (source, target))
    return header + b"".join(addresses) + payload


def packet_too_big(source, target, mtu, quoted):
    """A Packet Too Big message of ICMPv6 (RFC 4443, 3.2), as an IPv6 packet."""
    message = struct.pack("!BBHI", 2, 0, 0, mtu) + quoted
    right = checksum(_pseudo_header(source, target, len(message), ICMPV6) + message)
    return ipv6(source, target, ICMPV6, message[:2] + right + message[4:])


def arp_request(mac, source, target):
    return (
        struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
        + mac
        + socket.inet_aton(source)
        + bytes(6)
        + socket.inet_aton(target)
    )


def to_guest(ethertype, payload, source=NOBODY_MAC):
    return GUEST_MAC + source + ethertype + payload


def tcp_checksum_good(frame):
    """Whether a TCP frame's checksum is right; None for a frame that is something else."""
    if frame[12:14] == ETHERTYPE_IPV4 and frame[23] == TCP:
        start, length = 14 + (frame[14] & 15) * 4, struct.unpack("!H", frame[16:18])[0]
        segment = frame[start : 14 + length]
        pseudo = frame[26:34] + struct.pack("!HH", TCP, len(segment))
    elif frame[12:14] == ETHERTYPE_IPV6 and frame[20] == TCP:
        segment = frame[54 : 54 + struct.unpack("!H", frame[18:20])[0]]
        pseudo = frame[22:54] + struct.pack("!II", len(segment), TCP)
    else:
        return None
    return ones_complement(pseudo + segment) == 0xFFFF


def is_tcp_answer(frame, port):
    """Whether the guest sent this IPv4 TCP segment to the port."""
    return (
        frame[6:12] == GUEST_MAC
        and frame[12:14] == ETHERTYPE_IPV4
        and frame[23] == TCP
        and struct.unpack("!H", frame[36:38])[0] == port
    )


LENGTHS = (0, 1, 5, 19, 20, 21, 27, 28, 39, 40, 41, 60, 100, 500, 1400)
SOURCES = (HOST, "10.77.0.99", "0.0.0.0", "255.255.255.255", "127.0.0.1", GUEST)
TARGETS = (GUEST, GUEST, "10.77.0.255", "224.0.0.1", "255.255.255.255")


def _nonsense_ipv6(random, body):
    """Chains of extension headers that lie about their lengths, and whatever else comes."""
    source = socket.inet_pton(socket.AF_INET6, "fe80::beef")
    target = socket.inet_pton(
        socket.AF_INET6, random.choice((GUEST_LINK_LOCAL, "ff02::1", "ff02::1:ff12:3456"))
    )
    header = struct.pack(
        "!IHBB",
        6 << 28,
        random.choice((len(body), random.randrange(65536))),
        random.choice((0, 6, 17, 43, 44, 58, 60, 255)),
        255,
    )
    return header + source + target + body


def _nonsense_ipv4(random, body):
    """A right header checksum, so that it is looked at, and everything else made up."""
    ports = struct.pack(
        "!HH", random.randrange(65536), random.choice((80, 68, 53, 5353, random.randrange(65536)))
    )
    payload = random.choice((b"", ports)) + body
    return ipv4(
        random.choice(SOURCES),
        random.choice(TARGETS),
        random.choice((1, 2, 6, 6, 17, 17, 50, random.randrange(256))),
        payload,
        version_length=random.choice((0x45, 0x45, 0x46, 0x4F, 0x44, 0x40)),
        length=random.choice((20 + len(payload), random.randrange(65536))),
        identity=random.randrange(65536),
        fragment=random.choice((0, 0, 0x2000, 0x3FFF, random.randrange(65536))),
    )


def nonsense(random):
    """One frame that is wrong in one way or another, from a seeded source."""
    body = random.randbytes(random.choice(LENGTHS))
    frame = random.choice(
        (
            lambda: random.randbytes(random.randrange(14, 1500)),
            lambda: to_guest(random.randbytes(2), body),
            lambda: to_guest(ETHERTYPE_ARP, b"\0\1\x08\0\6\4\0" + body),
            lambda: to_guest(ETHERTYPE_ARP, body),
            lambda: to_guest(ETHERTYPE_VLAN, b"\0\5" + ETHERTYPE_IPV4 + body),
            lambda: to_guest(ETHERTYPE_IPV6, b"\x60" + body),
            lambda: to_guest(ETHERTYPE_IPV6, _nonsense_ipv6(random, body)),
            lambda: to_guest(ETHERTYPE_IPV6, _nonsense_ipv6(random, body)),
            lambda: to_guest(ETHERTYPE_IPV4, _nonsense_ipv4(random, body)),
            lambda: to_guest(ETHERTYPE_IPV4, _nonsense_ipv4(random, body)),
            lambda: to_guest(ETHERTYPE_IPV4, _nonsense_ipv4(random, body)),
        )
    )()
    return frame[:1514]
