"""Open vSwitch with its DPDK datapath, in user space, for a guest behind vhost-user: the database, the
switch, and ports with and without VLANs.

Owns the two processes and their folder; they live in a test's own network (netns.py) and end with it.
Read test_ovs.py next.
"""
import os
import tempfile

DAEMON = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
START_TIMEOUT_S = 60
# Without huge pages, which a test machine need not have.
SETTINGS = (
    "other_config:dpdk-init=true",
    "other_config:dpdk-extra=--no-huge --legacy-mem --no-pci",
    "other_config:dpdk-alloc-mem=512",
    "other_config:pmd-cpu-mask=1",
    "other_config:stats-update-interval=1000",  # ms; the least that it takes
)


def why_not():
    """Why there is no such switch here, or None."""
    missing = [path for path in (DAEMON, SCHEMA) if not os.path.exists(path)]
    return f"Open vSwitch is not installed: no {missing[0]}" if missing else None


class Switch:
    """A bridge, br0, which is an interface of the network as well."""

    def __init__(self, network):
        self._network = network
        self._folder = tempfile.TemporaryDirectory(prefix="ferrule-ovs-")
        self.folder = self._folder.name
        self._log = open(os.path.join(self.folder, "log"), "wb")
        database = os.path.join(self.folder, "conf.db")
        self._socket = f"unix:{self.folder}/db.sock"
        try:
            network.run("ovsdb-tool", "create", database, SCHEMA)
            self._start("ovsdb-server", database, f"--remote=p{self._socket}")
            self.control("--no-wait", "init")
            self.control("--no-wait", "set", "Open_vSwitch", ".", *SETTINGS)
            self._start(DAEMON, self._socket)
            self.control("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
        except Exception:
            self.close()
            raise

    def _start(self, program, *arguments):
        environment = {**os.environ, "OVS_RUNDIR": self.folder, "OVS_LOGDIR": self.folder}
        self._network.start(
            program,
            *arguments,
            "--no-chdir",
            f"--pidfile={self.folder}/{os.path.basename(program)}.pid",
            env=environment,
            stdout=self._log,
            stderr=self._log,
        )

    def control(self, *arguments):
        """Runs ovs-vsctl, which waits until the switch has done what it says."""
        return self._network.run(
            "ovs-vsctl",
            f"--db={self._socket}",
            "--retry",
            f"--timeout={START_TIMEOUT_S}",
            *arguments,
            timeout_s=START_TIMEOUT_S + 10,
        )

    def add_interface(self, name, address, vlan):
        """An interface of the network, in one VLAN of the switch."""
        self.control(
            *("add-port", "br0", name, f"tag={vlan}", "--", "set", "interface", name, "type=internal")
        )
        self.use_interface(name, address)

    def use_interface(self, name, address):
        self._network.run("ip", "address", "add", address, "dev", name)
        self._network.run("ip", "link", "set", name, "up")

    def add_guest(self, name):
        """A port for a guest that sends and gets every VLAN; returns its socket, which is the guest's
        to open.
        """
        path = os.path.join(self.folder, f"{name}.sock")
        kind = ("type=dpdkvhostuserclient", f"options:vhost-server-path={path}")
        self.control("add-port", "br0", name, "--", "set", "interface", name, *kind)
        return path

    def statistics(self, name):
        text = self.control("get", "interface", name, "statistics").strip("{}\n")
        return {key: int(value) for key, value in (item.split("=") for item in text.split(", "))}

    def close(self):
        self._log.close()
        self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
