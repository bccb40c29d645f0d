"""A Linux guest as router between the host's side of a network and a Ferrule guest.

Owns what the router is made of (Debian's cloud kernel, this machine's tc and dnsmasq), the two legs,
their addresses, and its shell. What is done to packets on the way is the caller's: see test_router.py
and tests/torture/net_torture.py. Read netns.py first.
"""
import functools
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ferrule import TOP, Guest
from netns import HOST6, Network, NetworkError, why_not

sys.path.append(os.path.join(TOP, "tests", "bench"))
from linux_parts import (  # noqa: E402
    Initramfs,
    Unavailable,
    cache_folder,
    pinned_packages,
    unpack,
)

NEAR, FAR, BEHIND = "10.77.0.254", "10.79.0.1", "10.79.0.2"
NEAR6, FAR6 = "fd00:77::254", "fd00:79::1"
BEHIND6 = "fd00:79::5054:ff:fe12:3456"  # by SLAAC, of QEMU's first hardware address
TAGGED_FAR, TAGGED = "10.80.0.1", "10.80.0.2"
STATIC_BEHIND = f"ip={BEHIND}::{FAR}:255.255.255.0"
TAP = "tap,id={},ifname={},script=no,downscript=no,vhost=off"
BEHIND_BACKEND = TAP.format("net0", "tap2")

PACKAGES = ("busybox-static", "linux-image-")
TC, DNSMASQ = "/usr/sbin/tc", "/usr/sbin/dnsmasq"
MODULES = ("8021q", "sch_netem", "virtio_net", "virtio_pci")
COMMANDS = ("sh", "mkdir", "mount", "insmod", "ip", "sleep", "ping", "cat")
MAC = "52:54:00:77:00:0"
BOOT_TIMEOUT_S = 90
COMMAND_TIMEOUT_S = 30
REACH_TIMEOUT_S = 30
KERNEL_WORDS = "console=ttyS0 quiet mitigations=off panic=-1"

# Routers are set up as Linux's documentation (ip-sysctl) says. The shell reads whole lines: an
# interactive one would want to edit them.
INIT = f"""#!/bin/sh
mount -t devtmpfs dev /dev
mount -t proc proc /proc
{{insmod}}
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
for each in all eth0 eth1; do
    echo 0 >/proc/sys/net/ipv6/conf/$each/accept_dad
    echo 1 >/proc/sys/net/ipv6/conf/$each/keep_addr_on_down
done
ip addr add {NEAR}/24 dev eth0
ip addr add {NEAR6}/64 dev eth0
ip addr add {FAR}/24 dev eth1
ip addr add {FAR6}/64 dev eth1
ip link set lo up
ip link set eth0 up
ip link set eth1 up
echo 'ready: router'
while read -r line; do eval "$line" 2>&1; echo "status $?"; done
"""


class RouterError(AssertionError):
    """The router could not do what it was told."""


def with_libraries(program):
    """A program of this machine, its loader and its libraries: path -> content."""
    text = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    paths = [program, *re.findall(r"(?:=> )?(/\S+) \(0x", text)]
    return {path.lstrip("/"): Path(path).read_bytes() for path in paths}


def make(folder):
    """Makes the kernel and the initramfs; raises Unavailable."""
    wanted = [each for each in pinned_packages() if each["package"].startswith(PACKAGES)]
    root = folder / "root"
    kernel, _ = unpack(wanted, cache_folder(), root)
    archive = Initramfs()
    archive.directories("dev", "proc", "etc", "tmp", "var/run", "var/lib/misc")
    archive.add("dev/console", Initramfs.DEVICE, device=(5, 1))
    archive.busybox(root, COMMANDS)
    insmod = archive.modules(root, MODULES)
    archive.file("etc/passwd", b"root:x:0:0::/:/bin/sh\n")
    for path, content in {
        k: v for each in (TC, DNSMASQ) for k, v in with_libraries(each).items()
    }.items():
        archive.file(path, content)
    archive.file("init", INIT.format(insmod=insmod).encode())
    archive.write(folder / "initramfs", packed=False)
    return kernel, folder / "initramfs"


@functools.cache
def files():
    """The router's kernel and initramfs, made once, and the folder that keeps them; or why not."""
    if reason := why_not():
        return None, reason
    if missing := [program for program in (TC, DNSMASQ) if not os.path.exists(program)]:
        return None, f"needs {', '.join(missing)}"
    folder = tempfile.TemporaryDirectory(prefix="ferrule-router-")
    try:
        return (*make(Path(folder.name)), folder), None
    except (Unavailable, subprocess.SubprocessError, OSError) as error:
        folder.cleanup()
        return None, f"no Linux guest can be made: {error}"


class Router:
    """A network whose tap0 leads to the router's eth0, and the router's eth1 over a bridge to tap2,
    which is for a guest of the caller's (BEHIND_BACKEND). Frames keep their offloads all the way.
    """

    def __init__(self, mtu=1500):
        made, reason = files()
        if not made:
            raise RouterError(reason)
        kernel, initramfs, _ = made
        self.network = Network(mtu=mtu)
        try:
            self._add_legs(mtu)
            self.guest = Guest(
                kernel=str(kernel),
                words=KERNEL_WORDS,
                backend=TAP.format("net0", "tap0"),
                nic=f"host_mtu={mtu},mac={MAC}1",
                arguments=[
                    *("-initrd", str(initramfs)),
                    *("-netdev", TAP.format("net1", "tap1")),
                    *("-device", f"virtio-net-pci,netdev=net1,romfile=,host_mtu={mtu},mac={MAC}2"),
                ],
                memory="256M",
                namespace=self.network.name,
            )
        except Exception:
            self.network.close()
            raise

    def _add_legs(self, mtu):
        run = self.network.run
        run("ip", "link", "add", "br1", "type", "bridge")
        run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/br1/disable_ipv6")
        for name in ("tap1", "tap2"):
            run("ip", "tuntap", "add", name, "mode", "tap", "vnet_hdr")
            run("ip", "link", "set", name, "mtu", str(mtu), "master", "br1", "up")
        run("ip", "link", "set", "br1", "up")
        run("ip", "address", "add", f"{HOST6}/64", "dev", "tap0", "nodad")
        for there, via in (("10.79.0.0/24", NEAR), ("10.80.0.0/24", NEAR), ("fd00:79::/64", NEAR6)):
            run("ip", "route", "add", there, "via", via)

    def __enter__(self):
        try:
            self.guest.wait_for("^ready: router", BOOT_TIMEOUT_S)
            self.reach(FAR)
        except Exception:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.guest.close()
        self.network.close()

    def run(self, *commands):
        """Runs shell commands in the router and returns what they print; a status other than 0 is
        an error.
        """
        line = " && ".join(commands)
        text = self.guest.command_output(line, r"^status \d+\r?$", COMMAND_TIMEOUT_S)
        if "status 0" not in text.splitlines()[-1:]:
            raise RouterError(text)
        return text

    def reach(self, address):
        """Pings until there is an answer: a router gives up addresses while no guest is there."""
        deadline = time.monotonic() + REACH_TIMEOUT_S
        while True:
            try:
                return self.network.ping(address, count=1)
            except NetworkError:
                if time.monotonic() > deadline:
                    raise

    def advertise(self):
        """From now on the router tells who is behind it of itself and of the prefix."""
        self.run(
            f"{DNSMASQ} --port=0 --enable-ra --interface=eth1 --user=root --ra-param=eth1,4"
            f" --dhcp-range={FAR6[:-1]},ra-only,64"
        )

    def tag(self, number):
        """A VLAN on the far leg."""
        name = f"eth1.{number}"
        self.run(
            f"ip link add link eth1 name {name} type vlan id {number}",
            f"ip addr add {TAGGED_FAR}/24 dev {name}",
            f"ip link set {name} up",
        )

    def disturb(self, leg, netem):
        """From now on packets leave a leg as netem's words say; none for a good line."""
        word = f"replace dev {leg} root netem {netem}" if netem else f"del dev {leg} root"
        self.run(f"{TC} qdisc {word}")

    def dropped(self, leg):
        """Packets that the disturbance took away."""
        return int(re.search(r"dropped (\d+)", self.run(f"{TC} -s qdisc show dev {leg}")).group(1))
