/*
 * virtqueue_impl.h - the private half of a virtqueue, shared by virtqueue.c and the files of the
 * ring layouts, and by nobody else.
 *
 * virtqueue.c and virtqueue_buffers.h own what the layouts have in common: slots with their tokens,
 * the check of what the device says, the broken mark and the counters. A layout owns its rings in
 * shared memory, and every memory barrier.
 */
#ifndef FERRULE_VIRTIO_VIRTQUEUE_IMPL_H
#define FERRULE_VIRTIO_VIRTQUEUE_IMPL_H

#include "virtio/spec.h"
#include "virtio/virtqueue.h"

/* A mapped piece as the driver remembers it; what the device can see of it is never read back. */
struct virtqueue_piece {
    dma_addr_t addr;
    uint32_t len;
    bool in;
};

/*
 * One buffer that the device may have, by the id that the device returns it under. token NULL: the
 * slot is free, and the id must not come back. Half a cache line: a buffer's way costs one.
 */
struct virtqueue_slot {
    void *token;
    dma_addr_t addr;      /* of a list of one piece; those of longer lists: virtqueue_pieces() */
    uint32_t len;         /* of it; the device writes it if `writable` is not 0 */
    uint32_t writable;    /* bytes of the device-writable part */
    uint16_t pieces;      /* length of the list */
    uint16_t descriptors; /* ring entries it takes: 1 through an indirect table, else `pieces` */
    uint16_t next;        /* in the list of free ids, and in a split ring's chain of descriptors */
};

struct virtqueue_layout_ops {
    /* Bytes of shared memory for the rings. */
    size_t (*memory_size)(const struct virtqueue_params *params);
    /* The state of a new queue, in private and (zeroed before) shared memory; places the areas. */
    void (*init)(struct virtqueue *vq);
    /* virtqueue_add(), virtqueue_add_row() and virtqueue_get_row(): those of virtqueue_buffers.h with
     * this layout's steps. */
    int (*add)(struct virtqueue *vq, const struct virtqueue_sg *sg, unsigned out, unsigned in,
               void *token);
    int (*add_row)(struct virtqueue *vq, const struct virtqueue_sg *sg, void *const *token,
                   unsigned count, bool in);
    unsigned (*get_row)(struct virtqueue *vq, void **token, uint32_t *len, unsigned most);
    /* Does the device want a notification for what was added since the last call? */
    bool (*kick_prepare)(struct virtqueue *vq);
    void (*disable_cb)(struct virtqueue *vq);
    bool (*enable_cb)(struct virtqueue *vq);
    /* What a notification says besides the queue (2.9): next_off in bits 0 to 14, next_wrap in
     * bit 15. */
    uint16_t (*notification_data)(const struct virtqueue *vq);
    void (*dump)(const struct virtqueue *vq);
};

/* Private state of the split layout (2.7). */
struct virtqueue_split {
    struct virtq_desc *desc;
    struct virtq_avail *avail;
    struct virtq_used *used;
    le16 *used_event;        /* behind avail->ring: written by us */
    const le16 *avail_event; /* behind used->ring: written by the device */
    uint16_t avail_idx;      /* what avail->idx was last set to */
    uint16_t used_idx;       /* the next used element to look at ... */
    uint16_t used_seen;      /* ... and how far the device had come when last asked */
    bool events_off;         /* notifications are off since ... */
    uint16_t events_off_at;  /* ... used_idx was this */
    uint32_t unkicked;       /* buffers added since the last kick_prepare */
};

/* Private state of the packed layout (2.8). */
struct virtqueue_packed {
    struct pvirtq_desc *desc;
    struct pvirtq_event_suppress *driver_event;
    const struct pvirtq_event_suppress *device_event;
    uint16_t next_avail; /* where the next buffer is made available ... */
    uint16_t avail_bits; /* ... and what AVAIL and USED are there, which is our wrap counter */
    uint16_t next_used;  /* where the next used descriptor will be ... */
    uint16_t used_bits;  /* ... and what they are there then, the device's wrap counter */
    bool events_off;     /* notifications are */
    uint32_t unkicked;   /* descriptors made available since the last kick_prepare */
};

struct virtqueue {
    struct virtqueue_params params;
    const struct virtqueue_layout_ops *ops;
    struct virtqueue_areas areas;
    void *memory; /* the rings, shared with the device */
    size_t memory_size;
    dma_addr_t memory_addr;

    uint16_t segments_wanted;    /* params.max_segments before the size limited it */
    struct virtqueue_slot *slot; /* [size], by id */
    struct virtqueue_piece
        *piece;  /* [size][max_segments], by id: what was mapped of longer lists */
    void *table; /* [size][max_segments] shared descriptors, by id; NULL: no indirect tables */
    dma_addr_t table_addr;

    uint8_t *cell; /* [size][cell_bytes], by id; NULL: there are none */

    uint16_t next_id;   /* of the buffer that is added next, while free > 0 */
    uint16_t free;      /* ring entries */
    uint16_t in_flight; /* buffers */
    uint16_t detached;  /* virtqueue_detach_unused() has looked at the ids below */
    bool broken;
    bool news; /* virtqueue_add() was called since the last kick_prepare */
    struct virtqueue_stats stats;

    /* IN_ORDER: buffers come back in the order of their adding, several of them by one used element
     * (2.7.9, 2.8.9). */
    uint16_t oldest;     /* the id that comes back next */
    bool batch;          /* a used element covers it and more, up to ... */
    uint16_t batch_last; /* ... this id, of which alone the device gave a length */
    uint32_t batch_len;

    union { /* of the layout in use */
        struct virtqueue_split split;
        struct virtqueue_packed packed;
    };
};

/* The row of an id in vq->piece or vq->table. */
static inline size_t virtqueue_row(const struct virtqueue *vq, uint16_t id)
{
    return (size_t)id * vq->params.max_segments;
}

/* Where the pieces of a longer list are noted. */
static inline struct virtqueue_piece *virtqueue_pieces(const struct virtqueue *vq, uint16_t id)
{
    return vq->piece + virtqueue_row(vq, id);
}

static inline void virtqueue_unmap_pieces(const struct virtqueue_piece *piece, unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++)
        platform_dma_unmap(piece[i].addr, piece[i].len,
                           piece[i].in ? DMA_FROM_DEVICE : DMA_TO_DEVICE);
}

/* Ends a buffer's time with the device; in_flight is the caller's to count. Returns its token. */
static inline void *virtqueue_empty_slot(const struct virtqueue *vq, uint16_t id)
{
    struct virtqueue_slot *slot = &vq->slot[id];
    void *token = slot->token;

    if (slot->pieces == 1)
        platform_dma_unmap(slot->addr, slot->len,
                           slot->writable > 0 ? DMA_FROM_DEVICE : DMA_TO_DEVICE);
    else
        virtqueue_unmap_pieces(virtqueue_pieces(vq, id), slot->pieces);
    slot->token = NULL;
    return token;
}

extern const struct virtqueue_layout_ops virtqueue_split_ops;
extern const struct virtqueue_layout_ops virtqueue_packed_ops;

/*
 * 2.7.10: does the event index of the other side lie among the indices that a batch moved over, old
 * (exclusive) to new? All modulo 2^16.
 */
static inline bool virtqueue_need_event(uint16_t event, uint16_t new_idx, uint16_t old_idx)
{
    return (uint16_t)(new_idx - event - 1) < (uint16_t)(new_idx - old_idx);
}

#endif
