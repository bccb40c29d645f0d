"""The emulated e1000 card in the place of virtio-net: addresses, pings, downloads compared byte by byte,
IPv6, the link, and the card without interrupts.
"""
import pytest

from ferrule import Guest
from netns import GUEST, Network, why_not
from test_net import download, tap_guest
from website import check

needs_network = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@pytest.mark.parametrize("machine", ["q35", "pc"])
@pytest.mark.parametrize("words", ["", "irq=poll"])
def test_web_site(machine, words, site):
    """DHCP, then every file, on user networking."""
    with Guest(site.disk, machine=machine, nic_kind="e1000", words=words) as guest:
        guest.wait_ready()
        guest.require(
            r"e1000: rings of 256, checksums, " + ("polled" if words else "INTx"),
            r"eth0: 10\.0\.2\.15/24 via 10\.0\.2\.2.*DHCP",
        )
        check(guest, site)
        guest.power_off()


@needs_network
def test_traffic(large_site, tmp_path):
    """Pings of every size over IPv4 and IPv6, and 100 MB by curl."""
    with Network() as network, tap_guest(network, large_site.disk, nic_kind="e1000") as guest:
        guest.wait_ready()
        for size in (0, 56, 1000, 1472, 1473, 8000):
            network.ping(GUEST, "-s", str(size))
        guest.wait_for(r"eth0: (fe80::\S+)/64 \(link-local\)")
        network.ping(guest.find(r"eth0: (fe80::\S+)/64").group(1) + "%tap0")
        download(network, large_site, "large/100mb.bin", tmp_path)
        guest.require(r"checksum by device")
        guest.power_off()


def test_link(site):
    """A link that goes down and comes back is noticed, and traffic goes on."""
    with Guest(site.disk, nic_kind="e1000", nic="id=card") as guest:
        guest.wait_ready()
        guest.qmp("set_link", name="card", up=False)
        guest.wait_for(r"eth0: link down")
        guest.qmp("set_link", name="card", up=True)
        guest.wait_for(r"eth0: link up", new=True)
        guest.wait_http()
        check(guest, site)
        guest.power_off()
