"""Parts of a Linux guest: Debian's packages, the modules of its kernel, and the archive that it boots from.

Owns which packages and versions there are (linux-packages.tsv), their download by the distribution's own package client, and the format of an
initramfs; not what a guest is for: that is linux_guest.py for the benchmarks and tests/qemu/router.py for the tests.
"""

import gzip
import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

PACKAGES = Path(__file__).with_name("linux-packages.tsv")
BUSYBOX_PACKAGE = "busybox-static"
KERNEL_META_PACKAGE = "linux-image-cloud-amd64"


class Unavailable(Exception):
    """The guest cannot be made here; the text says why."""


def run(command, limit_s, **options):
    try:
        return subprocess.run(command, check=True, capture_output=True, timeout=limit_s, **options).stdout
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is missing") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} took more than {limit_s} s") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        # A mirror's address may carry a password.
        text = re.sub(r"//\S*", "//...", lines[-1]) if lines else f"status {error.returncode}"
        raise Unavailable(f"{command[0]} failed: {text}") from error


def pinned_packages():
    lines = [line for line in PACKAGES.read_text().splitlines() if line and not line.startswith("#")]
    head = lines[0].split("\t")
    return [dict(zip(head, line.split("\t"))) for line in lines[1:]]


def cache_folder():
    """Where packages are kept."""
    base = os.environ.get("FERRULE_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ferrule"
    return Path(base) / "bench"


def current_kernel_package():
    text = run(["apt-cache", "depends", KERNEL_META_PACKAGE], 60).decode()
    found = re.search(r"Depends: (linux-image-\S+)", text)
    if not found:
        raise Unavailable(f"apt knows no {KERNEL_META_PACKAGE}; its lists may be missing (apt-get update)")
    return found.group(1)


def download(wanted, folder):
    """Asks apt for one package (name or name=version), and returns the file. apt checks it against signed lists."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="part.") as part:
        run(["apt-get", "-q", "-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=3", "download", wanted], 300, cwd=part)
        files = list(Path(part).glob("*.deb"))
        if len(files) != 1:
            raise Unavailable(f"apt-get download {wanted} brought no file")
        return files[0].rename(folder / files[0].name)


def fetch(package, folder):
    """The package's file: kept from before, else the pinned version, else the current one."""
    kept = folder / f"{package['package']}_{package['version'].replace(':', '%3a')}_amd64.deb"
    if kept.exists() and hashlib.sha256(kept.read_bytes()).hexdigest() == package["sha256"]:
        return kept
    name = package["package"]
    try:
        file = download(f"{name}={package['version']}", folder)
    except Unavailable as error:
        try:
            return download(current_kernel_package() if name.startswith("linux-image-") else name, folder)
        except Unavailable:
            raise Unavailable(f"{error} (the package lists may be missing or old: apt-get update)") from None
    if hashlib.sha256(file.read_bytes()).hexdigest() != package["sha256"]:
        file.unlink()
        raise Unavailable(f"{file.name} does not have the SHA-256 that {PACKAGES.name} names")
    return file


def unpack(packages, cache, root):
    """Puts the packages' files into the folder `root`. Returns the kernel, and package -> version really used."""
    cache.mkdir(parents=True, exist_ok=True)
    versions = {}
    for package in packages:
        file = fetch(package, cache)
        name, version = run(["dpkg-deb", "-W", "--showformat=${Package} ${Version}", str(file)], 60).decode().split()
        versions[name] = version
        run(["dpkg-deb", "-x", str(file), str(root)], 300)
    kernels = list(root.glob("boot/vmlinuz-*"))
    if len(kernels) != 1:
        raise Unavailable("the kernel package holds no vmlinuz")
    return kernels[0], versions


def module_dependencies(path):
    found = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
    return [name.replace("-", "_") for name in found.group(1).decode().split(",") if name] if found else []


def modules_in_order(root, names):
    """Files of the named modules and of what they need, each behind what it needs."""
    files = {path.stem.replace("-", "_"): path for path in root.glob("lib/modules/*/kernel/**/*.ko")}
    order = []

    def add(name):
        if name not in files:
            raise Unavailable(f"the kernel package has no module {name}")
        if files[name] not in order:
            for needed in module_dependencies(files[name]):
                add(needed)
            order.append(files[name])

    for name in names:
        add(name)
    return order


class Initramfs:
    """Writes the cpio format "newc" (kernel documentation: driver-api/early-userspace/buffer-format)."""

    DIRECTORY, FILE, LINK, DEVICE = 0o040755, 0o100755, 0o120777, 0o020600

    def __init__(self):
        self.data = bytearray()
        self.names = set()

    def add(self, name, mode, content=b"", device=(0, 0)):
        fields = (len(self.names) + 1, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name) + 1, 0)
        self.data += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        self.data += bytes(-len(self.data) % 4) + content
        self.data += bytes(-len(self.data) % 4)
        self.names.add(name)

    def directories(self, *names):
        for name in names:
            parts = name.split("/")
            for count in range(1, len(parts) + 1):
                if "/".join(parts[:count]) not in self.names:
                    self.add("/".join(parts[:count]), self.DIRECTORY)

    def file(self, name, content):
        if "/" in name:
            self.directories(name.rsplit("/", 1)[0])
        self.add(name, self.FILE, content)

    def busybox(self, root, commands):
        """The program and its names."""
        self.file("bin/busybox", (root / "bin/busybox").read_bytes())
        for command in commands:
            self.add(f"bin/{command}", self.LINK, b"busybox")

    def modules(self, root, names):
        """The kernel's modules and what they need; returns the shell commands that load them."""
        files = modules_in_order(root, names)
        for file in files:
            self.file(f"modules/{file.name}", file.read_bytes())
        return "\n".join(f"insmod /modules/{file.name}" for file in files)

    def write(self, path, packed=True):
        self.add("TRAILER!!!", 0)
        path.write_bytes(gzip.compress(bytes(self.data), 9, mtime=0) if packed else self.data)
