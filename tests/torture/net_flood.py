"""A flood of SYNs from peers that do not exist, for tests and for `make net-torture`.

Owns how such a flood looks and how fast it is. Read tests/qemu/netns.py for the network it is let
loose in.
"""
import threading
import time

from frames import (
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    GUEST_LINK_LOCAL,
    TCP,
    ipv4,
    ipv6,
    tcp_syn,
    to_guest,
)
from netns import GUEST

# Enough to fill the largest backlog (255) in a tenth of a second.
SYNS_PER_BURST = 30
BURST_S = 0.01


class SynFlood:
    """Sends bursts of SYNs to ports of the guest as long as the block lasts. Of IPv4's peers half are
    neighbours, the others behind a router; IPv6's are all on the link.
    """

    def __init__(self, network, random, ports=(80,), over_ipv6=False):
        self._random, self._over_ipv6 = random, over_ipv6
        self._ports = ports
        self._wire = network.packet_socket("tap0")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.sent = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._wire.close()

    def _frame(self):
        random = self._random
        port = random.choice(self._ports)
        numbers = (random.randrange(1024, 65536), random.randrange(2**32))
        if self._over_ipv6:
            peer = f"fe80::{random.randrange(1, 65536):x}:{random.randrange(65536):x}"
            syn = tcp_syn(peer, GUEST_LINK_LOCAL, *numbers, port=port)
            return to_guest(ETHERTYPE_IPV6, ipv6(peer, GUEST_LINK_LOCAL, TCP, syn))
        if random.random() < 0.5:
            peer = f"10.77.0.{random.randrange(10, 250)}"
        else:
            peer = f"203.0.{random.randrange(256)}.{random.randrange(1, 255)}"
        syn = tcp_syn(peer, GUEST, *numbers, port=port)
        return to_guest(ETHERTYPE_IPV4, ipv4(peer, GUEST, TCP, syn))

    def _run(self):
        while not self._stop.is_set():
            for _ in range(SYNS_PER_BURST):
                try:
                    self._wire.send(self._frame())
                    self.sent += 1
                except OSError:
                    pass  # the interface's queue is full
            time.sleep(BURST_S)
