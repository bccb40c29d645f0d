// sources: virtio/*.c blk/block*.c blk/wait.c blk/scsi*.c blk/virtio*.c net/nic.c net/virtio_net*.c net/flow_hash.c net/frame.c console/*.c rng/*.c
// sources: balloon/*.c input/*.c vsock/*.c fs/virtio_*.c fs/ninep*.c fs/fuse*.c fs/share_file.c fs/mount.c boot/loop.c boot/format.c boot/log.c
// sources: boot/pci_caps.c boot/cmdline.c hosted/platform_linux.c hosted/dma_arena.c
// sources: hosted/registers.c hosted/fake_pci.c hosted/violation.c hosted/ring*.c hosted/device*.c
// sources: hosted/pages.c tests/unit/ninep_server.c tests/unit/fuse_server.c tests/faults/*.c fs/fat*.c fs/littlefs*.c
// sources: blk/cache.c tests/fuzz/image_disk.c tests/fuzz/volumes.c
/*
 * fault_points.c - every place at which a driver can be hit, and everything that can hit it there.
 *
 * A scenario (scenario.h) runs once to count its points: register reads and writes, allocations,
 * mappings, interrupts and completions. Then it runs once more for each point and each fault that
 * can happen at it. Nothing may crash, hang, leak, or fail to give back what it was lent; whether it
 * works is not asked. The points are met by the linker, which wraps the functions behind them
 * (--wrap in the Makefile), so no code under test knows.
 *
 * A card that leaves its slot, politely or not, leaves there and then, and its driver is told from the
 * next turn of the loop, as by arch/x86_64/pci_hotplug.c. Another one that is plugged in after it must
 * work like the first.
 * What the model says about the driver is not
 * looked at either: a driver that is told nonsense may answer with some.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hosted/device_mmio.h"
#include "hosted/fake_pci.h"
#include "hosted/violation.h"
#include "loop.h"
#include "scenario.h"
#include "virtio/virtio_mmio.h"
#include "virtio/virtio_pci.h"

#define RELAX_NS 1000000u
#define POINT_SECONDS 60
/* How a process ends that has said what failed, and one whose time is over. */
#define FAILED 4
#define ENDLESS 3
/* In a loop that never sleeps, virtio/virtio_watch.c looks in every 64th turn. */
#define STALL_S 40u
#define STALL_TURNS 64u

enum point { REGISTER_READ, REGISTER_WRITE, ALLOCATION, MAPPING, INTERRUPT, COMPLETION, POINTS };
static const char *const point_names[] = {"register read", "register write", "allocation",
                                          "mapping",       "interrupt",      "completion"};

enum fault {
    ALL_ONES,
    ZERO,
    GENERATION,
    REMOVAL,
    NEEDS_RESET,
    INTERRUPT_HERE,
    FAILS,
    PULLED_OUT,
    UNPLUGGED,
    STALLS,
    FAULTS
};
static const char *const fault_names[] = {
    "all ones",  "zero",  "generation change", "removal",   "NEEDS_RESET",
    "interrupt", "fails", "pulled out",        "unplugged", "stalls",
};

#define OF(fault) (1u << (fault))
#define DEVICE_FAULTS (OF(GENERATION) | OF(REMOVAL) | OF(NEEDS_RESET) | OF(INTERRUPT_HERE))
#define SLOT_FAULTS (OF(PULLED_OUT) | OF(UNPLUGGED)) /* at all points, of what is in a slot */
static const unsigned faults_at[POINTS] = {
    [REGISTER_READ] = DEVICE_FAULTS | OF(ALL_ONES) | OF(ZERO),
    [REGISTER_WRITE] = DEVICE_FAULTS,
    [ALLOCATION] = DEVICE_FAULTS | OF(FAILS),
    [MAPPING] = DEVICE_FAULTS | OF(FAILS),
    [INTERRUPT] = DEVICE_FAULTS | OF(FAILS),
    [COMPLETION] = DEVICE_FAULTS | OF(ALL_ONES) | OF(ZERO) | OF(FAILS) | OF(STALLS),
};

static struct device *device;
static unsigned seen[POINTS]; /* so far in this run */
/* Shared with the parent, which tells of a process that does not come back what it was at. */
static struct {
    enum point point;
    unsigned number; /* 0: no fault, only count */
    enum fault fault;
} * plan;
bool scenario_disturbed;
static bool over;   /* nothing goes wrong any more */
static bool armed;  /* the scenario is under way, and no fault is being made */
static bool leaves; /* the card, and its slot has not said so yet */

/* ---- the faults ---- */

static void raise_all(void)
{
    if (device->pci && fake_pci_msix_enabled(device->pci))
        for (unsigned i = 0; i < device->pci->msix_entries; i++)
            fake_pci_raise_msix(device->pci, i);
    else if (device->front && device->front->set_line)
        device->front->set_line(device, device->isr != 0);
    if (!hosted_in_interrupt())
        hosted_interrupts_deliver();
}

static void remove_device(void)
{
    device->lies.gone = true;
    if (device->front && device->front->set_line)
        device->front->set_line(device, false);
}

/* The slot's share of a turn. */
static unsigned poll_slot(void *arg, unsigned budget)
{
    (void)arg;
    (void)budget;
    if (!leaves || loop_is_nested())
        return 0;
    leaves = false;
    if (device->lies.gone)
        device_power_off(device);
    virtio_pci_remove(&device->pci->fn);
    return 1;
}

/* Counts a point. True: it is the one, and what the device does there is done. */
static bool is_hit(enum point point)
{
    if (!armed || ++seen[point] != plan->number || point != plan->point || over)
        return false;
    armed = false;
    switch (plan->fault) {
    case GENERATION:
        device_change_config(device, 0, device->config, device->config_length);
        break;
    case REMOVAL:
        remove_device();
        break;
    case PULLED_OUT:
        remove_device();
        device->pci->gone = true;
        leaves = true;
        break;
    case UNPLUGGED:
        leaves = true;
        break;
    case NEEDS_RESET:
        device_need_reset(device);
        break;
    case STALLS:
        device->lies.mute = true;
        break;
    case INTERRUPT_HERE:
        raise_all();
        break;
    default:
        break;
    }
    armed = true;
    return true;
}

/* ---- where the points are ---- */

uint64_t __real_hosted_register_read(uint64_t address, unsigned width);
uint64_t __wrap_hosted_register_read(uint64_t address, unsigned width);
void __real_hosted_register_write(uint64_t address, unsigned width, uint64_t value);
void __wrap_hosted_register_write(uint64_t address, unsigned width, uint64_t value);
void *__real_platform_dma_alloc(size_t size, size_t align);
void *__wrap_platform_dma_alloc(size_t size, size_t align);
dma_addr_t __real_hosted_dma_map(const void *memory, size_t len, enum dma_direction direction);
dma_addr_t __wrap_hosted_dma_map(const void *memory, size_t len, enum dma_direction direction);
void __real_hosted_interrupt_raise(void (*handler)(void *arg), void *arg);
void __wrap_hosted_interrupt_raise(void (*handler)(void *arg), void *arg);
void __real_ring_device_push(struct ring_device *ring, struct ring_chain *chain, uint32_t len);
void __wrap_ring_device_push(struct ring_device *ring, struct ring_chain *chain, uint32_t len);

uint64_t __wrap_hosted_register_read(uint64_t address, unsigned width)
{
    bool hit = is_hit(REGISTER_READ);
    uint64_t value = __real_hosted_register_read(address, width);

    if (!hit || (plan->fault != ALL_ONES && plan->fault != ZERO))
        return value;
    return plan->fault == ZERO ? 0 : UINT64_MAX >> (64 - 8 * width);
}

void __wrap_hosted_register_write(uint64_t address, unsigned width, uint64_t value)
{
    is_hit(REGISTER_WRITE);
    __real_hosted_register_write(address, width, value);
}

void *__wrap_platform_dma_alloc(size_t size, size_t align)
{
    if (is_hit(ALLOCATION) && plan->fault == FAILS)
        return NULL;
    return __real_platform_dma_alloc(size, align);
}

dma_addr_t __wrap_hosted_dma_map(const void *memory, size_t len, enum dma_direction direction)
{
    if (is_hit(MAPPING) && plan->fault == FAILS)
        return DMA_ADDR_INVALID;
    return __real_hosted_dma_map(memory, len, direction);
}

void __wrap_hosted_interrupt_raise(void (*handler)(void *arg), void *arg)
{
    if (is_hit(INTERRUPT) && plan->fault == FAILS)
        return;
    __real_hosted_interrupt_raise(handler, arg);
}

void __wrap_ring_device_push(struct ring_device *ring, struct ring_chain *chain, uint32_t len)
{
    bool hit = is_hit(COMPLETION);

    /* Told that all features are there, a driver takes IN_ORDER from a model that does not do it. */
    if (ring->params.in_order && chain != ring_device_held(ring, 0))
        return;
    if (hit && plan->fault == ALL_ONES)
        ring_device_push_raw(ring, UINT32_MAX, UINT32_MAX);
    else if (!hit || plan->fault != FAILS)
        __real_ring_device_push(ring, chain, hit && plan->fault == ZERO ? 0 : len);
}

/* ---- one run ---- */

struct combination {
    const struct scenario *scenario;
    bool packed, mmio;
};

static jmp_buf failure;
static char reason[256];

static void note_failure(const char *text)
{
    snprintf(reason, sizeof(reason), "%s", text);
    longjmp(failure, 1);
}

static void start(const struct combination *c)
{
    hosted_reset();
    hosted_clock_set_relax(RELAX_NS);
    fake_pci_reset();
    device_mmio_reset();
    violation_reset();
    loop_set_polling(false);
    virtio_set_interrupt_limit(VIRTIO_INTERRUPT_MSIX);
    virtio_set_drivers(&c->scenario->driver, 1);
    device_set_front(c->mmio ? &device_mmio_front : NULL);
}

/* Longer than anybody's patience with a device that answers nothing. */
static void wait_in_vain(void)
{
    for (unsigned second = 0; second < STALL_S; second++) {
        hosted_clock_advance(1000000000);
        for (unsigned turn = 0; turn < STALL_TURNS; turn++)
            loop_turn();
    }
}

/* The life of one device; the points in it are counted. */
static void live(const struct combination *c)
{
    struct mmio_place place;

    scenario_disturbed = plan->number != 0 && !over;
    device = c->scenario->make();
    if (c->packed)
        device->offered[1] |= 1u << (F_RING_PACKED - 32);
    memset(seen, 0, sizeof(seen));
    leaves = false;
    armed = true;
    if (c->mmio) {
        place = device_mmio_place(device);
        virtio_mmio_probe(&place);
    } else {
        virtio_pci_scan();
    }
    c->scenario->use();
    armed = false;
    if (device->lies.mute)
        wait_in_vain();
    if (leaves)
        loop_turn();
    virtio_shutdown();
    c->scenario->finish();
    fake_pci_reset();
    if (hosted_dma_allocations() || hosted_dma_mappings())
        hosted_fail("%u allocations, %u mappings are left", hosted_dma_allocations(),
                    hosted_dma_mappings());
}

/* `usual`: the points of a life without a fault. */
static void live_through(const struct combination *c, const unsigned usual[POINTS])
{
    over = false;
    start(c);
    live(c);
    if (plan->number == 0 || !(SLOT_FAULTS & OF(plan->fault)))
        return;
    over = true;
    live(c);
    if (seen[COMPLETION] != usual[COMPLETION])
        hosted_fail("another card: %u completions where the first would have had %u",
                    seen[COMPLETION], usual[COMPLETION]);
}

static bool survives(const struct combination *c, const unsigned usual[POINTS])
{
    alarm(POINT_SECONDS);
    if (setjmp(failure))
        return false;
    live_through(c, usual);
    return true;
}

static void print_failure(const struct combination *c)
{
    printf("FAIL %s %s %s: %s %u: %s: %s\n", c->scenario->name, c->packed ? "packed" : "split",
           c->mmio ? "mmio" : "pci", point_names[plan->point], plan->number,
           fault_names[plan->fault], reason);
    fflush(stdout);
}

static void on_alarm(int signal)
{
    (void)signal;
    _exit(ENDLESS);
}

/* All points of one combination. Returns the number of runs, or 0 after a failure was printed. */
static unsigned walk(const struct combination *c, unsigned stride)
{
    unsigned counted[POINTS], runs = 0, skipped = 0, slot_faults = c->mmio ? 0 : SLOT_FAULTS;

    plan->number = 0;
    if (!survives(c, NULL)) {
        print_failure(c);
        return 0;
    }
    memcpy(counted, seen, sizeof(counted));
    for (unsigned point = 0; point < POINTS; point++)
        for (unsigned number = 1; number <= counted[point]; number++)
            for (unsigned fault = 0; fault < FAULTS; fault++) {
                if (!((faults_at[point] | slot_faults) & OF(fault)) || ++skipped % stride)
                    continue;
                plan->point = point;
                plan->number = number;
                plan->fault = fault;
                runs++;
                if (!survives(c, counted)) {
                    print_failure(c);
                    return 0;
                }
            }
    printf("ok   %s %s %s: %u runs; points:", c->scenario->name, c->packed ? "packed" : "split",
           c->mmio ? "mmio" : "pci", runs);
    for (unsigned point = 0; point < POINTS; point++)
        printf(" %s %u%s", point_names[point], counted[point], point + 1 < POINTS ? "," : "\n");
    fflush(stdout);
    return runs;
}

/* In a process of its own, as a crash is a result too. */
static unsigned walk_apart(const struct combination *c, unsigned stride)
{
    int ends[2], status = 0;
    unsigned runs = 0;
    pid_t child;

    fflush(stdout);
    if (pipe(ends) != 0 || (child = fork()) < 0) {
        perror("fault_points");
        exit(2);
    }
    if (child == 0) {
        runs = walk(c, stride);
        if (write(ends[1], &runs, sizeof(runs)) != sizeof(runs) || !runs)
            _exit(FAILED); /* what a run that was broken off has left behind is no leak */
        exit(0);
    }
    close(ends[1]);
    if (read(ends[0], &runs, sizeof(runs)) != sizeof(runs))
        runs = 0;
    close(ends[0]);
    waitpid(child, &status, 0);
    if (status != 0 && runs)
        printf("FAIL %s: ended with status %#x after its last run\n", c->scenario->name,
               (unsigned)status);
    else if (status != 0 && status != FAILED << 8) {
        snprintf(reason, sizeof(reason),
                 status == ENDLESS << 8 ? "no end" : "its process ended with status %#x",
                 (unsigned)status);
        print_failure(c);
    }
    return status == 0 ? runs : 0;
}

int main(int argc, char **argv)
{
    static struct loop_source slot = {.name = "slot", .poll = poll_slot};
    unsigned stride = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
    unsigned passed = 0, failed = 0;
    unsigned long runs = 0;

    if (stride == 0) {
        fprintf(stderr, "usage: fault_points [every nth point [scenario]]\n");
        return 2;
    }
    plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (plan == MAP_FAILED) {
        perror("fault_points");
        return 2;
    }
    signal(SIGALRM, on_alarm);
    hosted_set_failure_hook(note_failure);
    loop_add(&slot);
    for (unsigned i = 0; i < 4 * scenario_count; i++) {
        struct combination c = {&scenarios[i / 4], i & 1, i >> 1 & 1};
        unsigned done;

        if (argc > 2 && strcmp(argv[2], c.scenario->name) != 0)
            continue;
        done = walk_apart(&c, stride);
        runs += done;
        passed += done != 0;
        failed += done == 0;
    }
    printf("fault-points: combinations=%u runs=%lu stride=%u failed=%u\n", passed + failed, runs,
           stride, failed);
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
