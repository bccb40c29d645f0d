/*
 * work.c - counts what entry points do, and fails where one does more than its header allows.
 *
 * The counting build compiles the portable code so that each basic block calls
 * __sanitizer_cov_trace_pc(), a step; the linker (--wrap) puts the functions below in front of it and of
 * entry points. So nothing in the code under test knows. Register accesses are counted by
 * hosted/registers.c. Besides the limits there is an allowance for each turn of a bounded wait
 * (platform_relax, platform_wait) and for each reset of a device, which have limits of their own in
 * time and number. What a callback does is not the caller's work.
 */
#include "blk/scsi_host.h"
#include "console/console_stream.h"
#include "hosted/hosted.h"
#include "input/input.h"
#include "counting.h"
#include "virtio/virtio.h"
#include "vsock/vsock_impl.h"
#include "work.h"

#define STEPS_A_TURN 512u
#define STEPS_A_RESET 200000u
#define REGISTERS_A_TURN 2u
#define REGISTERS_A_RESET 600u

uint64_t work_divisor = 1;

static struct work total, nested;

/* libFuzzer has one of this name, which does not count. */
void __wrap___sanitizer_cov_trace_pc(void);
void __wrap___sanitizer_cov_trace_pc(void)
{
    total.steps++;
}

static struct work now(void)
{
    struct work work = total;

    work.registers = hosted_register_accesses();
    return work;
}

static void check(const char *name, const struct work *start, uint64_t steps, uint64_t registers)
{
    struct work end = now();
    uint64_t turns = end.turns - start->turns, resets = end.resets - start->resets;
    uint64_t taken = end.steps - start->steps, touched = end.registers - start->registers;

    steps /= work_divisor;
    registers /= work_divisor;
    steps += turns * STEPS_A_TURN + resets * STEPS_A_RESET;
    registers += turns * REGISTERS_A_TURN + resets * REGISTERS_A_RESET;
    if (taken > steps || touched > registers)
        hosted_fail("%s took %llu steps and %llu register accesses, of %llu and %llu", name,
                    (unsigned long long)taken, (unsigned long long)touched,
                    (unsigned long long)steps, (unsigned long long)registers);
}

/* A program need not have all that is counted. */
#pragma weak virtqueue_size

struct work_mark work_begin(void)
{
    return (struct work_mark){now(), nested};
}

void work_add_reset(void)
{
    total.resets++;
}

void work_end_foreign(const struct work_mark *mark)
{
    struct work end = now();

    nested.steps = mark->nested.steps + (end.steps - mark->start.steps);
    nested.registers = mark->nested.registers + (end.registers - mark->start.registers);
}

void work_end(const char *name, struct work_mark *mark, uint64_t steps, uint64_t registers)
{
    struct work own = mark->start;

    own.steps += nested.steps - mark->nested.steps;
    own.registers += nested.registers - mark->nested.registers;
    check(name, &own, steps, registers);
    work_end_foreign(mark);
}

/* COUNTED(result, function, parameters, arguments, steps, registers): a layer that calls nobody
 * back. */
#define COUNTED(type, name, parameters, arguments, steps, registers) \
    type __real_##name parameters __attribute__((weak));             \
    type __wrap_##name parameters;                                   \
    type __wrap_##name parameters                                    \
    {                                                                \
        struct work start = now();                                   \
        type result = __real_##name arguments;                       \
                                                                     \
        check(#name, &start, steps, registers);                      \
        return result;                                               \
    }

#define COUNTED_OUTER(type, name, parameters, arguments, steps, registers) \
    type __real_##name parameters __attribute__((weak));                   \
    type __wrap_##name parameters;                                         \
    type __wrap_##name parameters                                          \
    {                                                                      \
        struct work_mark mark = work_begin();                              \
        type result = __real_##name arguments;                             \
                                                                           \
        work_end(#name, &mark, steps, registers);                          \
        return result;                                                     \
    }

/* ---- virtqueue.h ---- */

COUNTED(int, virtqueue_add,
        (struct virtqueue * vq, const struct virtqueue_sg *sg, unsigned out, unsigned in,
         void *token),
        (vq, sg, out, in, token), WORK_FIXED + WORK_PIECE * (out + in), 0)
COUNTED(bool, virtqueue_kick_prepare, (struct virtqueue * vq), (vq), WORK_FIXED, 0)
COUNTED(void *, virtqueue_get_buf, (struct virtqueue * vq, uint32_t *len), (vq, len),
        WORK_FIXED + WORK_PIECE * virtqueue_size(vq), 0)
COUNTED(int, virtqueue_add_row,
        (struct virtqueue * vq, const struct virtqueue_sg *sg, void *const *token, unsigned count,
         bool in),
        (vq, sg, token, count, in), WORK_FIXED *(1 + count), 0)
COUNTED(unsigned, virtqueue_get_row,
        (struct virtqueue * vq, void **token, uint32_t *len, unsigned most), (vq, token, len, most),
        (WORK_FIXED + WORK_PIECE * virtqueue_size(vq)) * most, 0)
COUNTED(bool, virtqueue_enable_cb, (struct virtqueue * vq), (vq), WORK_FIXED, 0)
COUNTED(void *, virtqueue_detach_unused, (struct virtqueue * vq), (vq),
        WORK_FIXED + 2 * WORK_PIECE * virtqueue_size(vq), 0)

/* ---- virtio.h ---- */

COUNTED(int, virtio_config_read,
        (struct virtio_device * device, unsigned offset, void *data, unsigned len, unsigned width),
        (device, offset, data, len, width), WORK_CONFIG_TRIES *(WORK_FIXED + WORK_PIECE * len),
        WORK_CONFIG_TRIES *(2 + WORK_CONFIG_REGISTERS * len))
COUNTED(int, virtio_config_write,
        (struct virtio_device * device, unsigned offset, const void *data, unsigned len,
         unsigned width),
        (device, offset, data, len, width), WORK_FIXED + WORK_PIECE * len,
        WORK_CONFIG_REGISTERS *len)

/* A reset and what comes after it has the allowance; a call that ends in none has almost nothing. */
#define COUNTED_RESET(name)                                                                    \
    int __real_##name(struct virtio_device *device, const char *reason) __attribute__((weak)); \
    int __wrap_##name(struct virtio_device *device, const char *reason);                       \
    int __wrap_##name(struct virtio_device *device, const char *reason)                        \
    {                                                                                          \
        struct work_mark mark = work_begin();                                                  \
        int result;                                                                            \
                                                                                               \
        total.resets++;                                                                        \
        result = __real_##name(device, reason);                                                \
        work_end(#name, &mark, WORK_FIXED, 0);                                                 \
        return result;                                                                         \
    }

COUNTED_RESET(virtio_recover)
COUNTED_RESET(virtio_mend)

/* ---- the drivers; those behind tables of operations are in drivers.c ---- */

COUNTED_OUTER(unsigned, scsi_host_poll, (struct scsi_host * host, unsigned budget), (host, budget),
              WORK_FIXED + WORK_BUFFER * 8 * (WORK_RING + budget), 4)
COUNTED_OUTER(unsigned, console_stream_poll, (struct console_stream * stream), (stream),
              WORK_FIXED + WORK_BUFFER * (CONSOLE_STREAM_RX_BUFFERS + CONSOLE_STREAM_TX_CHUNKS), 2)

/* A packet may begin a connection, with a share of memory; and one that ends gives its pages back. */
COUNTED_OUTER(bool, vsock_receive, (struct vsock_packet * packet, uint32_t len), (packet, len),
              2 * WORK_FIXED + WORK_PIECE * (2 * VSOCK_CONNECTIONS_MAX + VSOCK_LISTENERS_MAX) +
                  WORK_PIECE * VSOCK_KEPT_MAX,
              0)
COUNTED_OUTER(unsigned, vsock_work, (bool more_room), (more_room),
              WORK_FIXED + WORK_PIECE * 2 * VSOCK_CONNECTIONS_MAX +
                  (WORK_BUFFER + WORK_PIECE * VSOCK_KEPT_MAX) * 32,
              0)

COUNTED_OUTER(int, input_send, (struct input_device * device, const struct input_event *event),
              (device, event), WORK_FIXED + WORK_BUFFER * INPUT_STATES, 1)

/* ---- turns of waits ---- */

void __real_hosted_relax(void);
void __wrap_hosted_relax(void);
void __wrap_hosted_relax(void)
{
    total.turns++;
    __real_hosted_relax();
}

void __real_platform_wait(uint64_t deadline_ns);
void __wrap_platform_wait(uint64_t deadline_ns);
void __wrap_platform_wait(uint64_t deadline_ns)
{
    total.turns++;
    __real_platform_wait(deadline_ns);
}
