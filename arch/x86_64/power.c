/*
 * power.c - the ends of the machine: power off, restart, exit status, and the power button that
 * asks for it.
 *
 * Owns the ACPI control registers, isa-debug-exit and the reset ports. Each way is tried in turn,
 * best first, and says so when nothing is left, so that the machine never just hangs. ACPI 6.4
 * sections 4.8.3 and 7.4; QEMU's isa-debug-exit.
 */
#include "arch/x86_64/power.h"

#include <stddef.h>

#include "irq.h"
#include "log.h"
#include "machine.h"
#include "pci.h"
#include "platform.h"

#include "arch/x86_64/acpi.h"
#include "arch/x86_64/mem.h"

#define PM1_POWER_BUTTON 0x0100 /* status and enable */
#define PM1_CONTROL_ACPI_ON 0x0001
#define PM1_CONTROL_TYPE_SHIFT 10
#define PM1_CONTROL_SLEEP 0x2000
#define SLEEP_CONTROL_TYPE_SHIFT 2
#define SLEEP_CONTROL_SLEEP 0x20

#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_BUSY 0x02
#define KEYBOARD_RESET 0xfe
#define RESET_CONTROL 0xcf9
#define RESET_CONTROL_HARD 0x06
#define POST_PORT 0x80

/*
 * Port reads until ACPI mode has surely been reached, and until a request to end the machine has
 * surely been taken up.
 */
#define SETTLE_READS 3000
#define GIVE_UP_READS 400000

/* Waits by port reads, because a crash may come before there is a clock. */
static void wait_port_reads(unsigned reads)
{
    while (reads-- > 0)
        pio_read8(POST_PORT);
}

static void register_write8(const struct acpi_register *reg, uint8_t value)
{
    if (reg->kind == ACPI_REGISTER_PORT)
        pio_write8((uint16_t)reg->address, value);
    else if (reg->kind == ACPI_REGISTER_MEMORY && paging_map(reg->address, 1, PAGING_DEVICE) == 0)
        mmio_write8((volatile void *)(uintptr_t)reg->address, value);
}

static void debug_exit(uint8_t status)
{
    static const uint16_t ports[] = {0xf4, 0x501};

    /* The device reads as 0, an empty port as all ones. */
    for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
        if (pio_read8(ports[i]) == 0)
            pio_write8(ports[i], status);
    }
}

static void sleep_by(uint16_t control_port, uint8_t type)
{
    uint16_t control = pio_read16(control_port);

    control &= (uint16_t) ~(7u << PM1_CONTROL_TYPE_SHIFT);
    pio_write16(control_port,
                (uint16_t)(control | type << PM1_CONTROL_TYPE_SHIFT | PM1_CONTROL_SLEEP));
}

/*
 * The PM1 control port of the two chipsets that QEMU's PCs have, from their configuration space;
 * for a machine whose tables were not found. 0: neither is there. Sleep type 0 is S5 on both.
 */
static uint16_t chipset_pm1_control(void)
{
    static const struct {
        uint16_t device_id;
        uint8_t base_register;
        uint16_t base_mask;
    } chipsets[] = {
        {0x2918, 0x40, 0xff80}, /* ICH9 LPC bridge */
        {0x7113, 0x40, 0xffc0}, /* PIIX4 power management */
    };

    for (unsigned i = 0; i < pci_function_count(); i++) {
        const struct pci_function *fn = pci_function_at(i);

        for (unsigned c = 0; c < sizeof(chipsets) / sizeof(chipsets[0]); c++) {
            uint16_t base;

            if (fn->vendor_id != 0x8086 || fn->device_id != chipsets[c].device_id)
                continue;
            base = pci_read16(fn, chipsets[c].base_register) & chipsets[c].base_mask;
            return base == 0 ? 0 : (uint16_t)(base + 4);
        }
    }
    return 0;
}

static void power_off(void)
{
    const struct acpi_info *acpi = acpi_info();
    uint16_t port;

    if (acpi->sleep_control.kind != ACPI_REGISTER_NONE && acpi->s5_known) {
        register_write8(
            &acpi->sleep_control,
            (uint8_t)(acpi->s5_type_a << SLEEP_CONTROL_TYPE_SHIFT | SLEEP_CONTROL_SLEEP));
    } else if (acpi->pm1a_control_port != 0 && acpi->s5_known) {
        sleep_by(acpi->pm1a_control_port, acpi->s5_type_a);
        if (acpi->pm1b_control_port != 0)
            sleep_by(acpi->pm1b_control_port, acpi->s5_type_b);
    } else {
        port = chipset_pm1_control();
        if (port == 0)
            return;
        sleep_by(port, 0);
    }
    wait_port_reads(GIVE_UP_READS);
}

static void reset(void)
{
    const struct acpi_info *acpi = acpi_info();
    const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) no_idt = {0, 0};

    if (acpi->reset.kind != ACPI_REGISTER_NONE) {
        register_write8(&acpi->reset, acpi->reset_value);
        wait_port_reads(GIVE_UP_READS / 4);
    }
    pio_write8(RESET_CONTROL, RESET_CONTROL_HARD & ~0x04);
    pio_write8(RESET_CONTROL, RESET_CONTROL_HARD);
    wait_port_reads(GIVE_UP_READS / 4);
    for (unsigned i = 0; i < SETTLE_READS && (pio_read8(KEYBOARD_COMMAND) & KEYBOARD_BUSY); i++)
        platform_relax();
    pio_write8(KEYBOARD_COMMAND, KEYBOARD_RESET);
    wait_port_reads(GIVE_UP_READS / 4);
    /*
     * Last: a fault that cannot be handled makes the CPU shut down, which every machine answers by
     * a reset.
     */
    __asm__ volatile("lidt %0; int3" : : "m"(no_idt));
}

static void __attribute__((noreturn)) halt_for_ever(void)
{
    log_error("the machine does not let itself be switched off; it is halted");
    for (;;)
        __asm__ volatile("cli; hlt");
}

void platform_exit(int status)
{
    /*
     * The hypervisor's process ends with 2 * status + 1, modulo 256: no status may come out as
     * another or vanish.
     */
    if (status != 0)
        debug_exit(status > 0 && status < 128 ? (uint8_t)status : 127);
    power_off();
    log_warn("no way to power off is known, resetting instead");
    reset();
    halt_for_ever();
}

void platform_reboot(void)
{
    log_info("restarting");
    reset();
    halt_for_ever();
}

void power_crash(void)
{
    pvpanic_notify();
    debug_exit(POWER_CRASH_STATUS);
    power_off();
    reset();
    halt_for_ever();
}

static volatile bool button_pressed;

bool power_button_pressed(void)
{
    return button_pressed;
}

static void press_button(void)
{
    button_pressed = true;
    platform_request_stop();
}

/* Interrupt context. Reading the register clears it. */
static bool event_interrupt(void *arg)
{
    uint32_t events = mmio_read32(arg);

    if (events & acpi_info()->events.power_button)
        press_button();
    return events != 0;
}

/* A hardware-reduced machine's button. False: it has none, or none that can be heard. */
static bool listen_to_events(const struct acpi_event_device *events)
{
    void *reg = (void *)(uintptr_t)events->address;

    if (events->address == 0)
        return false;
    if (paging_map(events->address, 4, PAGING_DEVICE) < 0 ||
        irq_line_add(events->gsi, events->active_low, event_interrupt, reg, "events") < 0)
        return false;
    mmio_read32(reg); /* what happened before now is nobody's */
    return true;
}

/* Interrupt context. The status bits are cleared by writing ones. */
static bool power_interrupt(void *arg)
{
    const struct acpi_info *acpi = acpi_info();
    uint16_t status = pio_read16(acpi->pm1a_event_port);
    uint16_t enabled = pio_read16((uint16_t)(acpi->pm1a_event_port + acpi->pm1_event_length / 2));

    (void)arg;
    pio_write16(acpi->pm1a_event_port, status);
    if (status & enabled & PM1_POWER_BUTTON)
        press_button();
    return (status & enabled) != 0;
}

/*
 * Firmware may leave the power registers to its own management mode; the operating system asks for
 * them.
 */
static bool acpi_mode_enter(const struct acpi_info *acpi)
{
    if (pio_read16(acpi->pm1a_control_port) & PM1_CONTROL_ACPI_ON)
        return true;
    if (acpi->smi_command_port == 0 || acpi->acpi_enable_value == 0)
        return false;
    pio_write8(acpi->smi_command_port, acpi->acpi_enable_value);
    for (unsigned i = 0; i < SETTLE_READS; i++) {
        if (pio_read16(acpi->pm1a_control_port) & PM1_CONTROL_ACPI_ON)
            return true;
    }
    return false;
}

void power_init(void)
{
    const struct acpi_info *acpi = acpi_info();
    uint16_t enable_port = (uint16_t)(acpi->pm1a_event_port + acpi->pm1_event_length / 2);

    pvpanic_init();
    if (listen_to_events(&acpi->events))
        return;
    if (acpi->pm1a_event_port == 0 || acpi->pm1a_control_port == 0 || acpi->pm1_event_length < 4 ||
        !acpi->fixed_power_button) {
        log_info("power: no button to listen to (%s)", !acpi->present ? "no ACPI"
                                                       : acpi->hardware_reduced
                                                           ? "hardware-reduced ACPI"
                                                           : "it is not a fixed one");
        return;
    }
    if (!acpi_mode_enter(acpi)) {
        log_warn("power: firmware does not hand over the power button");
        return;
    }
    pio_write16(acpi->pm1a_event_port, UINT16_MAX);
    if (irq_line_add(acpi_isa_irq_to_gsi(acpi->sci_gsi), true, power_interrupt, NULL, "acpi") < 0) {
        log_warn("power: no interrupt line for the power button");
        return;
    }
    pio_write16(enable_port, PM1_POWER_BUTTON);
}
