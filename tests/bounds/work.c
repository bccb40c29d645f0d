/*
 * work.c - counts what entry points do, and fails where one does more than its header allows.
 *
 * The counting build compiles the portable code so that each basic block calls
 * __sanitizer_cov_trace_pc(), a step; the linker (--wrap) puts the functions below in front of the
 * entry points. So nothing in the code under test knows. Register accesses are counted by
 * hosted/registers.c. Besides the limits there is an allowance for each turn of a bounded wait
 * (platform_relax, platform_wait) and for each reset of a device, which have limits of their own in
 * time and number. What a callback does is not the caller's work.
 */
#include "blk/block.h"
#include "blk/scsi_host.h"
#include "console/console_stream.h"
#include "hosted/hosted.h"
#include "net/nic.h"
#include "virtio/virtio.h"
#include "vsock/vsock_impl.h"
#include "work.h"

#define STEPS_A_TURN 512u
#define STEPS_A_RESET 200000u
#define REGISTERS_A_TURN 2u
#define REGISTERS_A_RESET 600u

struct work {
    uint64_t steps, registers, turns, resets;
};

static struct work total, nested;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
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

    steps += turns * STEPS_A_TURN + resets * STEPS_A_RESET;
    registers += turns * REGISTERS_A_TURN + resets * REGISTERS_A_RESET;
    if (taken > steps || touched > registers)
        hosted_fail("%s took %llu steps and %llu register accesses, of %llu and %llu", name,
                    (unsigned long long)taken, (unsigned long long)touched,
                    (unsigned long long)steps, (unsigned long long)registers);
}

/* The same for functions that call back: what others of them did within is theirs. */
static void check_outer(const char *name, struct work *start, const struct work *nested_before,
                        uint64_t steps, uint64_t registers)
{
    struct work end = now();
    struct work shifted = *start;

    shifted.steps += nested.steps - nested_before->steps;
    shifted.registers += nested.registers - nested_before->registers;
    check(name, &shifted, steps, registers);
    nested.steps = nested_before->steps + (end.steps - start->steps);
    nested.registers = nested_before->registers + (end.registers - start->registers);
}

/* COUNTED(result, function, parameters, arguments, steps, registers): a layer that calls nobody
 * back. */
#define COUNTED(type, name, parameters, arguments, steps, registers) \
    type __real_##name parameters;                                   \
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
    type __real_##name parameters;                                         \
    type __wrap_##name parameters;                                         \
    type __wrap_##name parameters                                          \
    {                                                                      \
        struct work start = now(), before = nested;                        \
        type result = __real_##name arguments;                             \
                                                                           \
        check_outer(#name, &start, &before, steps, registers);             \
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
#define COUNTED_RESET(name)                                              \
    int __real_##name(struct virtio_device *device, const char *reason); \
    int __wrap_##name(struct virtio_device *device, const char *reason); \
    int __wrap_##name(struct virtio_device *device, const char *reason)  \
    {                                                                    \
        struct work start = now(), before = nested;                      \
        int result;                                                      \
                                                                         \
        total.resets++;                                                  \
        result = __real_##name(device, reason);                          \
        check_outer(#name, &start, &before, WORK_FIXED, 0);              \
        return result;                                                   \
    }

COUNTED_RESET(virtio_recover)
COUNTED_RESET(virtio_mend)

/* ---- the drivers ---- */

static const struct nic_ops *driver_ops;

static unsigned counted_nic_poll(struct nic *nic, unsigned budget)
{
    struct work start = now(), before = nested;
    unsigned result = driver_ops->poll(nic, budget);

    check_outer("nic_poll", &start, &before,
                WORK_FIXED + WORK_BUFFER * (WORK_RING + budget * (uint64_t)NIC_MAX_RX_PIECES), 2);
    return result;
}

static int counted_nic_tx(struct nic *nic, const struct virtqueue_sg *sg, unsigned n,
                          uint32_t headroom, const struct nic_offload *offload, void *token)
{
    struct work start = now(), before = nested;
    int result = driver_ops->tx(nic, sg, n, headroom, offload, token);

    check_outer("nic_tx", &start, &before, WORK_FIXED + WORK_BUFFER * (WORK_RING + n), 2);
    return result;
}

static int counted_nic_provide(struct nic *nic, void *buffer, uint32_t len, void *token)
{
    struct work start = now(), before = nested;
    int result = driver_ops->rx_provide(nic, buffer, len, token);

    check_outer("nic_rx_provide", &start, &before, 2 * WORK_FIXED, 0);
    return result;
}

static bool counted_nic_arm(struct nic *nic)
{
    struct work start = now(), before = nested;
    bool result = driver_ops->arm(nic);

    check_outer("nic_arm", &start, &before, 4 * WORK_FIXED, 2);
    return result;
}

/* A driver's operations are a table, which is exchanged for one that counts. */
int __real_nic_register(struct nic *nic);
int __wrap_nic_register(struct nic *nic);
int __wrap_nic_register(struct nic *nic)
{
    static struct nic_ops counted;

    driver_ops = nic->ops;
    counted = *driver_ops;
    counted.poll = counted_nic_poll;
    counted.tx = counted_nic_tx;
    counted.rx_provide = counted_nic_provide;
    counted.arm = counted_nic_arm;
    nic->ops = &counted;
    return __real_nic_register(nic);
}

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
