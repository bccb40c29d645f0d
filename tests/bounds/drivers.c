/*
 * drivers.c - the counting of what is reached through tables of functions: network cards, disks,
 * sources of the event loop, and shares of the host.
 *
 * Where such a table is handed over (--wrap) it is exchanged for one whose functions count and go on
 * to the real ones. Read counting.h first.
 */
#include <string.h>

#include "blk/block.h"
#include "counting.h"
#include "fs/fuse.h"
#include "fs/ninep.h"
#include "hosted/hosted.h"
#include "loop.h"
#include "net/nic.h"
#include "work.h"

#define TABLES 1024

/* Whose functions were exchanged, and what the real ones are. */
struct exchanged {
    const void *owner; /* NULL: free */
    union {
        const struct nic_ops *nic;
        const struct blk_ops *blk;
        struct loop_source source;
        struct ninep_transport ninep;
        struct fuse_transport fuse;
    } real;
    union {
        struct nic_ops nic;
        struct blk_ops blk;
    } counting;
};

static struct exchanged *find(const void *owner)
{
    static struct exchanged table[TABLES];
    unsigned i = 0;

    while (i < TABLES && table[i].owner && table[i].owner != owner)
        i++;
    if (i == TABLES)
        hosted_fail("more drivers than can be counted");
    table[i].owner = owner;
    return &table[i];
}

/* ---- nic.h ---- */

static unsigned nic_poll_counted(struct nic *nic, unsigned budget)
{
    struct work_mark mark = work_begin();
    unsigned result = find(nic)->real.nic->poll(nic, budget);

    work_end("nic_poll", &mark,
             WORK_FIXED + WORK_BUFFER * (WORK_RING + budget * (uint64_t)NIC_MAX_RX_PIECES), 4);
    return result;
}

static int nic_tx_counted(struct nic *nic, const struct nic_tx_frame *frame, unsigned count)
{
    struct work_mark mark = work_begin();
    int result = find(nic)->real.nic->tx(nic, frame, count);
    unsigned pieces = 0;

    for (unsigned i = 0; i < count; i++)
        pieces += frame[i].n;
    work_end("nic_tx", &mark, count * WORK_FIXED + WORK_BUFFER * (count * WORK_RING + pieces), 2);
    return result;
}

static int nic_rx_provide_counted(struct nic *nic, void *const *buffer, unsigned count,
                                  uint32_t len)
{
    struct work_mark mark = work_begin();
    int result = find(nic)->real.nic->rx_provide(nic, buffer, count, len);

    work_end("nic_rx_provide", &mark, 2 * WORK_FIXED * count, 0);
    return result;
}

static bool nic_arm_counted(struct nic *nic)
{
    struct work_mark mark = work_begin();
    bool result = find(nic)->real.nic->arm(nic);

    work_end("nic_arm", &mark, 4 * WORK_FIXED, 2);
    return result;
}

int __real_nic_register(struct nic *nic) __attribute__((weak));
int __wrap_nic_register(struct nic *nic);
int __wrap_nic_register(struct nic *nic)
{
    struct exchanged *entry = find(nic);

    if (nic->ops != &entry->counting.nic)
        entry->real.nic = nic->ops;
    entry->counting.nic = *entry->real.nic;
    entry->counting.nic.poll = nic_poll_counted;
    entry->counting.nic.tx = nic_tx_counted;
    entry->counting.nic.rx_provide = nic_rx_provide_counted;
    entry->counting.nic.arm = nic_arm_counted;
    nic->ops = &entry->counting.nic;
    return __real_nic_register(nic);
}

/* ---- block.h ---- */

static int blk_submit_counted(struct blk_device *disk, const struct blk_part *part)
{
    struct work_mark mark = work_begin();
    int result = find(disk)->real.blk->submit(disk, part);

    work_end("submit of a disk", &mark, WORK_FIXED + WORK_BUFFER * (8 + part->segments), 24);
    return result;
}

static unsigned blk_poll_counted(struct blk_device *disk, unsigned budget)
{
    struct work_mark mark = work_begin();
    unsigned result = find(disk)->real.blk->poll(disk, budget);
    unsigned words = disk->prefix && strcmp(disk->prefix, "hd") == 0 ? WORK_IDE_WORDS : 0;

    work_end("poll of a disk", &mark,
             WORK_FIXED + (WORK_BUFFER + words) * (WORK_DISK_QUEUES + budget),
             (4 + words) * (budget + 1));
    return result;
}

static bool blk_arm_counted(struct blk_device *disk)
{
    struct work_mark mark = work_begin();
    bool result = find(disk)->real.blk->arm(disk);

    work_end("arm of a disk", &mark, WORK_FIXED * (1 + WORK_DISK_QUEUES), 0);
    return result;
}

int __real_blk_add(struct blk_device *disk) __attribute__((weak));
int __wrap_blk_add(struct blk_device *disk);
int __wrap_blk_add(struct blk_device *disk)
{
    struct exchanged *entry = find(disk);

    if (disk->ops != &entry->counting.blk)
        entry->real.blk = disk->ops;
    if (entry->real.blk) {
        entry->counting.blk = *entry->real.blk;
        entry->counting.blk.submit = blk_submit_counted;
        entry->counting.blk.poll = blk_poll_counted;
        entry->counting.blk.arm = entry->real.blk->arm ? blk_arm_counted : NULL;
        disk->ops = &entry->counting.blk;
    }
    return __real_blk_add(disk);
}

/* Resets that a driver makes of itself. */
int __real_ide_reset(void *channel) __attribute__((weak));
int __wrap_ide_reset(void *channel);
int __wrap_ide_reset(void *channel)
{
    work_add_reset();
    return __real_ide_reset(channel);
}

int __real_e1000_start(void *card) __attribute__((weak));
int __wrap_e1000_start(void *card);
int __wrap_e1000_start(void *card)
{
    work_add_reset();
    return __real_e1000_start(card);
}

/* It goes on to whoever waited for the request. */
void __real_blk_complete(struct blk_device *disk, struct blk_request *token, int status)
    __attribute__((weak));
void __wrap_blk_complete(struct blk_device *disk, struct blk_request *token, int status);
void __wrap_blk_complete(struct blk_device *disk, struct blk_request *token, int status)
{
    struct work_mark mark = work_begin();

    __real_blk_complete(disk, token, status);
    work_end_foreign(&mark);
}

/* ---- loop.h ---- */

static unsigned source_poll_counted(void *arg, unsigned budget)
{
    const struct loop_source *source = arg, *real = &find(source)->real.source;
    struct work_mark mark = work_begin();
    unsigned result = real->poll(real->arg, budget);

    work_end(real->name, &mark, WORK_FIXED + WORK_BUFFER * (WORK_RING + budget),
             WORK_SOURCE_REGISTERS);
    return result;
}

static bool source_arm_counted(void *arg)
{
    const struct loop_source *source = arg, *real = &find(source)->real.source;
    struct work_mark mark = work_begin();
    bool result = real->arm(real->arg);

    work_end(real->name, &mark, WORK_FIXED * 8, WORK_SOURCE_REGISTERS);
    return result;
}

static uint64_t source_deadline(void *arg)
{
    const struct loop_source *source = arg, *real = &find(source)->real.source;

    return real->deadline(real->arg);
}

/* Drivers alone: what a stack or a table of partitions has to do is not a device's to say. */
void __real_loop_add(struct loop_source *source) __attribute__((weak));
void __wrap_loop_add(struct loop_source *source);
void __wrap_loop_add(struct loop_source *source)
{
    if (strncmp(source->name, "virtio-", 7) == 0 && source->poll != source_poll_counted) {
        find(source)->real.source = *source;
        source->poll = source_poll_counted;
        if (source->arm)
            source->arm = source_arm_counted;
        if (source->deadline)
            source->deadline = source_deadline;
        source->arg = source;
    }
    __real_loop_add(source);
}

/* ---- ninep.h, fuse.h ---- */

static int ninep_exchange_counted(struct ninep_transport *share, struct ninep_exchange *exchange)
{
    struct work_mark mark = work_begin();
    unsigned resets = share->resets;
    int result = find(share)->real.ninep.exchange(share, exchange);

    if (share->resets != resets)
        work_add_reset();
    work_end("a 9P exchange", &mark, WORK_FIXED + WORK_BUFFER * WORK_EXCHANGE, 2);
    return result;
}

int __real_ninep_mount(struct ninep_transport *share, void **volume) __attribute__((weak));
int __wrap_ninep_mount(struct ninep_transport *share, void **volume);
int __wrap_ninep_mount(struct ninep_transport *share, void **volume)
{
    if (share->exchange != ninep_exchange_counted)
        find(share)->real.ninep = *share;
    share->exchange = ninep_exchange_counted;
    return __real_ninep_mount(share, volume);
}

static int fuse_exchange_counted(struct fuse_transport *share, struct fuse_exchange *exchange)
{
    struct work_mark mark = work_begin();
    unsigned resets = share->resets;
    int result = find(share)->real.fuse.exchange(share, exchange);

    if (share->resets != resets)
        work_add_reset();
    work_end("a FUSE exchange", &mark, WORK_FIXED + WORK_BUFFER * WORK_EXCHANGE, 2);
    return result;
}

static int fuse_post_counted(struct fuse_transport *share, const void *request, uint32_t len)
{
    struct work_mark mark = work_begin();
    unsigned resets = share->resets;
    int result = find(share)->real.fuse.post(share, request, len);

    if (share->resets != resets)
        work_add_reset();
    work_end("a FUSE post", &mark, WORK_FIXED + WORK_BUFFER * WORK_POSTS, 2);
    return result;
}

int __real_fuse_mount(struct fuse_transport *share, void **volume) __attribute__((weak));
int __wrap_fuse_mount(struct fuse_transport *share, void **volume);
int __wrap_fuse_mount(struct fuse_transport *share, void **volume)
{
    if (share->exchange != fuse_exchange_counted)
        find(share)->real.fuse = *share;
    share->exchange = fuse_exchange_counted;
    share->post = fuse_post_counted;
    return __real_fuse_mount(share, volume);
}
