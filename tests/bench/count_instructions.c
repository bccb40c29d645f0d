/*
 * count_instructions.c - a QEMU plugin that counts the instructions a guest executes, how often it
 * halts, its virtio notifications, and the bytes that its processor moves.
 *
 * Counts start with the first code executed at `low` <= address < `high`, that is where the kernel
 * was loaded, so that the firmware, which is the same for every guest, stays out. The counts are kept
 * in the file `out`, 8 bytes each in the host's byte order, and can be read there at any time. Moved
 * bytes are what the code of `copy`, LOW-HIGH given once for each function, stores, and what string
 * instructions read from or write to ports. The file `profile` has a count for each byte of the code
 * of `code`, LOW-HIGH: the instructions of the straight runs of code that begin there. Debian ships no
 * header for QEMU's plugin interface (docs/devel/tcg-plugins in its source), so the few declarations in
 * use stand here. A repeated string instruction counts once a repetition. Loaded by
 * tests/bench/measure.py.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef QEMU_PLUGIN_API
#define QEMU_PLUGIN_API 1 /* 2 from QEMU 9.0 on */
#endif
#define EXPORT __attribute__((visibility("default")))

/* QEMU_PLUGIN_CB_NO_REGS: the callback reads no guest register. */
#define CALLBACK_READS_NO_REGISTERS 0
#define ON_STORES 2 /* QEMU_PLUGIN_MEM_W */

#define HLT 0xf4
#define NOTIFY_SIZE_SHIFT 1 /* a notification is a store of 16 bits (VIRTIO 1.4, 4.1.5.2) */
#define NOTIFY_REGION "virtio-pci-notify"

struct counters {
    uint64_t instructions, halts, notifications, moved;
};

struct range {
    uint64_t low, high;
};

#define MAX_COPIES 4
static struct range copies[MAX_COPIES];
static unsigned copy_count;

/* A straight run of code that was translated: its count in the profile, and its instructions. */
struct run {
    volatile uint64_t *count;
    uint64_t instructions;
};
static struct range code;
static volatile uint64_t *profile; /* a count for each byte of `code`, or NULL */

typedef uint64_t plugin_id;
typedef uint32_t memory_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
struct qemu_info;

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
                                           void (*callback)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
                                          void (*callback)(unsigned cpu, void *user), int flags,
                                          void *user);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                            void (*callback)(unsigned cpu, void *user), int flags,
                                            void *user);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
                                      void (*callback)(unsigned cpu, memory_info info,
                                                       uint64_t address, void *user),
                                      int flags, int direction, void *user);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
unsigned qemu_plugin_mem_size_shift(memory_info info);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(memory_info info, uint64_t address);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *address);
const char *qemu_plugin_hwaddr_device_name(const struct qemu_plugin_hwaddr *address);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);

EXPORT int qemu_plugin_version = QEMU_PLUGIN_API;

static uint64_t low, high;
static bool watch_stores;               /* for notifications; slows the guest down */
static volatile struct counters *count; /* lies in the file; only the one guest CPU writes it */

static void count_kernel(unsigned cpu, void *user)
{
    (void)cpu;
    count->instructions += (uintptr_t)user;
}

static void count_if_started(unsigned cpu, void *user)
{
    (void)cpu;
    if (count->instructions != 0)
        count->instructions += (uintptr_t)user;
}

static void count_run(unsigned cpu, void *user)
{
    const struct run *run = user;

    (void)cpu;
    *run->count += run->instructions;
}

static void watch_run(struct qemu_plugin_tb *tb, uint64_t address, uint64_t instructions)
{
    struct run *run = malloc(sizeof(*run)); /* as long as QEMU, which may call for it at any time */

    if (run == NULL)
        return;
    *run = (struct run){profile + (address - code.low), instructions};
    qemu_plugin_register_vcpu_tb_exec_cb(tb, count_run, CALLBACK_READS_NO_REGISTERS, run);
}

static void count_halt(unsigned cpu, void *user)
{
    (void)cpu;
    (void)user;
    count->halts++;
}

static void count_notification(unsigned cpu, memory_info info, uint64_t address, void *user)
{
    struct qemu_plugin_hwaddr *where;

    (void)cpu;
    (void)user;
    if (qemu_plugin_mem_size_shift(info) != NOTIFY_SIZE_SHIFT)
        return;
    where = qemu_plugin_get_hwaddr(info, address);
    if (where != NULL && qemu_plugin_hwaddr_is_io(where) &&
        strncmp(qemu_plugin_hwaddr_device_name(where), NOTIFY_REGION, strlen(NOTIFY_REGION)) == 0)
        count->notifications++;
}

static void count_moved(unsigned cpu, memory_info info, uint64_t address, void *user)
{
    (void)cpu;
    (void)address;
    (void)user;
    count->moved += UINT64_C(1) << qemu_plugin_mem_size_shift(info);
}

static bool is_in(const struct range *range, uint64_t address)
{
    return address >= range->low && address < range->high;
}

static bool is_copy(uint64_t address)
{
    for (unsigned i = 0; i < copy_count; i++)
        if (is_in(&copies[i], address))
            return true;
    return false;
}

static void count_port(unsigned cpu, void *user)
{
    (void)cpu;
    count->moved += (uintptr_t)user;
}

/* The bytes that INS or OUTS moves at a time, behind any prefixes; 0: it is neither. Counted where it
 * is executed, since INS stores twice in QEMU, the first time to see that it can. */
static uintptr_t port_string_bytes(const struct qemu_plugin_insn *insn)
{
    const uint8_t *code = qemu_plugin_insn_data(insn);
    size_t at = 0, size = qemu_plugin_insn_size(insn);
    bool words = false;

    for (; at < size && (code[at] == 0xf3 || code[at] == 0x66); at++)
        words = words || code[at] == 0x66;
    if (at + 1 != size || code[at] < 0x6c || code[at] > 0x6f)
        return 0;
    return (code[at] & 1) == 0 ? 1 : words ? 2 : 4;
}

static void watch_moves(struct qemu_plugin_insn *insn)
{
    uintptr_t bytes = port_string_bytes(insn);

    if (is_copy(qemu_plugin_insn_vaddr(insn)))
        qemu_plugin_register_vcpu_mem_cb(insn, count_moved, CALLBACK_READS_NO_REGISTERS, ON_STORES,
                                         NULL);
    if (bytes != 0)
        qemu_plugin_register_vcpu_insn_exec_cb(insn, count_port, CALLBACK_READS_NO_REGISTERS,
                                               (void *)bytes);
}

static void watch_instruction(struct qemu_plugin_insn *insn)
{
    if (copy_count > 0)
        watch_moves(insn);
    if (qemu_plugin_insn_size(insn) == 1 && *(const uint8_t *)qemu_plugin_insn_data(insn) == HLT)
        qemu_plugin_register_vcpu_insn_exec_cb(insn, count_halt, CALLBACK_READS_NO_REGISTERS, NULL);
    if (watch_stores)
        qemu_plugin_register_vcpu_mem_cb(insn, count_notification, CALLBACK_READS_NO_REGISTERS,
                                         ON_STORES, NULL);
}

/* Code elsewhere may be firmware, or the kernel after it has moved itself: it counts once the kernel runs. */
static void on_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
    uint64_t address = qemu_plugin_tb_vaddr(tb);
    uintptr_t instructions = qemu_plugin_tb_n_insns(tb);

    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(
        tb, address >= low && address < high ? count_kernel : count_if_started,
        CALLBACK_READS_NO_REGISTERS, (void *)instructions);
    if (profile != NULL && is_in(&code, address))
        watch_run(tb, address, instructions);
    for (size_t i = 0; i < instructions; i++)
        watch_instruction(qemu_plugin_tb_get_insn(tb, i));
}

static volatile void *map_file(const char *name, size_t size)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    void *map = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
        map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        perror(name);
    if (fd >= 0)
        close(fd);
    return map == MAP_FAILED ? NULL : map;
}

static const char *value_of(const char *argument, const char *key)
{
    size_t length = strlen(key);

    return strncmp(argument, key, length) == 0 && argument[length] == '=' ? argument + length + 1
                                                                          : NULL;
}

static struct range range_of(const char *text)
{
    char *end;
    uint64_t first = strtoull(text, &end, 0);

    return (struct range){first, *end == '-' ? strtoull(end + 1, NULL, 0) : 0};
}

EXPORT int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        const char *text;

        if ((text = value_of(argv[i], "low")) != NULL)
            low = strtoull(text, NULL, 0);
        else if ((text = value_of(argv[i], "high")) != NULL)
            high = strtoull(text, NULL, 0);
        else if ((text = value_of(argv[i], "out")) != NULL)
            count = map_file(text, sizeof(*count));
        else if ((text = value_of(argv[i], "copy")) != NULL && copy_count < MAX_COPIES)
            copies[copy_count++] = range_of(text);
        else if ((text = value_of(argv[i], "code")) != NULL)
            code = range_of(text);
        else if ((text = value_of(argv[i], "profile")) != NULL && code.low < code.high)
            profile = map_file(text, (code.high - code.low) * sizeof(*profile));
        else if ((text = value_of(argv[i], "notifications")) != NULL)
            watch_stores = strcmp(text, "on") == 0;
    }
    if (low >= high || count == NULL) {
        fprintf(stderr, "count_instructions: needs low=, high= and a file out=\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
