"""The guest that Ferrule is measured against: Debian's cloud kernel with an initramfs of our own making.

Owns which packages it is made of (linux-packages.tsv), their download by the distribution's own package client, and
what the initramfs holds: only the drivers and programs that serving files over HTTP needs. It does not start the
guest: that is machine.py. Read next: measure.py.
"""

import gzip
import hashlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

PACKAGES = Path(__file__).with_name("linux-packages.tsv")
KERNEL_META_PACKAGE = "linux-image-cloud-amd64"
MODULES = ("virtio_net", "virtio_blk", "nls_cp437", "nls_ascii", "vfat", "virtio_pci")
COMMANDS = ("sh", "mkdir", "mount", "insmod", "ip", "httpd", "sleep")
LIGHTTPD_FILES = (
    "usr/sbin/lighttpd",
    "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "lib/x86_64-linux-gnu/libc.so.6",
    "usr/lib/x86_64-linux-gnu/libnettle.so.8",
    "usr/lib/x86_64-linux-gnu/libpcre2-8.so.0",
    "usr/lib/x86_64-linux-gnu/libxxhash.so.0",
)
# For measuring the network: the web server that people would take, iperf3, and inetd's own echo.
NET_FILES = (
    "usr/sbin/nginx",
    "usr/bin/iperf3",
    "usr/sbin/inetutils-inetd",
    "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "lib/x86_64-linux-gnu/libc.so.6",
    "lib/x86_64-linux-gnu/libm.so.6",
    "lib/x86_64-linux-gnu/libcrypt.so.1",
    "lib/x86_64-linux-gnu/libz.so.1",
    "usr/lib/x86_64-linux-gnu/libcrypto.so.3",
    "usr/lib/x86_64-linux-gnu/libiperf.so.0",
    "usr/lib/x86_64-linux-gnu/libpcre2-8.so.0",
    "usr/lib/x86_64-linux-gnu/libsctp.so.1",
    "usr/lib/x86_64-linux-gnu/libssl.so.3",
)
LOADER = "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
READY_MARKER = b"ready: "
KERNEL_WORDS = "console=ttyS0 quiet mitigations=off panic=-1"

# The network address is set by hand and not asked for, which costs the Linux guest less than DHCP would; the kernel
# hands words it does not know, such as address=, to the first program's environment. virtio_pci
# comes last: the devices appear with it, and find their drivers waiting.
INIT = """#!/bin/sh
mount -t devtmpfs dev /dev
{insmod}
ip addr add ${{address:-10.0.2.15}}/24 dev eth0
ip link set eth0 up
ip route add default via ${{gateway:-10.0.2.2}}
mount -t vfat -o ro /dev/vda /www
{server}
echo 'ready: {server_name}'
while :; do sleep 1000000; done
"""

LIGHTTPD_CONF = """server.document-root = "/www"
server.port = 80
server.max-keep-alive-requests = 1000000000
server.max-connections = 256
index-file.names = ( "index.html" )
mimetype.assign = ( ".html" => "text/html", "" => "application/octet-stream" )
"""

NGINX_CONF = """worker_processes 1;
user root;
daemon on;
pid /var/tmp/nginx.pid;
error_log /dev/null crit;
events { worker_connections 512; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=100;
    keepalive_requests 1000000000;
    keepalive_timeout 600;
    default_type application/octet-stream;
    client_body_temp_path /var/tmp/body;
    proxy_temp_path /var/tmp/proxy;
    fastcgi_temp_path /var/tmp/fastcgi;
    uwsgi_temp_path /var/tmp/uwsgi;
    scgi_temp_path /var/tmp/scgi;
    server { listen 80; root /www; }
}
"""
NET_CONF = {
    "etc/nginx.conf": NGINX_CONF,
    "etc/passwd": "root:x:0:0::/:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/protocols": "tcp 6 TCP\nudp 17 UDP\n",
    "etc/services": "echo 7/tcp\necho 7/udp\n",
    "etc/inetd.conf": "echo dgram udp wait root internal\n",
}
NET_SERVER = """mkdir -p /tmp /var/run /var/log/nginx /var/lib/nginx
/usr/sbin/nginx -c /etc/nginx.conf
/usr/sbin/inetutils-inetd /etc/inetd.conf
/usr/bin/iperf3 --server --daemon"""
# For measuring disks: who connects sends one line with fio's arguments, and gets what fio prints.
BLK_FILES = (
    "usr/sbin/inetutils-inetd",
    "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "lib/x86_64-linux-gnu/libc.so.6",
)
BLK_CONF = {
    "bin/load": "#!/bin/sh\nread line\nexec /bin/fio $line\n",
    "etc/passwd": "root:x:0:0::/:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/protocols": "tcp 6 TCP\n",
    "etc/services": "load 7000/tcp\n",
    "etc/inetd.conf": "load stream tcp nowait.1000 root /bin/load load\n",
}
BLK_SERVER = """mkdir -p /sys /proc /tmp /var/run
mount -t sysfs sys /sys
mount -t proc proc /proc
echo none >/sys/block/vdb/queue/scheduler
/usr/sbin/inetutils-inetd /etc/inetd.conf"""


class Unavailable(Exception):
    """The guest cannot be made here; the text says why."""


@dataclass
class LinuxGuest:
    kernel: Path
    initramfs: Path  # serves by busybox httpd: the least that works
    initramfs_lighttpd: Path  # serves by lighttpd, which keeps connections open
    initramfs_net: Path  # nginx, iperf3 and UDP echo
    initramfs_blk: Path  # fio, when there was one to put in
    versions: dict  # package -> version really used


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


def module_dependencies(path):
    found = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
    return [name.replace("-", "_") for name in found.group(1).decode().split(",") if name] if found else []


def modules_in_order(root):
    """Files of MODULES and of what they need, each behind what it needs."""
    files = {path.stem.replace("-", "_"): path for path in root.glob("lib/modules/*/kernel/**/*.ko")}
    order = []

    def add(name):
        if name not in files:
            raise Unavailable(f"the kernel package has no module {name}")
        if files[name] not in order:
            for needed in module_dependencies(files[name]):
                add(needed)
            order.append(files[name])

    for name in MODULES:
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

    def write(self, path):
        self.add("TRAILER!!!", 0)
        path.write_bytes(gzip.compress(bytes(self.data), 9, mtime=0))


def make_initramfs(root, path, server_name, server, files):
    archive = Initramfs()
    archive.directories("bin", "dev", "modules", "var/tmp", "www")
    archive.add("dev/console", Initramfs.DEVICE, device=(5, 1))
    archive.file("bin/busybox", (root / "bin/busybox").read_bytes())
    for command in COMMANDS:
        archive.add(f"bin/{command}", Initramfs.LINK, b"busybox")
    modules = modules_in_order(root)
    for module in modules:
        archive.file(f"modules/{module.name}", module.read_bytes())
    for name, content in files.items():
        archive.file(name, content)
    insmod = "\n".join(f"insmod /modules/{module.name}" for module in modules)
    archive.file("init", INIT.format(insmod=insmod, server=server, server_name=server_name).encode())
    archive.write(path)


def programs(root, names):
    """Files of the packages. Programs name their loader by another path, which in the package is a link out of the
    folder."""
    files = {name: (root / name).read_bytes() for name in names}
    files["lib64/ld-linux-x86-64.so.2"] = files.pop(LOADER)
    return files


def build(cache, folder, fio=None):
    """Fetches the packages into `cache`, makes kernel and initramfs files in `folder`. `fio` is a static program. Raises
    Unavailable."""
    cache.mkdir(parents=True, exist_ok=True)
    root = folder / "root"
    versions = {}
    for package in pinned_packages():
        file = fetch(package, cache)
        name, version = run(["dpkg-deb", "-W", "--showformat=${Package} ${Version}", str(file)], 60).decode().split()
        versions[name] = version
        run(["dpkg-deb", "-x", str(file), str(root)], 300)
    kernels = list(root.glob("boot/vmlinuz-*"))
    if len(kernels) != 1:
        raise Unavailable("the kernel package holds no vmlinuz")
    guest = LinuxGuest(kernels[0], *(folder / f"initramfs{kind}.gz" for kind in ("", "-lighttpd", "-net", "-blk")), versions)
    make_initramfs(root, guest.initramfs, "busybox httpd", "httpd -p 80 -h /www", {})
    lighttpd = {**programs(root, LIGHTTPD_FILES), "etc/lighttpd.conf": LIGHTTPD_CONF.encode()}
    make_initramfs(root, guest.initramfs_lighttpd, "lighttpd", "/usr/sbin/lighttpd -f /etc/lighttpd.conf", lighttpd)
    net = {**programs(root, NET_FILES), **{name: text.encode() for name, text in NET_CONF.items()}}
    make_initramfs(root, guest.initramfs_net, "nginx, iperf3, echo", NET_SERVER, net)
    if fio:
        blk = {**programs(root, BLK_FILES), **{name: text.encode() for name, text in BLK_CONF.items()}}
        blk["bin/fio"] = fio.read_bytes()
        make_initramfs(root, guest.initramfs_blk, "fio", BLK_SERVER, blk)
    return guest
