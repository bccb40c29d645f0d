/*
 * virtqueue.c - what the ring layouts have in common, but for the way of a buffer, which
 * virtqueue_buffers.h is: making and ending of queues, notifications, counters.
 *
 * Does not touch shared memory and holds no barrier: that is the layouts' part (virtqueue_split.c),
 * reached through one table of operations. Does not know what a device or a transport is.
 * VIRTIO 2.6 and what 2.7 and 2.8 share. The API is described in virtqueue.h; read
 * virtqueue_split.c next.
 */
#include "virtio/virtqueue.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "virtio/virtqueue_impl.h"

#define CACHE_LINE 64

static bool params_are_sane(const struct virtqueue_params *params)
{
    bool power_of_two = (params->size & (params->size - 1)) == 0;

    return params->size >= 1 && params->size <= VIRTQ_MAX_SIZE && params->max_segments >= 1 &&
           params->notify && (params->layout.packed || power_of_two);
}

static size_t row_bytes(const struct virtqueue *vq, size_t element)
{
    return (size_t)vq->params.size * vq->params.max_segments * element;
}

static size_t table_bytes(const struct virtqueue *vq)
{
    return row_bytes(vq, sizeof(struct virtq_desc));
}

static size_t cells_bytes(const struct virtqueue *vq)
{
    return (size_t)vq->params.size * vq->params.cell_bytes;
}

static bool allocate_parts(struct virtqueue *vq)
{
    const struct virtqueue_params *params = &vq->params;
    size_t page = 4096;

    vq->memory_size = vq->ops->memory_size(params);
    vq->memory = platform_dma_alloc(vq->memory_size, page);
    vq->slot = platform_dma_alloc(params->size * sizeof(*vq->slot), CACHE_LINE);
    vq->piece = platform_dma_alloc(row_bytes(vq, sizeof(*vq->piece)), CACHE_LINE);
    if (!vq->memory || !vq->slot || !vq->piece)
        return false;
    if (params->cell_bytes > 0) {
        vq->cell = platform_dma_alloc(cells_bytes(vq), CACHE_LINE);
        if (!vq->cell)
            return false;
    }
    vq->memory_addr = platform_dma_map(vq->memory, vq->memory_size, DMA_BIDIRECTIONAL);
    if (vq->memory_addr == DMA_ADDR_INVALID)
        return false;
    if (params->layout.indirect && params->max_segments > 1) {
        vq->table = platform_dma_alloc(table_bytes(vq), page);
        if (!vq->table)
            return false;
        vq->table_addr = platform_dma_map(vq->table, table_bytes(vq), DMA_TO_DEVICE);
        if (vq->table_addr == DMA_ADDR_INVALID)
            return false;
    }
    return true;
}

static void free_parts(struct virtqueue *vq)
{
    if (vq->table_addr != DMA_ADDR_INVALID)
        platform_dma_unmap(vq->table_addr, table_bytes(vq), DMA_TO_DEVICE);
    if (vq->memory_addr != DMA_ADDR_INVALID)
        platform_dma_unmap(vq->memory_addr, vq->memory_size, DMA_BIDIRECTIONAL);
    if (vq->table)
        platform_dma_free(vq->table, table_bytes(vq));
    if (vq->cell)
        platform_dma_free(vq->cell, cells_bytes(vq));
    if (vq->piece)
        platform_dma_free(vq->piece, row_bytes(vq, sizeof(*vq->piece)));
    if (vq->slot)
        platform_dma_free(vq->slot, vq->params.size * sizeof(*vq->slot));
    if (vq->memory)
        platform_dma_free(vq->memory, vq->memory_size);
}

/* Fills in everything that depends on the size, in a queue of which only the rest is set. */
static bool make_parts(struct virtqueue *vq, uint16_t size)
{
    vq->memory_addr = vq->table_addr = DMA_ADDR_INVALID;
    vq->params.size = size;
    /* A list longer than the ring is not allowed, not even in an indirect table (2.7.5.3.1). */
    vq->params.max_segments = vq->segments_wanted < size ? vq->segments_wanted : size;
    if (allocate_parts(vq))
        return true;
    log_error("%s: no memory for a queue of %u entries", vq->params.name, size);
    free_parts(vq);
    return false;
}

struct virtqueue *virtqueue_create(const struct virtqueue_params *params)
{
    struct virtqueue *vq;

    if (!params_are_sane(params)) {
        log_error("%s: a queue of %u entries and %u segments cannot be made", params->name,
                  params->size, params->max_segments);
        return NULL;
    }
    vq = platform_dma_alloc(sizeof(*vq), CACHE_LINE);
    if (!vq)
        return NULL;
    vq->params = *params;
    vq->segments_wanted = params->max_segments;
    vq->ops = params->layout.packed ? &virtqueue_packed_ops : &virtqueue_split_ops;
    if (!make_parts(vq, params->size)) {
        platform_dma_free(vq, sizeof(*vq));
        return NULL;
    }
    virtqueue_reinit(vq);
    return vq;
}

void virtqueue_destroy(struct virtqueue *vq)
{
    if (!vq)
        return;
    free_parts(vq);
    platform_dma_free(vq, sizeof(*vq));
}

int virtqueue_resize(struct virtqueue *vq, uint16_t size)
{
    struct virtqueue other = {.params = vq->params,
                              .segments_wanted = vq->segments_wanted,
                              .ops = vq->ops,
                              .broken = vq->broken,
                              .stats = vq->stats};

    other.params.size = size;
    if (!vq->broken || vq->in_flight > 0 || !params_are_sane(&other.params))
        return -EINVAL;
    if (!make_parts(&other, size))
        return -ENOMEM;
    free_parts(vq);
    *vq = other;
    return 0;
}

void virtqueue_stop(struct virtqueue *vq)
{
    vq->broken = true;
}

void virtqueue_set_notify(struct virtqueue *vq, void (*notify)(void *arg, struct virtqueue *vq))
{
    vq->params.notify = notify;
}

void virtqueue_reinit(struct virtqueue *vq)
{
    uint16_t size = vq->params.size;
    unsigned i;

    memset(vq->memory, 0, vq->memory_size);
    memset(vq->slot, 0, size * sizeof(*vq->slot));
    /* With IN_ORDER it stays this circle for ever: ids are taken and come back in its order (2.7.5.1). */
    for (i = 0; i < size; i++)
        vq->slot[i].next = (uint16_t)(i + 1 < size ? i + 1 : 0);
    vq->free = size;
    vq->next_id = vq->oldest = 0;
    vq->in_flight = 0;
    vq->detached = 0;
    vq->broken = false;
    vq->batch = false;
    vq->ops->init(vq);
}

int virtqueue_add(struct virtqueue *vq, const struct virtqueue_sg *sg, unsigned out, unsigned in,
                  void *token)
{
    int result;

    vq->news = true;
    if (out + in != 1)
        return vq->ops->add(vq, sg, out, in, token);
    result = vq->ops->add_row(vq, sg, &token, 1, in);
    return result < 0 ? result : 0;
}

int virtqueue_add_row(struct virtqueue *vq, const struct virtqueue_sg *sg, void *const *token,
                      unsigned count, bool in)
{
    vq->news = true;
    return vq->ops->add_row(vq, sg, token, count, in);
}

void *virtqueue_next_cell(const struct virtqueue *vq)
{
    return vq->cell + (size_t)vq->next_id * vq->params.cell_bytes;
}

bool virtqueue_kick_prepare(struct virtqueue *vq)
{
    if (!vq->news || vq->broken)
        return false;
    vq->news = false;
    return vq->ops->kick_prepare(vq);
}

void virtqueue_notify(struct virtqueue *vq)
{
    vq->stats.notifications++;
    vq->params.notify(vq->params.notify_arg, vq);
}

void virtqueue_kick(struct virtqueue *vq)
{
    if (virtqueue_kick_prepare(vq))
        virtqueue_notify(vq);
}

void *virtqueue_get_buf(struct virtqueue *vq, uint32_t *len)
{
    void *token;

    return vq->ops->get_row(vq, &token, len, 1) == 1 ? token : NULL;
}

unsigned virtqueue_get_row(struct virtqueue *vq, void **token, uint32_t *len, unsigned most)
{
    return vq->ops->get_row(vq, token, len, most);
}

void virtqueue_disable_cb(struct virtqueue *vq)
{
    if (!vq->broken)
        vq->ops->disable_cb(vq);
}

bool virtqueue_enable_cb(struct virtqueue *vq)
{
    vq->stats.arms++;
    /* A broken queue has nothing more to say, so its owner may sleep. */
    return vq->broken || (!vq->batch && vq->ops->enable_cb(vq));
}

void *virtqueue_detach_unused(struct virtqueue *vq)
{
    for (; vq->in_flight > 0 && vq->detached < vq->params.size; vq->detached++)
        if (vq->slot[vq->detached].token) {
            vq->in_flight--;
            return virtqueue_empty_slot(vq, vq->detached);
        }
    return NULL;
}

void virtqueue_break(struct virtqueue *vq, const char *reason)
{
    vq->stats.bad++;
    if (vq->broken)
        return;
    vq->broken = true;
    log_error("%s: queue broken: %s", vq->params.name, reason);
    virtqueue_dump(vq);
}

bool virtqueue_is_broken(const struct virtqueue *vq)
{
    return vq->broken;
}

unsigned virtqueue_free(const struct virtqueue *vq)
{
    return vq->free;
}

unsigned virtqueue_in_flight(const struct virtqueue *vq)
{
    return vq->in_flight;
}

const char *virtqueue_name(const struct virtqueue *vq)
{
    return vq->params.name;
}

uint16_t virtqueue_index(const struct virtqueue *vq)
{
    return vq->params.index;
}

uint16_t virtqueue_size(const struct virtqueue *vq)
{
    return vq->params.size;
}

const struct virtqueue_areas *virtqueue_areas(const struct virtqueue *vq)
{
    return &vq->areas;
}

const struct virtqueue_stats *virtqueue_stats(const struct virtqueue *vq)
{
    return &vq->stats;
}

uint16_t virtqueue_notification_data(const struct virtqueue *vq)
{
    return vq->ops->notification_data(vq);
}

void virtqueue_dump(const struct virtqueue *vq)
{
    const struct virtqueue_stats *stats = &vq->stats;

    log_info("%s: queue %u, %u entries, %u free, %u buffers with the device%s", vq->params.name,
             vq->params.index, vq->params.size, vq->free, vq->in_flight,
             vq->broken ? ", broken" : "");
    log_info(
        "%s: added %llu (%llu indirect) used %llu full %llu notified %llu suppressed %llu interrupts %llu polls %llu arms %llu bad %llu",
        vq->params.name, (unsigned long long)stats->added, (unsigned long long)stats->indirect,
        (unsigned long long)stats->used, (unsigned long long)stats->full,
        (unsigned long long)stats->notifications, (unsigned long long)stats->suppressed,
        (unsigned long long)stats->interrupts, (unsigned long long)stats->polls,
        (unsigned long long)stats->arms, (unsigned long long)stats->bad);
    vq->ops->dump(vq);
}

void virtqueue_interrupt(void *arg)
{
    struct virtqueue *vq = arg;

    /* Atomic for the hosted build, where an interrupt may be another thread; one plain
     * instruction's worth in the kernel. */
    __atomic_fetch_add(&vq->stats.interrupts, 1, __ATOMIC_RELAXED);
}
