"""virtiofsd as the back end of a guest's shares: the daemon, and QEMU's arguments for it.

The daemon of Debian's qemu-system-common. It shares the guest's memory, which therefore has to be a file. Read
test_virtiofs.py next.
"""
import os
import subprocess
import tempfile
import time

DAEMON = "/usr/lib/qemu/virtiofsd"
START_TIMEOUT_S = 20
MEMORY = "128M"


class Daemon:
    """virtiofsd for one folder, as a context manager; ends with the guest or with the block."""

    def __init__(self, folder, tag="host", options=""):
        self._folder = tempfile.TemporaryDirectory(prefix="ferrule-fs-")
        self.path = os.path.join(self._folder.name, "socket")
        self.tag = tag
        self.log_path = os.path.join(self._folder.name, "log")
        self._log = open(self.log_path, "wb")
        more = [word for option in options.split() for word in ("-o", option)]
        self.process = subprocess.Popen(
            [DAEMON, "-f", f"--socket-path={self.path}", "-o", f"source={folder}"]
            + ["-o", "sandbox=chroot", "-o", "cache=none", *more],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not os.path.exists(self.path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise AssertionError(f"virtiofsd did not start: {self.log()}")
            time.sleep(0.02)

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def arguments(self, kind="vhost-user-fs-pci", device=""):
        name = f"fs-{self.tag}"
        return [
            *("-chardev", f"socket,id={name},path={self.path}"),
            *("-device", f"{kind},chardev={name},tag={self.tag}" + (f",{device}" if device else "")),
        ]

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self._log.close()
        self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def shared_memory(machine="q35"):
    """Guest()'s machine, and the arguments that give it memory the daemon can share."""
    return (
        f"{machine},memory-backend=mem",
        ["-object", f"memory-backend-memfd,id=mem,size={MEMORY},share=on"],
    )
