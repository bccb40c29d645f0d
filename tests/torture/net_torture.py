"""Disturbances of a guest's network, each with clients at work: what comes must be right, nobody may
wait for ever, and the guest's memory must be free again afterwards.

A disturbance is a function of a network, a site and a seeded source of numbers that boots a guest of
its own; TORTURES names them all. Used by net-torture and tests/qemu/test_net_torture.py. Read
net_loads.py for the clients.
"""
import contextlib
import json
import os
import random
import re
import socket
import time

from ferrule import Guest
from frames import ETHERTYPE_IPV4, TCP, ipv4, nonsense, tcp_syn, to_guest
from net_flood import SynFlood
from net_loads import Clients
from netns import GUEST, STATIC, BadCable, Network, NetworkError
from router import BEHIND, BEHIND_BACKEND, STATIC_BEHIND, Router

TAP = "tap,id=net0,ifname=tap0,script=no,downscript=no,vhost=off"
SERVICES = "services=echo,discard,chargen"
WORDS = f"{STATIC} {SERVICES}"
SLOTS = [
    *("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"),
    *("-device", "pcie-root-port,id=slot1,slot=1,chassis=1,addr=0x9"),
]
MTUS = (68, 576, 1280, 1500, 4000, 9000, 16110)
NICS = ("", "packed=on", "mrg_rxbuf=off", "csum=off,guest_csum=off", "disable-modern=on")

# TCP may have to try again after a pause of its own making, twice as long each time.
SETTLE_S = 60
# What the stack may still hold when all connections are closed or in TIME-WAIT.
IDLE_HEAP = 256 << 10


class Torture(AssertionError):
    """The guest did not stand it."""


def heap_of(guest):
    """Bytes of the stack's memory: now, at most, limit."""
    text = guest.command_output("net", r"time-outs \d+")
    return [int(n) for n in re.search(r"heap (\d+) bytes, at most (\d+) of (\d+)", text).groups()]


def settle(network, guest, clients, quiet=True, address=GUEST):
    """The disturbance is over: everything that is under way must end, and the memory be free."""
    if clients.errors:
        raise Torture(f"{clients.errors[0]}\n{guest.tail()}")
    deadline = time.monotonic() + SETTLE_S
    while True:
        with contextlib.suppress(NetworkError):
            network.ping(address, count=1)
            break
        if time.monotonic() > deadline:
            raise Torture(f"no answer to a ping any more\n{guest.tail()}")
    while heap_of(guest)[0] > IDLE_HEAP:
        if time.monotonic() > deadline:
            raise Torture(f"memory is not free again: {heap_of(guest)}\n{guest.tail()}")
        time.sleep(0.5)
    now, most, limit = heap_of(guest)
    if most > limit:
        raise Torture(f"more memory than the limit: {most} of {limit}")
    guest.power_off(quiet=quiet)
    return {
        "transfers": clients.done,
        "broken": clients.broken,
        "bytes": clients.bytes,
        "heap_peak": most,
        "heap_after": now,
    }


@contextlib.contextmanager
def booted(network, site, **options):
    options = {"nic": "", "backend": TAP, "namespace": network.name, "words": WORDS, **options}
    with Guest(site.disk, **options) as guest:
        yield guest.wait_ready() if options.get("nic") is not None else guest.wait_started()


def cable(site, source, seconds):
    """Frames are lost, repeated, reordered, late and damaged between QEMU and the tap."""
    odds = dict(
        lose=source.choice((0, 0.01, 0.03)),
        repeat=source.choice((0, 0.05)),
        delay=source.choice((0, 0.05)),
        damage=source.choice((0, 0.01)),
        latency_s=source.choice((0, 0.02)),
    )
    with Network() as network, BadCable(network, source.random(), **odds) as bad:
        options = dict(backend=bad.backend, namespace=None, pass_fds=[bad.fileno()])
        with booted(network, site, **options) as guest:
            with Clients(network, site, source) as clients:
                time.sleep(seconds)
                bad.heal()
            return {**settle(network, guest, clients), **odds, **bad.counts}


def chance(site, source, seconds):
    """The host's packet filter drops packets by chance, in both directions."""
    probability = source.choice((0.01, 0.05, 0.1))
    with Network() as network, booted(network, site, nic=source.choice(NICS)) as guest:
        rule = ("-m", "statistic", "--mode", "random", "--probability", str(probability))
        with Clients(network, site, source) as clients:
            for chain in ("INPUT", "OUTPUT"):
                network.run("iptables", "-A", chain, *rule, "-j", "DROP")
            time.sleep(seconds)
            network.run("iptables", "-F")
        return {**settle(network, guest, clients), "lose": probability}


def mtu(site, source, seconds):
    """Links of every MTU, 68 bytes (RFC 791) to more than 9000."""
    size = source.choice(MTUS)
    with Network(mtu=size) as network:
        with booted(network, site, nic=f"host_mtu={size}") as guest:
            with Clients(network, site, source) as clients:
                time.sleep(seconds)
            return {**settle(network, guest, clients), "mtu": size}


def frames(site, source, seconds):
    """Seeded nonsense, frames shorter than their headers, and wrong checksums among the real ones."""
    sent = 0
    with Network() as network, booted(network, site, nic=source.choice(NICS)) as guest:
        with Clients(network, site, source) as clients:
            end = time.monotonic() + seconds
            with network.packet_socket("tap0") as wire:
                while time.monotonic() < end:
                    syn = tcp_syn("10.77.0.9", GUEST, source.randrange(65536), 1, good=False)
                    wrong = to_guest(ETHERTYPE_IPV4, ipv4("10.77.0.9", GUEST, TCP, syn))
                    for frame in (nonsense(source), wrong, wrong[: source.randrange(14, 54)]):
                        with contextlib.suppress(OSError):  # the queue is full
                            wire.send(frame)
                            sent += 1
                    time.sleep(0.001)
        return {**settle(network, guest, clients), "frames": sent}


def flood(site, source, seconds):
    """SYNs of peers that do not exist, to every port. Handshakes may be given up."""
    with Network() as network, booted(network, site) as guest:
        with Clients(network, site, source, may_break=True) as clients:
            with SynFlood(network, source, (7, 9, 19, 80)) as syns:
                time.sleep(seconds)
        if clients.done == 0:
            raise Torture(f"nobody got through\n{guest.tail()}")
        return {**settle(network, guest, clients), "syns": syns.sent}


def short(site, source, seconds):
    """Connections that end as soon as they have begun, in each way in which they may."""
    connections = 0
    with Network() as network, booted(network, site, nic=source.choice(NICS)) as guest:
        with Clients(network, site, source) as clients:
            end = time.monotonic() + seconds

            def hurry():
                nonlocal connections
                while time.monotonic() < end:
                    with socket.create_connection((GUEST, source.choice((7, 9, 19, 80))), 10) as one:
                        if source.random() < 0.3:
                            linger = (1).to_bytes(4, "little") + bytes(4)
                            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        elif source.random() < 0.5:
                            one.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    connections += 1

            network.inside(hurry)
        return {**settle(network, guest, clients), "connections": connections}


def flap(site, source, seconds):
    """The link goes down and comes back during transfers."""
    times, end = 0, time.monotonic() + seconds
    with Network() as network, booted(network, site, nic=source.choice(NICS)) as guest:
        with Clients(network, site, source) as clients:
            while time.monotonic() < end or times == 0:
                time.sleep(source.uniform(0.05, 0.5))
                guest.qmp("set_link", name="net0", up=False)
                time.sleep(source.uniform(0.01, 0.3))
                guest.qmp("set_link", name="net0", up=True)
                times += 1
        return {**settle(network, guest, clients), "flaps": times}


def wait_for_removal(guest):
    """QEMU lets go of the card after the guest has."""
    deadline = time.monotonic() + 20
    while '"card"' in json.dumps(guest.qmp("qom-list", path="/machine/peripheral")):
        if time.monotonic() > deadline:
            raise Torture(f"the card does not go\n{guest.tail()}")
        time.sleep(0.1)


def unplug(site, source, seconds):
    """The NIC is pulled out during transfers, and plugged in again."""
    times, end = 0, time.monotonic() + seconds
    card = dict(driver="virtio-net-pci", id="card", bus="slot1", netdev="net0", romfile="")
    with Network() as network, booted(
        network, site, nic=None, arguments=["-netdev", TAP, *SLOTS]
    ) as guest:
        while time.monotonic() < end or times == 0:
            guest.qmp("device_add", **card)
            guest.wait_for(r"eth0: 10\.77\.0\.2/24", new=True)
            with Clients(network, site, source, timeout_s=5, may_break=True) as clients:
                time.sleep(source.uniform(0.3, 1))
                guest.qmp("device_del", id="card")
                guest.wait_for(r"eth0: removed", 40, new=True)
            wait_for_removal(guest)
            times += 1
        guest.qmp("device_add", **card)
        guest.wait_for(r"eth0: 10\.77\.0\.2/24", new=True)
        with Clients(network, site, source) as after:
            time.sleep(0.5)
        # QEMU warns of a network that has no card at first.
        return {**settle(network, guest, after, quiet=False), "times": times}


def netem(source):
    """A line as bad as Linux can make one (tc-netem)."""
    words = [f"loss {source.choice((0, 1, 3))}%", f"duplicate {source.choice((0, 5))}%"]
    words.append(f"corrupt {source.choice((0, 1))}%")
    delay = source.choice((0, 1, 10))
    if delay:
        words.append(f"delay {delay}ms {source.choice((0, delay))}ms")
        words.append(f"reorder {source.choice((0, 30))}%")
    return " ".join(words)


def routed(site, source, seconds):
    """A Linux router between clients and guest, whose lines are bad and may be narrow."""
    lines = {"eth0": netem(source), "eth1": netem(source)}
    narrow = {leg: source.choice((1500, 1500, 1280)) for leg in lines}
    options = {"backend": BEHIND_BACKEND, "words": f"{STATIC_BEHIND} {SERVICES}"}
    with Router() as router, booted(
        router.network, site, nic=source.choice(NICS), **options
    ) as guest:
        with Clients(router.network, site, source, address=BEHIND) as clients:
            for leg, words in lines.items():
                router.run(f"ip link set {leg} mtu {narrow[leg]}")
                router.disturb(leg, words)
            time.sleep(seconds)
            for leg in lines:
                router.disturb(leg, "")
        told = settle(router.network, guest, clients, address=BEHIND)
        return {**told, "lines": lines, "mtu": list(narrow.values())}


TORTURES = (cable, chance, mtu, frames, flood, short, flap, unplug, routed)
# They need more than programs of this machine, and have tests of their own in tests/qemu.
APART = (unplug, routed)


def run(function, site, seed, seconds):
    """One disturbance; returns what was counted."""
    return function(site, random.Random(f"{function.__name__} {seed}"), seconds)


def needed_programs():
    """Programs that the disturbances call and that are not there."""
    paths = os.environ.get("PATH", "").split(":") + ["/usr/sbin", "/sbin"]
    return [
        name
        for name in ("iptables", "ip", "ping")
        if not any(os.access(os.path.join(path, name), os.X_OK) for path in paths)
    ]
