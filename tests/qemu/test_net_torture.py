"""A hostile or broken network, in short: what `make net-torture` does for as long as one likes.

Needs root for namespaces. Read tests/torture/net_torture.py for the disturbances, net_loads.py for
the clients.
"""
import os
import random
import re
import subprocess
import sys
import time

import pytest

from ferrule import Guest, TOP
from frames import GUEST_LINK_LOCAL
from test_net import download, tap_guest
from netns import GUEST, STATIC, BadCable, Network, why_not
from website import sha256

sys.path.append(os.path.join(TOP, "tests", "torture"))
import net_torture  # noqa: E402
from net_flood import SynFlood  # noqa: E402

DOWNLOADS_S = 60
HEAP_MAX = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def possible():
    reason = why_not()
    if reason:
        pytest.skip(reason)


def counters(guest):
    """What the console command `net` tells about the stack."""
    text = guest.command_output("net", r"time-outs \d+")
    patterns = {
        "heap_peak": r"heap \d+ bytes, at most (\d+)",
        "given_up": r"given up (\d+)",
        "refused": r"neighbours refused (\d+)",
        "recovered": r"recovered from (\d+)",
        "again": r"sent again for them (\d+)",
        "timeouts": r"time-outs (\d+)",
    }
    return {name: int(re.search(pattern, text).group(1)) for name, pattern in patterns.items()}


@pytest.mark.parametrize(
    "ports, over_ipv6",
    [((80,), False), ((7, 9, 19, 80), False), ((80,), True)],
    ids=["one-port", "all-ports", "ipv6"],
)
def test_syn_flood(ports, over_ipv6, site, tmp_path):
    """While SYNs of peers that do not exist keep coming, from neighbours and from afar, real clients
    get through, and half-open connections take no more memory than they may.
    """
    words = STATIC + " services=echo,discard,chargen"
    with Network() as network, tap_guest(network, site.disk, words=words) as guest:
        guest.wait_ready()
        network.ping(GUEST)
        if over_ipv6:
            guest.wait_for(rf"(?i)eth0: {GUEST_LINK_LOCAL}/64")
        address = f"[{GUEST_LINK_LOCAL}%tap0]" if over_ipv6 else GUEST
        with SynFlood(network, random.Random(8), ports, over_ipv6) as flood:
            while counters(guest)["given_up"] < 300:
                assert flood.sent < 100000, guest.tail()
            start = time.monotonic()
            for number in range(10):
                output = tmp_path / f"{number}"
                # An attempt may be given up while its handshake is under way.
                client = network.curl(
                    "sizes/65537.bin",
                    output,
                    *("--retry", "5", "--retry-all-errors"),
                    address=address,
                )
                assert client.wait() == 0
                assert sha256(output.read_bytes()) == site.files["sizes/65537.bin"][1]
            # Without the help of net/lwip_backlog.c and net/lwip_neighbours.c one takes that long.
            assert time.monotonic() - start < DOWNLOADS_S
            last = counters(guest)
            print(flood.sent, last, time.monotonic() - start)
            assert last["given_up"] > 500 and last["refused"] > 100
            assert last["heap_peak"] < HEAP_MAX
        guest.power_off()


def test_losses(large_site, tmp_path):
    """When one frame in a hundred is lost, TCP sends those again and not everything behind them, and
    seldom has to wait for its timer to learn of them.
    """
    with Network() as network, BadCable(network, 9, lose=0.01) as cable, Guest(
        large_site.disk, backend=cable.backend, words=STATIC, pass_fds=[cable.fileno()]
    ) as guest:
        guest.wait_ready()
        for _ in range(4):
            download(network, large_site, "large/1mb.bin", tmp_path)
        told = counters(guest)
        print(cable.counts, told)
        assert told["recovered"] >= 10
        # A machine that is busy elsewhere may be late with acknowledgements, which looks like losses.
        assert told["timeouts"] <= told["recovered"]
        assert told["again"] <= 2 * cable.counts["lost"]
        guest.power_off()


# test_hotplug.py pulls cards out, test_router.py has a router.
@pytest.mark.parametrize(
    "torture",
    [each for each in net_torture.TORTURES if each not in net_torture.APART],
    ids=lambda each: each.__name__,
)
def test_torture(torture, large_site):
    """A second of each disturbance, with clients at work: right bytes, nobody left waiting, and the
    memory free again.
    """
    if missing := net_torture.needed_programs():
        pytest.skip(f"needs {', '.join(missing)}")
    counted = net_torture.run(torture, large_site, "share", 1)
    print(counted)
    assert counted["transfers"] > 0


def test_bulk_soak():
    """Some bulk transfers, one and eight at once, by the script that makes a thousand."""
    script = os.path.join(TOP, "tests", "torture", "bulk-soak")
    done = subprocess.run([script, "10", "share"], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^[1-9]\d* passed, 0 failed$", done.stdout, re.M)
