/*
 * monitor.c - commands typed at the console: what the machine is doing, and how to end it.
 *
 * Owns the line editor and the commands' names; what they show belongs to others. One source of the
 * event loop, so it answers while an application serves, and costs nothing while nobody types.
 * Kernel word `monitor=off` leaves the console to the application.
 */
#include <errno.h>
#include <string.h>

#include "balloon/virtio_balloon.h"
#include "blk/block.h"
#include "blk/load.h"
#include "console.h"
#include "console/console_port.h"
#include "irq.h"
#include "log.h"
#include "loop.h"
#include "machine.h"
#include "net/lwip_netif.h"
#include "pci.h"
#include "platform.h"
#include "rng/virtio_rng.h"
#include "virtio/virtio.h"
#include "vsock/vsock.h"

#define LINE_SIZE 80
/*
 * How often the UART itself is looked at: where it cannot interrupt, and where the loop is too busy
 * ever to halt, for interrupts are taken only then. A look costs a hypervisor exit.
 */
#define POLL_INTERVAL_NS 50000000

#define KEY_BACKSPACE 0x08
#define KEY_DELETE 0x7f
#define KEY_CANCEL 0x15 /* ^U */

static char line[LINE_SIZE];
static size_t line_length;
static bool serial_interrupts;
static uint64_t next_look_ns;

static void say(const char *text)
{
    platform_console_write(text, strlen(text));
}

static void show_memory(const char *argument)
{
    uint64_t total, available;
    char text[96];

    (void)argument;
    platform_memory(&total, &available);
    format_text(text, sizeof(text), "%llu KiB of memory, %llu KiB free, %llu interrupts so far\n",
                (unsigned long long)(total >> 10), (unsigned long long)(available >> 10),
                (unsigned long long)irq_count());
    say(text);
    virtio_balloon_print_report();
}

static void say_line(void *arg, const char *text)
{
    (void)arg;
    say(text);
    say("\n");
}

static void load_disk(const char *argument)
{
    char text[LINE_SIZE + 4];

    format_text(text, sizeof(text), "blk %s", argument);
    blk_load_start(text, say_line, NULL);
}

static void show_disks(const char *argument)
{
    (void)argument;
    blk_print_report();
}

static void show_log(const char *argument)
{
    (void)argument;
    log_replay();
}

static void show_pci(const char *argument)
{
    (void)argument;
    pci_log_functions();
}

static void show_ports(const char *argument)
{
    (void)argument;
    console_port_print_report();
}

static void show_random(const char *argument)
{
    (void)argument;
    virtio_rng_print_report();
}

static void show_loop(void)
{
    const struct loop_stats *stats = loop_stats();

    log_info("loop: %llu turns, %llu halts, %llu interrupts", (unsigned long long)stats->turns,
             (unsigned long long)stats->halts, (unsigned long long)irq_count());
    log_info("loop-report: turns=%llu halts=%llu interrupts=%llu", (unsigned long long)stats->turns,
             (unsigned long long)stats->halts, (unsigned long long)irq_count());
}

/* "DEVICE QUEUE": marks a queue broken, as if its device had done something impossible. */
static void break_queue(const char *numbers)
{
    struct virtio_device *device = virtio_devices();
    unsigned number[2] = {0, 0}, i;

    for (i = 0; i < 2; i++) {
        for (; *numbers >= '0' && *numbers <= '9'; numbers++)
            number[i] = number[i] * 10 + (unsigned)(*numbers - '0');
        while (*numbers == ' ')
            numbers++;
    }
    for (i = 0; device && i < number[0]; i++)
        device = device->next;
    if (device && device->driver_ok && number[1] < device->queue_count) {
        virtqueue_break(device->queue[number[1]], "by a command");
        loop_wake_all();
    } else {
        say("no such queue of a running device: virtio break DEVICE QUEUE, counted from 0\n");
    }
}

static void show_virtio(const char *argument)
{
    if (strncmp(argument, "break ", 6) == 0) {
        break_queue(argument + 6);
        return;
    }
    virtio_print_report();
    show_loop();
}

/* "NIC on" or "NIC off". */
static void set_large_receive(char *argument)
{
    char *state = strchr(argument, ' ');
    bool on = false;
    int error = -EINVAL;

    if (state) {
        *state++ = '\0';
        on = strcmp(state, "on") == 0;
        if (on || strcmp(state, "off") == 0)
            error = net_set_large_receive(argument, on);
    }
    say(error == -EINVAL    ? "net large NIC on | off\n"
        : error == -ENODEV  ? "no such NIC\n"
        : error == -ENOTSUP ? "its device cannot be told\n"
        : error             ? "the device did not answer\n"
        : on                ? "frames may be large\n"
                            : "frames are no larger than the MTU\n");
}

static void show_network(const char *argument)
{
    char text[LINE_SIZE];

    if (strncmp(argument, "large ", 6) == 0) {
        format_text(text, sizeof(text), "%s", argument + 6);
        set_large_receive(text);
        return;
    }
    net_print_report();
}

static void show_vsock(const char *argument)
{
    (void)argument;
    vsock_print_report();
}

static void stop(const char *argument)
{
    (void)argument;
    platform_request_stop();
}

static void restart(const char *argument)
{
    (void)argument;
    machine_restart();
}

static void crash(const char *argument)
{
    if (!crash_on_purpose(argument))
        say("crash panic | null | guard | wx | nx | ud\n");
}

static void help(const char *argument);

static const struct command {
    const char *name;
    void (*run)(const char *argument);
    const char *help;
} commands[] = {
    {"blk", load_disk, "OP BS DEPTH COUNT [DEVICE] [force]: measures a disk"},
    {"disks", show_disks, "disks, partitions and their counters"},
    {"help", help, "this list"},
    {"log", show_log, "the last 16 KiB of log lines"},
    {"mem", show_memory, "memory and interrupts"},
    {"net", show_network, "network interfaces and counters; large NIC on|off: large receive"},
    {"pci", show_pci, "PCI functions and their drivers"},
    {"ports", show_ports, "ports of virtio consoles"},
    {"random", show_random, "where random numbers come from"},
    {"virtio", show_virtio,
     "virtio devices, features, queues; break DEVICE QUEUE: to see it mended"},
    {"vsock", show_vsock, "connections to the hypervisor"},
    {"poweroff", stop, "end the application and power off"},
    {"reboot", restart, "restart the machine"},
    {"crash", crash, "KIND: crash on purpose"},
};

static void help(const char *argument)
{
    char text[96];

    (void)argument;
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        format_text(text, sizeof(text), "%-9s %s\n", commands[i].name, commands[i].help);
        say(text);
    }
}

static void run_line(char *text)
{
    char *argument;

    while (*text == ' ')
        text++;
    for (argument = text; *argument != '\0' && *argument != ' '; argument++)
        continue;
    while (*argument == ' ')
        *argument++ = '\0';
    if (*text == '\0')
        return;
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(text, commands[i].name) == 0) {
            commands[i].run(argument);
            return;
        }
    }
    say("no such command; help lists them\n");
}

static void take_key(char key)
{
    if (key == '\r' || key == '\n') {
        say("\n");
        line[line_length] = '\0';
        line_length = 0;
        run_line(line);
    } else if (key == KEY_BACKSPACE || key == KEY_DELETE) {
        if (line_length > 0) {
            line_length--;
            say("\b \b");
        }
    } else if (key == KEY_CANCEL) {
        for (; line_length > 0; line_length--)
            say("\b \b");
    } else if (key >= ' ' && line_length + 1 < LINE_SIZE) {
        line[line_length++] = key;
        platform_console_write(&key, 1);
    }
}

static unsigned monitor_poll(void *arg, unsigned budget)
{
    unsigned done = 0;

    (void)arg;
    if (!console_pending()) {
        if (platform_now_ns() < next_look_ns)
            return 0;
        next_look_ns = platform_now_ns() + POLL_INTERVAL_NS;
    }
    while (done < budget) {
        int key = platform_console_read();

        if (key < 0)
            break;
        take_key((char)key);
        done++;
    }
    return done;
}

static struct loop_source source;

static bool monitor_arm(void *arg)
{
    (void)arg;
    if (console_is_serial())
        loop_sleep(&source);
    return !console_pending();
}

static uint64_t monitor_deadline(void *arg)
{
    (void)arg;
    return serial_interrupts || !serial_present() ? PLATFORM_NO_DEADLINE : next_look_ns;
}

static struct loop_source source = {.name = "monitor",
                                    .poll = monitor_poll,
                                    .arm = monitor_arm,
                                    .deadline = monitor_deadline,
                                    .arm_finds_all = true};

void monitor_start(void)
{
    /* Also without a serial port: another console may come at any time. */
    serial_interrupts = serial_enable_interrupts(&source);
    loop_add(&source);
}
