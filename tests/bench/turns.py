"""What every comparison of two guests shares: the guests, rows of results, and measurements in turns.

The guests take turns within every round, so that a change in the host's load falls on both. What is measured is the
business of the scripts `run`, `run-net` and `run-blk`. Read next: run.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import linux_guest
import linux_parts
import measure
import report
from machine import CPU_MODEL, Failure, Guest

BUSY_LOAD = 0.7


def say(text):
    print(text, file=sys.stderr, flush=True)


def qemu_version():
    qemu = os.environ.get("QEMU") or "qemu-system-x86_64"
    try:
        text = subprocess.run([qemu, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise Failure(f"{qemu} does not run: {error}") from None
    return re.search(r"version (\S+)", text).group(1)


def ferrule_guest(words="", name="ferrule"):
    build = Path(os.environ.get("FERRULE_BUILD") or measure.TOP / "build")
    image = build / f"{name}.elf"
    if not image.exists():
        raise Failure(f"{image} is missing: run make bench, or make first")
    return Guest("Ferrule", ["-kernel", str(image), *(("-append", words) if words else ())], image_files=[image])


def built_linux(folder, fio=None):
    say("linux: fetching Debian packages and making its initramfs")
    return linux_guest.build(linux_parts.cache_folder(), folder, fio)


def linux_machine(built, initramfs, words=""):
    boot = ["-kernel", str(built.kernel), "-initrd", str(initramfs)]
    boot += ["-append", f"{linux_guest.KERNEL_WORDS} {words}".strip()]
    return Guest("Linux guest", boot, linux_guest.READY_MARKER, [built.kernel, initramfs])


class Turns:
    """Rows, notes, and who is measured in which order. A Linux guest that fails is left out from there."""

    def __init__(self, runs, folder):
        self.runs = runs
        self.folder = folder
        self.qemu = qemu_version()
        self.load_before = os.getloadavg()[0]
        self.notes, self.rows, self.versions = [], [], {}
        if self.load_before > BUSY_LOAD:
            self.note(f"The host was busy before the start (load {self.load_before:.1f}): timings suffer")

    def note(self, text):
        say(text)
        self.notes.append(text)

    def linux_or_note(self, wanted, make, fio=None):
        """What make(the built Linux guest) returns, or None and a note that says why there is none."""
        if not wanted:
            return None
        try:
            built = built_linux(self.folder, fio)
        except linux_parts.Unavailable as error:
            self.note(f"The Linux guest cannot be made here, so Ferrule stands alone: {error}")
            return None
        self.versions = built.versions
        return make(built)

    def plugin_or_note(self):
        try:
            return measure.build_plugin(self.folder, int(self.qemu.split(".")[0]))
        except (OSError, subprocess.SubprocessError) as error:
            self.note(f"Instructions are not counted: {error}")
            return None

    def row(self, *args, **options):
        self.rows.append(report.Row(*args, **options))
        return self.rows[-1]

    def turns(self, what, ferrule, linux, rounds, sample):
        """Calls sample(guest, is_ferrule) for both guests in turns. A failure of Ferrule ends the run, one of the Linux
        guest its part in this measurement."""
        for number in range(rounds):
            say(f"{what}: {number + 1} of {rounds}")
            sample(ferrule, True)
            try:
                if linux:
                    sample(linux, False)
            except Failure as error:
                self.note(f"{what}: {error}")
                linux = None

    def about(self):
        kernel = next((f"{name} {version}" for name, version in self.versions.items() if name.startswith("linux-")), None)
        return {
            "qemu": self.qemu,
            "linux": kernel,
            "packages": self.versions,
            "machine": f"q35, TCG, one CPU ({CPU_MODEL}), {measure.MEMORY_MIB} MiB",
            "samples": self.runs,
            "host_cpus": os.cpu_count(),
            "host_load_before": self.load_before,
            "notes": self.notes,
        }
