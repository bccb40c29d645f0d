"""The benchmark scripts do what they say: they start, measure one small thing, and write it down.

How fast anything is, is no test's business; that is what the scripts are for. Read tests/bench/run-net next.
"""
import json
import os
import subprocess

import pytest

from ferrule import BUILD, TOP

BENCH = os.path.join(TOP, "tests", "bench")
TIMEOUT_S = 120


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


@pytest.mark.parametrize("script", ["run", "run-net"])
def test_bad_arguments(script):
    """Each script says what it takes, and refuses the rest with status 2."""
    assert "--quick" in run(script, "--help").stdout
    assert "usage" in run(script, "--no-such-option", status=2).stderr


def test_net(tmp_path):
    """One line of the network's table: a rate, and instructions, notifications and interrupts counted from outside."""
    out = tmp_path / "results.json"
    done = run("run-net", "--quick", "--no-linux", "--only", "udp", "--json", str(out))
    found = rows(out)
    assert "UDP echo" in done.stdout
    assert found["udp-rate"][0] > 0
    assert 0.5 < found["udp-instructions"][0] < 100  # thousand a datagram there and back
    assert 0.05 < found["udp-notifications"][0] < 4
    assert 0.05 < found["udp-interrupts"][0] < 4
