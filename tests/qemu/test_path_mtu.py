"""Messages that a packet was too big for the next link (RFC 8201), by hand: those that make sense are
heeded, those that lie do no harm. test_router.py has a real router that sends them.
"""
import re
import struct

import pytest

from frames import ETHERTYPE_IPV6, GUEST_MAC, ICMPV6, TCP, ipv6, packet_too_big, to_guest
from netns import HOST6, STATIC, Network, NetworkError, why_not
from test_net import download, tap_guest

GUEST6 = "fd00:77::2"
ROUTER6 = "fd00:77::99"
ECHO_REPLY = bytes([129, 0, 0, 0, 0, 1, 0, 1])
# None of them is a path's, RFC 8200, 5: 1280 at least. 48 has no room for a fragment, 56 for 8 bytes.
LIES = (0, 40, 48, 56, 60, 1279, 1500, 65535, 0xFFFFFFFF)


@pytest.fixture
def pair(site):
    """A network, a guest with a global address, and a way to tell it of narrow paths."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    words = f"{STATIC} ip6={GUEST6}/64"
    with Network() as network, tap_guest(
        network, site.disk, words=words, nic="host_tso6=off"
    ) as guest:
        network.run("ip", "address", "add", f"{HOST6}/64", "dev", "tap0", "nodad")
        guest.wait_ready()
        network.ping(GUEST6)
        with network.packet_socket("tap0") as wire:

            def tell(mtu, quoted):
                wire.send(to_guest(ETHERTYPE_IPV6, packet_too_big(ROUTER6, GUEST6, mtu, quoted)))

            yield network, guest, tell
        guest.power_off()


def told(guest):
    """How many messages were believed, and how many not."""
    text = guest.command_output("net", r"time-outs \d+")
    found = re.search(r"narrow paths learned (\d+) and not believed (\d+)", text)
    return int(found.group(1)), int(found.group(2))


def quote(source=GUEST6, target=HOST6, protocol=ICMPV6, payload=ECHO_REPLY):
    return ipv6(source, target, protocol, payload)


def test_lies(pair, site, tmp_path):
    """Sizes that no path has, quotes of packets that the guest never sent, and quotes cut short."""
    network, guest, tell = pair
    for mtu in LIES:
        tell(mtu, quote())
        network.ping(GUEST6, "-s", "4000", count=1)
        download(network, site, "sizes/65537.bin", tmp_path, address=f"[{GUEST6}]")
    with network.connect(80, GUEST6) as idle:  # has sent nothing that could have been too big
        segment = struct.pack("!HHI", 80, idle.getsockname()[1], 1)
        for wrong in (
            quote(source=HOST6),
            quote(target="fd00:77::3"),
            quote(protocol=TCP, payload=struct.pack("!HHI", 80, 4444, 1)),
            quote(protocol=TCP, payload=segment),
            quote(protocol=TCP, payload=segment[:7]),
            quote()[:39],
            b"",
        ):
            tell(1300, wrong)
        network.ping(GUEST6, count=1)
    assert told(guest) == (0, len(LIES) + 7)


def test_heeded(pair, site, tmp_path):
    """What is believed holds for packets of each kind from then on, and gets only smaller."""
    network, guest, tell = pair
    for mtu, narrow in ((1400, 1400), (1280, 1280), (1300, 1280)):
        tell(mtu, quote())
        with network.capture("tap0") as frames:
            network.ping(GUEST6, "-s", "4000", count=1)
            download(network, site, "sizes/65537.bin", tmp_path, address=f"[{GUEST6}]")
        sizes = [len(f) - 14 for f in frames if f[6:12] == GUEST_MAC and f[12:14] == ETHERTYPE_IPV6]
        assert narrow - 8 < max(sizes) <= narrow
    assert told(guest) == (2, 1)


def test_silence(pair, site, tmp_path):
    """A narrow path of which nobody tells: after some time-outs segments are as small as they may be."""
    network, guest, _ = pair
    too_long = ("-p", "tcp", "-m", "length", "--length", "1341:65535")
    try:
        network.run("ip6tables", "-A", "INPUT", *too_long, "-j", "DROP")
    except NetworkError as error:
        pytest.skip(f"no packets of a length can be dropped here: {error}")
    download(network, site, "sizes/65537.bin", tmp_path, address=f"[{GUEST6}]")
    assert told(guest) == (0, 0)
