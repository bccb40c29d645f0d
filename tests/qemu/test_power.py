"""The ends of the machine: power off, restart, and crashes, and how each of them is reported to
QEMU.
"""
import pytest

from ferrule import CRASH_EXIT, Guest
from website import check

# kind of crash: what the report must say
CRASHES = {
    "panic": r"panic: asked for by the user",
    "null": r"panic: page fault: write at 0x8: null pointer",
    "guard": r"panic: page fault: write at 0x[0-9a-f]+: stack overflow",
    "wx": r"panic: page fault: write at 0x[0-9a-f]+: write to read-only memory",
    "nx": r"panic: page fault: execute at 0x[0-9a-f]+: execution of data",
    "ud": r"panic: trap instruction: undefined behaviour",
}
SYMBOL = r"0x[0-9a-f]{8} (crash_\w+|descend\w*|kernel_main)\+0x[0-9a-f]+"


@pytest.mark.parametrize("boot", ["multiboot", "pvh"])
@pytest.mark.parametrize("ioapic2", ["on", "off"])
def test_power_button_of_a_microvm(ioapic2, boot):
    """A hardware-reduced machine tells of the button by its event device."""
    with Guest(machine=f"microvm,ioapic2={ioapic2}", nic=None, boot=boot) as guest:
        guest.wait_started()
        guest.qmp("system_powerdown")
        assert guest.wait_exit() == 0
        guest.require(r"(?i)power.*button.*pressed", r"ending with status 0")


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_power_button(machine, site):
    """The power button is heard while files are served; the guest says so and ends with status 0.
    """
    with Guest(site.disk, machine=machine) as guest:
        guest.wait_ready()
        check(guest, site)
        guest.qmp("system_powerdown")
        assert guest.wait_exit() == 0
        guest.require(r"(?i)power.*button.*pressed", r"ending with status 0")


def test_power_button_without_devices():
    """Also with nothing to do but wait."""
    with Guest(nic=None) as guest:
        guest.wait_started()
        guest.qmp("system_powerdown")
        assert guest.wait_exit() == 0


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_power_off_command(machine, site):
    """The console's poweroff ends in good order, with QEMU's status 0 and a SHUTDOWN event by the
    guest.
    """
    with Guest(site.disk, machine=machine) as guest:
        guest.wait_ready()
        guest.type("poweroff")
        assert guest.wait_event("SHUTDOWN")["data"]["guest"] is True
        assert guest.wait_exit() == 0
        guest.require(r"ending with status 0")


def test_power_off_without_debug_exit():
    """Power off needs no isa-debug-exit."""
    with Guest(debug_exit=False) as guest:
        guest.wait_ready()
        guest.power_off()


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_reboot_ends_with_no_reboot(machine):
    """With -no-reboot a restart ends QEMU with status 0."""
    with Guest(machine=machine) as guest:
        guest.wait_ready()
        guest.type("reboot")
        assert guest.wait_event("SHUTDOWN")["data"]["reason"] == "guest-reset"
        assert guest.wait_exit() == 0


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_reboot_boots_again(machine, site):
    """Without -no-reboot the restarted guest serves again, twice; devices and memory come back
    whole.
    """
    with Guest(site.disk, machine=machine, no_reboot=False) as guest:
        guest.wait_ready()
        for _ in range(2):
            guest.type("reboot")
            guest.wait_for(r"ready: http", new=True)
            check(guest, site)


@pytest.mark.parametrize("kind", CRASHES)
def test_crash_at_boot(kind):
    """Each kind of crash is named, with a backtrace by function names, and gives the crash status.
    """
    with Guest(nic=None, words=f"crash={kind}") as guest:
        assert guest.wait_exit() == CRASH_EXIT
        guest.require(CRASHES[kind], SYMBOL)
        if kind != "panic":
            guest.require(
                r"rax [0-9a-f]{16}", r"rip [0-9a-f]{16}", r"code( [0-9a-f]{2})+|code not readable"
            )


@pytest.mark.parametrize("kind", ["panic", "guard"])
def test_crash_while_serving(kind, site):
    """A crash by command, with all devices running: the backtrace reaches up to the event loop."""
    with Guest(site.disk) as guest:
        guest.wait_ready()
        guest.type(f"crash {kind}")
        assert guest.wait_exit() == CRASH_EXIT
        guest.require(CRASHES[kind], SYMBOL)
        if kind == "panic":
            guest.require(r"monitor_poll\+", r"loop_run\+", r"app_main\+")


def test_crash_status_at_default_port():
    """isa-debug-exit where QEMU puts it by default, at 0x501."""
    with Guest(
        nic=None, words="crash=panic", debug_exit=False, arguments=["-device", "isa-debug-exit"]
    ) as guest:
        assert guest.wait_exit() == CRASH_EXIT


@pytest.mark.parametrize("device", ["pvpanic", "pvpanic-pci"])
def test_crash_tells_hypervisor(device):
    """QEMU reports GUEST_PANICKED, with either variant of the pvpanic device."""
    with Guest(
        debug_exit=False, arguments=["-device", device, "-action", "panic=exit-failure"]
    ) as guest:
        guest.wait_ready()
        guest.type("crash panic")
        guest.wait_event("GUEST_PANICKED")
        assert guest.wait_exit() == 1


@pytest.mark.parametrize("machine", ["pc", "q35", "microvm"])
def test_crash_without_any_device(machine):
    """With nobody to tell, a crash still ends the machine instead of hanging it."""
    with Guest(machine=machine, nic=None, words="crash=panic", debug_exit=False) as guest:
        guest.wait_exit()
        guest.require(CRASHES["panic"])


def test_monitor(site):
    """The console takes commands while it serves: help, memory, log, editing; nonsense gets a hint.
    """
    with Guest(site.disk) as guest:
        guest.wait_ready()
        text = guest.command_output("help", r"crash +KIND.*\n")
        for name in ("help", "log", "mem", "pci", "virtio", "poweroff", "reboot", "crash"):
            assert f"\n{name} " in text, text
        guest.command_output("mem", r"\d+ KiB of memory, \d+ KiB free")
        guest.command_output("nonsense", r"no such command")
        guest.command_output("crash of some kind", r"crash panic \| null")
        guest.command_output("mex\x7fm", r"KiB free")
        guest.command_output("x" * 500, r"no such command")
        guest.command_output("log", r"(?s)booted by .*ready in \d+ us")
        check(guest, site)


def test_monitor_off(site):
    """monitor=off leaves the console alone."""
    with Guest(site.disk, words="monitor=off") as guest:
        guest.wait_ready()
        guest.type("poweroff")
        check(guest, site)
        guest.qmp("system_powerdown")
        assert guest.wait_exit() == 0
