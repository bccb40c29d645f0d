"""A guest on Open vSwitch's user-space datapath, by vhost-user, with VLANs that the switch puts on and
takes off.

Read ovs.py first. The guest is that of test_offload.py.
"""
import os
import time

import pytest

import netns
import ovs
from ferrule import BUILD, Guest
from netns import Network, NetworkError
from test_offload import from_guest, to_guest

HOST, GUEST = "10.79.0.1", "10.79.0.2"
HOST100, GUEST100 = "10.80.0.1", "10.80.0.2"
MEMORY = "128M"
WORDS = (
    f"ip={GUEST}:::255.255.255.0 vlan=eth0:100,eth0:200"
    f" ip={GUEST100}:::255.255.255.0::eth0.100 ip=:::::eth0.200:off"
)
BULK = 1_000_001


@pytest.fixture(autouse=True)
def possible():
    reason = netns.why_not() or ovs.why_not()
    if reason:
        pytest.skip(reason)


def guest_at(network, path):
    """QEMU 7.2 cannot start such a device with MSI-X and without KVM; it has no vectors, then."""
    return Guest(
        kernel=os.path.join(BUILD, "bulk.elf"),
        machine="q35,memory-backend=mem",
        memory=MEMORY,
        backend="vhost-user,id=net0,chardev=switch",
        nic="vectors=0",
        namespace=network.name,
        words=WORDS,
        arguments_first=[
            *("-object", f"memory-backend-memfd,id=mem,size={MEMORY},share=on"),
            *("-chardev", f"socket,id=switch,path={path},server=on,wait=off"),
        ],
    )


def wait_for_answer(network, address):
    """The switch looks for the guest once in a while."""
    deadline = time.monotonic() + ovs.START_TIMEOUT_S
    while True:
        try:
            return network.ping(address, count=1)
        except NetworkError:
            if time.monotonic() > deadline:
                raise


def wait_for_counts(switch, packets):
    """The switch's counters follow once in a while, too."""
    deadline = time.monotonic() + ovs.START_TIMEOUT_S
    while True:
        counts = switch.statistics("guest0")
        if min(counts.get("rx_packets", 0), counts.get("tx_packets", 0)) > packets:
            return counts
        assert time.monotonic() < deadline, counts
        time.sleep(0.5)


def test_vlans_of_a_switch():
    """Bulk in both directions between the guest and the switch's own port, and between the guest's
    VLAN and a port that is in it and does not know. The switch counts what it told the guest.
    """
    with Network() as network, ovs.Switch(network) as switch:
        switch.use_interface("br0", f"{HOST}/24")
        switch.add_interface("host100", f"{HOST100}/24", 100)
        with guest_at(network, switch.add_guest("guest0")) as guest:
            guest.wait_for(r"eth0\.100: " + GUEST100)
            guest.wait_for("bulk: ready")
            wait_for_answer(network, GUEST)
            for address in (GUEST, GUEST100):
                network.ping(address)
                from_guest(network, BULK, address=address)
                to_guest(network, BULK, address=address)
            counts = wait_for_counts(switch, 500)
            assert counts["tx_q0_guest_notifications"] < counts["tx_packets"] / 2, counts
            guest.power_off(quiet=False)  # it says when the switch came and went
