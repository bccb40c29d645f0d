/*
 * qtest.c - QEMU as a child process, and its test protocol: a line for each access to a port or a
 * register.
 *
 * The firmware is three instructions that halt, so nothing but us touches the devices, and BARs are
 * placed by the kernel's own allocator. QEMU inherits all its files and sockets, and dies with us.
 * The protocol is described in QEMU's system/qtest.c. Read qtest.h first, qtest_machine.c next.
 */
#include "hosted/qtest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hosted/hosted.h"
#include "hosted/qtest_impl.h"
#include "pci.h"

#define TIMEOUT_S 30
#define MAX_ARGUMENTS 96
#define FIRMWARE_BYTES 65536
#define PORTS 0x10000u
/* Where arch/x86_64/pci_alloc.c places BARs. */
#define REGISTERS_FIRST UINT64_C(0xc0000000)
#define REGISTERS_END UINT64_C(0xfec00000)

static pid_t qemu;
static int test_fd = -1, monitor_fd = -1;
static char line[8192];
static char pending[8192]; /* received, not yet read as lines */
static size_t pending_length;

/* ---- the protocol ---- */

static void lost(const char *what)
{
    hosted_fail("qtest: QEMU does not answer: %s: %s", what, strerror(errno));
}

/* The next whole line from QEMU in `line`. False: there is none yet, and it may not wait. */
static bool read_line(bool wait)
{
    char *end;

    while (!(end = memchr(pending, '\n', pending_length))) {
        ssize_t got = recv(test_fd, pending + pending_length, sizeof(pending) - pending_length,
                           wait ? 0 : MSG_DONTWAIT);

        if (got < 0 && !wait && (errno == EAGAIN || errno == EWOULDBLOCK))
            return false;
        if (got <= 0)
            lost("read");
        pending_length += (size_t)got;
    }
    *end = '\0';
    size_t length = (size_t)(end - pending) + 1;
    snprintf(line, sizeof(line), "%s", pending);
    pending_length -= length;
    memmove(pending, pending + length, pending_length);
    return true;
}

/* Interrupts are told at any time. */
static bool was_interrupt(void)
{
    unsigned number;

    if (sscanf(line, "IRQ raise %u", &number) == 1)
        qtest_machine_line(number, true);
    else if (sscanf(line, "IRQ lower %u", &number) == 1)
        qtest_machine_line(number, false);
    else
        return false;
    return true;
}

void qtest_listen(void)
{
    while (read_line(false))
        if (!was_interrupt())
            hosted_fail("qtest: QEMU says \"%s\", unasked", line);
}

static uint64_t command(const char *format, ...) __attribute__((format(printf, 1, 2)));
static uint64_t command(const char *format, ...)
{
    char text[128];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (send(test_fd, text, (size_t)length, MSG_NOSIGNAL) != length)
        lost(text);
    do {
        read_line(true);
    } while (was_interrupt());
    if (strncmp(line, "OK", 2) != 0)
        hosted_fail("qtest: \"%s\" to %s", line, text);
    return line[2] ? strtoull(line + 3, NULL, 0) : 0;
}

/* ---- ports and registers ---- */

static char width_letter(unsigned width)
{
    return width == 1 ? 'b' : width == 2 ? 'w' : width == 4 ? 'l' : 'q';
}

static uint64_t port_read(void *arg, uint64_t offset, unsigned width)
{
    (void)arg;
    return command("in%c 0x%llx\n", width_letter(width), (unsigned long long)offset);
}

static void port_write(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    (void)arg;
    command("out%c 0x%llx 0x%llx\n", width_letter(width), (unsigned long long)offset,
            (unsigned long long)value);
}

static uint64_t register_read(void *arg, uint64_t offset, unsigned width)
{
    (void)arg;
    return command("read%c 0x%llx\n", width_letter(width),
                   (unsigned long long)(REGISTERS_FIRST + offset));
}

static void register_write(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    (void)arg;
    command("write%c 0x%llx 0x%llx\n", width_letter(width),
            (unsigned long long)(REGISTERS_FIRST + offset), (unsigned long long)value);
}

void qtest_attach(void)
{
    hosted_clock_use_real();
    hosted_registers_add(&(struct hosted_registers){.name = "QEMU's ports",
                                                    .address = HOSTED_PORT_BASE,
                                                    .size = PORTS,
                                                    .read = port_read,
                                                    .write = port_write});
    hosted_registers_add(&(struct hosted_registers){.name = "QEMU's registers",
                                                    .address = REGISTERS_FIRST,
                                                    .size = REGISTERS_END - REGISTERS_FIRST,
                                                    .read = register_read,
                                                    .write = register_write});
    qtest_machine_attach();
}

/* ---- the process ---- */

/* cli; hlt; jmp to the hlt: at the reset vector, 16 bytes below the end. */
static int make_firmware(void)
{
    static const uint8_t halt[] = {0xfa, 0xf4, 0xeb, 0xfd};
    int fd = memfd_create("firmware", 0);

    if (fd < 0 || ftruncate(fd, FIRMWARE_BYTES) != 0 ||
        pwrite(fd, halt, sizeof(halt), FIRMWARE_BYTES - 16) != sizeof(halt))
        hosted_fail("qtest: cannot make a firmware: %s", strerror(errno));
    return fd;
}

static void make_channel(int *ours, int *theirs)
{
    struct timeval limit = {TIMEOUT_S, 0};
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        hosted_fail("qtest: socketpair: %s", strerror(errno));
    *ours = pair[0];
    *theirs = pair[1];
    fcntl(*ours, F_SETFD, FD_CLOEXEC);
    setsockopt(*ours, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(*ours, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* In the child; never returns. */
static void become_qemu(const char *const arguments[], int firmware, int test, int monitor,
                        const int *keep)
{
    const char *program = getenv("QEMU");
    const char *argv[MAX_ARGUMENTS];
    char bios[64], arena[192], test_socket[64], monitor_socket[64];
    const char *own[] = {program && *program ? program : "qemu-system-x86_64", "-M", "q35",
                         "-accel", "tcg", "-nodefaults", "-display", "none", "-m", "1024",
                         /* RAM ends where the arena begins, and the arena is the rest of it. */
                         "-object", "memory-backend-ram,id=low,size=512M", "-object", arena,
                         "-numa", "node,nodeid=0,cpus=0,memdev=low", "-numa",
                         "node,nodeid=1,memdev=arena", "-bios", bios, "-chardev", test_socket,
                         "-qtest", "chardev:qtest", "-qtest-log", "none", "-chardev",
                         monitor_socket, "-mon", "chardev=monitor,mode=control"};
    unsigned count = sizeof(own) / sizeof(own[0]);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(bios, sizeof(bios), "/proc/self/fd/%d", firmware);
    snprintf(arena, sizeof(arena),
             "memory-backend-file,id=arena,size=%zu,mem-path=/proc/self/fd/%d,share=on",
             hosted_dma_size(), hosted_dma_fd());
    snprintf(test_socket, sizeof(test_socket), "socket,id=qtest,fd=%d", test);
    snprintf(monitor_socket, sizeof(monitor_socket), "socket,id=monitor,fd=%d", monitor);
    memcpy(argv, own, sizeof(own));
    while (*arguments && count < MAX_ARGUMENTS - 1)
        argv[count++] = *arguments++;
    argv[count] = NULL;
    fcntl(hosted_dma_fd(), F_SETFD, 0);
    for (; keep && *keep >= 0; keep++)
        fcntl(*keep, F_SETFD, 0);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

void qtest_start(const char *const arguments[], const int *keep)
{
    int firmware = make_firmware(), test, monitor;
    char greeting[4096];

    if ((uintptr_t)hosted_dma_base() != UINT64_C(512) << 20 || hosted_dma_size() != 512u << 20)
        hosted_fail("qtest: the arena must lie where QEMU can have it: at 512 MiB, as large");
    make_channel(&test_fd, &test);
    make_channel(&monitor_fd, &monitor);
    qemu = fork();
    if (qemu < 0)
        hosted_fail("qtest: fork: %s", strerror(errno));
    if (qemu == 0)
        become_qemu(arguments, firmware, test, monitor, keep);
    close(firmware);
    close(test);
    close(monitor);
    if (recv(monitor_fd, greeting, sizeof(greeting), 0) <= 0)
        lost("greeting");
    qtest_monitor("{\"execute\":\"qmp_capabilities\"}");
    command("irq_intercept_in ioapic\n");
    qtest_attach();
    if (pci_enumerate() == 0)
        hosted_fail("qtest: QEMU has no PCI functions");
    hosted_dma_keep(); /* what is known of them is so as long as QEMU runs */
}

void qtest_stop(void)
{
    if (qemu <= 0)
        return;
    kill(qemu, SIGKILL);
    waitpid(qemu, NULL, 0);
    close(test_fd);
    close(monitor_fd);
    qemu = 0;
}

/* Events come on the same channel, so an answer is a line that says "return" or "error". */
const char *qtest_monitor(const char *text)
{
    static char answer[8192];
    size_t length = 0;

    if (dprintf(monitor_fd, "%s\n", text) < 0)
        lost(text);
    do {
        ssize_t got = recv(monitor_fd, answer + length, sizeof(answer) - 1 - length, 0);

        if (got <= 0)
            lost(text);
        length += (size_t)got;
        answer[length] = '\0';
    } while (answer[length - 1] != '\n' ||
             (!strstr(answer, "\"return\"") && !strstr(answer, "\"error\"")));
    return answer;
}
