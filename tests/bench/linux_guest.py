"""The guest that Ferrule is measured against: Debian's cloud kernel with an initramfs of our own making.

Owns what the initramfs holds: only the drivers and programs that serving files over HTTP needs. Where they come from is linux_parts.py's. It does
not start the guest: that is machine.py. Read next: measure.py.
"""

from dataclasses import dataclass
from pathlib import Path

from linux_parts import Initramfs, pinned_packages, unpack

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
# Its check of the timer, which wants ticks within a few loops, fails on a busy host.
KERNEL_WORDS = "console=ttyS0 quiet mitigations=off panic=-1 no_timer_check"

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


@dataclass
class LinuxGuest:
    kernel: Path
    initramfs: Path  # serves by busybox httpd: the least that works
    initramfs_lighttpd: Path  # serves by lighttpd, which keeps connections open
    initramfs_net: Path  # nginx, iperf3 and UDP echo
    initramfs_blk: Path  # fio, when there was one to put in
    versions: dict  # package -> version really used


def make_initramfs(root, path, server_name, server, files):
    archive = Initramfs()
    archive.directories("bin", "dev", "modules", "var/tmp", "www")
    archive.add("dev/console", Initramfs.DEVICE, device=(5, 1))
    archive.busybox(root, COMMANDS)
    insmod = archive.modules(root, MODULES)
    for name, content in files.items():
        archive.file(name, content)
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
    root = folder / "root"
    kernel, versions = unpack(pinned_packages(), cache, root)
    guest = LinuxGuest(kernel, *(folder / f"initramfs{kind}.gz" for kind in ("", "-lighttpd", "-net", "-blk")), versions)
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
