"""The benchmark scripts do what they say: they start, measure one small thing, and write it down.

How fast anything is, is no test's business; that is what the scripts are for. Read tests/bench/run-net next.
"""
import json
import os
import re
import subprocess
import time

import pytest

from ferrule import BUILD, TOP, Guest

BENCH = os.path.join(TOP, "tests", "bench")
TIMEOUT_S = 120
CONSOLE_HALTS = 15  # of typing a command and showing its answer


def run(script, *options, status=0):
    done = subprocess.run(
        [os.path.join(BENCH, script), *options],
        env={**os.environ, "FERRULE_BUILD": BUILD},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def rows(path):
    return {row["key"]: row["ferrule"] for row in json.loads(path.read_text())["rows"]}


@pytest.mark.parametrize("script", ["run", "run-net", "run-blk", "paravirt"])
def test_bad_arguments(script):
    """Each script says what it takes, and refuses the rest with status 2."""
    assert "--quick" in run(script, "--help").stdout
    assert "usage" in run(script, "--no-such-option", status=2).stderr


def test_blk(tmp_path):
    """One load of the disks' table."""
    out = tmp_path / "results.json"
    run("run-blk", "--quick", "--no-linux", "--only", "randread-32", "--json", str(out))
    found = rows(out)
    assert found["randread-32-rate"][0] > 0
    assert 0.1 < found["randread-32-instructions"][0] < 50  # thousand an I/O
    assert 0.001 < found["randread-32-notifications"][0] < 1


def test_net(tmp_path):
    """One line of the network's table: a rate, and instructions, notifications and interrupts counted from outside."""
    out = tmp_path / "results.json"
    done = run("run-net", "--quick", "--no-linux", "--only", "udp", "--profile", "--json", str(out))
    found = rows(out)
    assert "UDP echo" in done.stdout
    assert re.search(r"^ +[1-9][\d.]+  loop_step$", done.stdout, re.MULTILINE), "instructions by function"
    assert found["udp-rate"][0] > 0
    assert 0.5 < found["udp-instructions"][0] < 100  # thousand a datagram there and back
    assert 0.05 < found["udp-notifications"][0] < 4
    assert 0.05 < found["udp-interrupts"][0] < 4


def test_paravirt(tmp_path):
    """An emulated and a paravirtual disk, counted and timed: registers touched, and who moves the data."""
    out = tmp_path / "results.json"
    run("paravirt", "--quick", "--only", "disk", "--variants", "IDE, ", "--json", str(out), "--plots", str(tmp_path))
    read = json.loads(out.read_text())["disk"]["4 KiB random read, depth 32"]
    assert read["IDE, PIO"]["accesses"] > 2048 and read["IDE, PIO"]["moved"] >= 4096
    assert read["IDE, DMA"]["accesses"] < 100 and read["IDE, DMA"]["moved"] < 1000
    assert read["IDE, DMA"]["throughput"] == 1 and read["IDE, PIO"]["throughput"] > 0
    out.unlink()
    run("paravirt", "--quick", "--only", "disk", "--variants", "blk, split, EVENT", "--json", str(out), "--plots", str(tmp_path))
    read = json.loads(out.read_text())["disk"]["4 KiB random read, depth 32"]["virtio-blk, split, EVENT_IDX"]
    assert read["accesses"] < 1 and read["notifications"] < 1 and read["moved"] < 1000 and read["interrupts"] > 0


def halts(guest):
    text = guest.command_output("virtio", r"loop-report: .*\n")
    return int(re.search(r"loop-report: .*\bhalts=(\d+)", text).group(1))


def test_idle():
    """A machine that nobody talks to sleeps: lwIP's timers wake it about once a second, not ten times."""
    with Guest(words="ip=10.0.2.15::10.0.2.2:255.255.255.0") as guest:
        guest.wait_started()
        time.sleep(3)
        begun, before = time.monotonic(), halts(guest)
        time.sleep(5)
        after = halts(guest)
        assert 1 <= after - before < 4 * (time.monotonic() - begun) + CONSOLE_HALTS
        guest.power_off()
