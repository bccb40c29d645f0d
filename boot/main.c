/*
 * main.c - the order of bring-up, one call a line, then the application, then the orderly end.
 *
 * Owns the table of virtio drivers and the kernel words that concern nobody else: `loglevel=`,
 * `irq=`, `queues=`, `crash=`, `monitor=`. What each step means stands in include/machine.h. Read boot/loop.c
 * next: where the machine spends its life after this.
 */
#include <stdlib.h>
#include <string.h>

#include "balloon/virtio_balloon.h"
#include "blk/ide.h"
#include "blk/partition.h"
#include "blk/ramdisk.h"
#include "blk/virtio_blk.h"
#include "blk/virtio_scsi.h"
#include "boot/bootinfo.h"
#include "cmdline.h"
#include "console.h"
#include "console/virtio_console.h"
#include "fs/fs.h"
#include "fs/virtio_9p.h"
#include "fs/virtio_fs.h"
#include "input/virtio_input.h"
#include "log.h"
#include "machine.h"
#include "net/e1000.h"
#include "net/lwip_netif.h"
#include "net/virtio_net.h"
#include "pci.h"
#include "platform.h"
#include "rng/random.h"
#include "rng/virtio_rng.h"
#include "socket/socket.h"
#include "virtio/virtio.h"
#include "virtio/virtio_mmio.h"
#include "virtio/virtio_pci.h"
#include "vsock/virtio_vsock.h"
#include "vsock/vsock.h"

#define ARGUMENTS_MAX 32
#define WORD_SIZE 32

/* The early page tables reach the first 4 GiB, and every loader puts its information there. */
#define EARLY_MEMORY (UINT64_C(1) << 32)

extern const char kernel_start[], kernel_end[];

void kernel_main(uint32_t magic, uint32_t info_address) __attribute__((noreturn));
void __libc_init_array(void);
int app_main(int argc, char **argv);

static const struct virtio_driver *const drivers[] = {
    &virtio_console_driver, &virtio_rng_driver,     &virtio_net_driver, &virtio_blk_driver,
    &virtio_scsi_driver,    &virtio_balloon_driver, &virtio_9p_driver,  &virtio_fs_driver,
    &virtio_input_driver,   &virtio_vsock_driver};

static struct bootinfo info;

static void boot_information(uint32_t magic, uint32_t address)
{
    const struct bootinfo_memory memory = {.base = 0, .size = EARLY_MEMORY};
    const struct bootinfo_range kernel = {(uintptr_t)kernel_start, (uintptr_t)kernel_end};
    int result = bootinfo_parse(&info, &memory, magic, address, kernel);

    platform_set_cmdline(info.cmdline);
    if (result < 0)
        platform_panic("boot information of kind 0x%x at 0x%x: %s", magic, address,
                       info.ram_count == 0 ? "no memory map" : "not readable");
    if (info.cmdline_truncated)
        log_warn("the command line is longer than %u bytes and was cut",
                 (unsigned)sizeof(info.cmdline) - 1);
}

static void log_level_from_cmdline(void)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char word[WORD_SIZE];

    if (!cmdline_get(info.cmdline, "loglevel", word, sizeof(word)))
        return;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(word, names[i]) == 0) {
            log_set_level((enum log_level)i);
            return;
        }
    }
    log_warn("loglevel=%s: not one of error, warn, info, debug", word);
}

static enum virtio_interrupt_mode interrupts_from_cmdline(void)
{
    static const struct {
        const char *word;
        enum virtio_interrupt_mode limit;
    } modes[] = {
        {"poll", VIRTIO_INTERRUPT_NONE},
        {"intx", VIRTIO_INTERRUPT_INTX},
        {"msix", VIRTIO_INTERRUPT_MSIX},
    };
    char word[WORD_SIZE];
    bool known = cmdline_get(info.cmdline, "irq", word, sizeof(word));

    for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (known && strcmp(word, modes[i].word) == 0)
            return modes[i].limit;
    }
    if (known)
        log_warn("irq=%s: not one of poll, intx, msix", word);
    return VIRTIO_INTERRUPT_MSIX;
}

static void on_plugged_in(struct pci_function *fn)
{
    virtio_pci_probe(fn);
}

static void hotplug_init(void)
{
    enum virtio_interrupt_mode limit = virtio_interrupt_limit();
    const struct pci_hotplug hotplug = {.added = on_plugged_in,
                                        .removed = virtio_pci_remove,
                                        .msix = limit == VIRTIO_INTERRUPT_MSIX,
                                        .intx = limit >= VIRTIO_INTERRUPT_INTX};

    pci_hotplug_init(&hotplug);
}

/* `queues=`: queue pairs of each NIC. */
static void queues_from_cmdline(void)
{
    char word[WORD_SIZE];
    uint64_t pairs;

    if (!cmdline_get(info.cmdline, "queues", word, sizeof(word)))
        return;
    if (cmdline_parse_size(word, &pairs) && pairs >= 1 && pairs <= VIRTIO_NET_MAX_PAIRS)
        virtio_net_limit_pairs((unsigned)pairs);
    else
        log_warn("queues=%s: not a number from 1 to %u", word, VIRTIO_NET_MAX_PAIRS);
}

#define COALESCE_USECS_MAX 100000u
#define COALESCE_FRAMES_MAX 256u

/* `coalesce=USECS,FRAMES`: how long network devices may wait with an interrupt. */
static void coalescing_from_cmdline(void)
{
    char word[WORD_SIZE], *comma;
    uint64_t usecs, frames;

    if (!cmdline_get(info.cmdline, "coalesce", word, sizeof(word)))
        return;
    comma = strchr(word, ',');
    if (comma)
        *comma = '\0';
    if (comma && cmdline_parse_size(word, &usecs) && cmdline_parse_size(comma + 1, &frames) &&
        usecs <= COALESCE_USECS_MAX && frames >= 1 && frames <= COALESCE_FRAMES_MAX)
        virtio_net_coalesce((unsigned)usecs, (unsigned)frames);
    else
        log_warn("coalesce=: not up to %u microseconds, a comma, and 1 to %u frames",
                 COALESCE_USECS_MAX, COALESCE_FRAMES_MAX);
}

static void virtio_init(void)
{
    queues_from_cmdline();
    coalescing_from_cmdline();
    virtio_set_interrupt_limit(interrupts_from_cmdline());
    virtio_set_drivers(drivers, sizeof(drivers) / sizeof(drivers[0]));
    virtio_watch_idle(true);
    virtio_pci_scan();
    virtio_mmio_scan();
    if (!random_is_seeded())
        log_warn("neither RDRAND nor an entropy device: random numbers can be guessed");
}

static void ide_init(void)
{
    char word[WORD_SIZE];
    bool given = cmdline_get(info.cmdline, "ide", word, sizeof(word));

    ide_scan(given ? word : NULL, virtio_interrupt_limit() >= VIRTIO_INTERRUPT_INTX);
}

static void crash_from_cmdline(void)
{
    char word[WORD_SIZE];

    if (cmdline_get(info.cmdline, "crash", word, sizeof(word)) && !crash_on_purpose(word))
        log_warn("crash=%s: no such crash", word);
}

static void monitor_from_cmdline(void)
{
    char word[WORD_SIZE];

    if (cmdline_get(info.cmdline, "monitor", word, sizeof(word)) && strcmp(word, "off") == 0)
        return;
    monitor_start();
}

static void log_summary(void)
{
    uint64_t total, available, hz;
    const char *source = clock_source(&hz);
    char name[49];

    platform_memory(&total, &available);
    cpu_name(name);
    log_info("booted by %s%s%s%s, %llu MiB of memory (%llu free), %s at %llu MHz by %s",
             info.protocol, info.loader[0] != '\0' ? " (" : "", info.loader,
             info.loader[0] != '\0' ? ")" : "", (unsigned long long)(total >> 20),
             (unsigned long long)(available >> 20), name, (unsigned long long)(hz / 1000000),
             source);
}

void kernel_main(uint32_t magic, uint32_t info_address)
{
    static char *argv[ARGUMENTS_MAX];
    static char argument_text[BOOTINFO_CMDLINE_SIZE];
    int argc;

    serial_init();
    trap_init();
    boot_information(magic, info_address);
    log_level_from_cmdline();
    memory_init(&info);
    paging_init();
    acpi_init(info.rsdp_copy_length > 0 ? (uintptr_t)info.rsdp_copy : info.rsdp_address);
    clock_init();
    irq_init();
    tls_init();
    log_summary();
    crash_from_cmdline();

    pci_enumerate();
    power_init();
    virtio_init();
    ide_init();
    e1000_scan(virtio_interrupt_limit() >= VIRTIO_INTERRUPT_INTX);
    pci_log_functions();

    fpu_init();
    __libc_init_array();
    partition_init();
    ramdisk_from_cmdline(info.cmdline);
    fs_init();
    net_init();
    hotplug_init();
    monitor_from_cmdline();

    argc = cmdline_args(info.cmdline, "ferrule", argv, ARGUMENTS_MAX, argument_text,
                        sizeof(argument_text));
    log_info("ready in %llu us", (unsigned long long)(platform_now_ns() / 1000));
    exit(app_main(argc, argv)); /* runs atexit functions and flushes stdio, then machine_end() */
}

/*
 * Nothing may write to our memory or hold unwritten files when the machine goes. Ends at once when
 * called from within.
 */
static void shut_down(void)
{
    static bool ending;

    if (ending)
        return;
    ending = true;
    socket_shutdown_all();
    vsock_drain();
    net_shutdown();
    fs_shutdown();
    console_flush();
    ide_shutdown();
    e1000_shutdown();
    virtio_shutdown();
}

void machine_end(int status)
{
    if (power_button_pressed())
        log_info("power: button pressed");
    log_info("ending with status %d", status);
    shut_down();
    platform_exit(status);
}

void machine_restart(void)
{
    shut_down();
    platform_reboot();
}
