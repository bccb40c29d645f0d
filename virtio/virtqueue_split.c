/*
 * virtqueue_split.c - the split ring layout (2.7): descriptor table, available ring, used ring.
 *
 * Owns the shared memory of such a queue and every memory barrier around it. What the driver must
 * remember stays in private memory (struct virtqueue_split); shared memory that we write is never
 * read back, and what the device writes is read once. Checks that need the slots are
 * virtqueue_buffers.h's. Read virtqueue_impl.h first.
 */
#include <string.h>

#include "log.h"
#include "virtio/virtqueue_buffers.h"

/* The used ring starts on its own cache line: the device writes it while we write the available
 * ring before it. */
#define USED_ALIGNMENT 64

/* An event index that was just passed comes again after 2^16 buffers; so many may go by before it is
 * put behind us again. */
#define EVENT_FAR 0x8000u

static size_t used_offset(const struct virtqueue_params *params)
{
    size_t align = params->layout.alignment ? params->layout.alignment : USED_ALIGNMENT;
    size_t end = sizeof(struct virtq_desc) * params->size + sizeof(struct virtq_avail) +
                 sizeof(le16) * (params->size + 1u);

    return (end + align - 1) / align * align;
}

static size_t split_memory_size(const struct virtqueue_params *params)
{
    return used_offset(params) + sizeof(struct virtq_used) +
           sizeof(struct virtq_used_elem) * params->size + sizeof(le16);
}

static void split_disable_cb(struct virtqueue *vq)
{
    struct virtqueue_split *s = &vq->split;

    /*
     * A hint only (2.7.7): no barrier. With event indices the flag must stay 0 (2.7.7.1), and an
     * index just behind us is the one that the device reaches last. The device looks there for each
     * buffer that it uses, so what is off already is not written again, unless the index would be
     * reached soon.
     */
    if (s->events_off && (uint16_t)(s->used_idx - s->events_off_at) < EVENT_FAR)
        return;
    if (vq->params.layout.event_idx)
        __atomic_store_n(s->used_event, cpu_to_le16(s->used_idx - 1), __ATOMIC_RELAXED);
    else
        __atomic_store_n(&s->avail->flags, cpu_to_le16(VIRTQ_AVAIL_F_NO_INTERRUPT),
                         __ATOMIC_RELAXED);
    s->events_off = true;
    s->events_off_at = s->used_idx;
}

static void split_init(struct virtqueue *vq)
{
    struct virtqueue_split *s = &vq->split;
    uint16_t size = vq->params.size;
    uint8_t *base = vq->memory;

    s->desc = (struct virtq_desc *)base;
    s->avail = (struct virtq_avail *)(base + sizeof(struct virtq_desc) * size);
    s->used = (struct virtq_used *)(base + used_offset(&vq->params));
    s->used_event = &s->avail->ring[size];
    s->avail_event = (const le16 *)&s->used->ring[size];
    vq->areas.descriptor = vq->memory_addr;
    vq->areas.driver = vq->areas.descriptor + (dma_addr_t)((uint8_t *)s->avail - base);
    vq->areas.device = vq->areas.descriptor + (dma_addr_t)((uint8_t *)s->used - base);

    s->avail_idx = s->used_idx = s->used_seen = 0;
    s->unkicked = 0;
    s->events_off = false;
    split_disable_cb(vq);
}

static void write_desc(struct virtq_desc *desc, const struct virtqueue_piece *piece, uint16_t next,
                       bool last)
{
    desc->addr = cpu_to_le64(piece->addr);
    desc->len = cpu_to_le32(piece->len);
    desc->flags =
        cpu_to_le16((piece->in ? VIRTQ_DESC_F_WRITE : 0) | (last ? 0 : VIRTQ_DESC_F_NEXT));
    desc->next = cpu_to_le16(last ? 0 : next);
}

/* Fills the slot's own table and points one ring descriptor at it (2.7.5.3). Returns the ring
 * descriptor used last. */
static uint16_t add_indirect(struct virtqueue *vq, uint16_t head,
                             const struct virtqueue_piece *piece, unsigned count)
{
    size_t offset = virtqueue_row(vq, head);
    struct virtq_desc *table = (struct virtq_desc *)vq->table + offset;
    struct virtq_desc *desc = &vq->split.desc[head];
    unsigned i;

    for (i = 0; i < count; i++)
        write_desc(&table[i], &piece[i], (uint16_t)(i + 1), i + 1 == count);
    desc->addr = cpu_to_le64(vq->table_addr + offset * sizeof(*table));
    desc->len = cpu_to_le32((uint32_t)(count * sizeof(*table)));
    desc->flags = cpu_to_le16(VIRTQ_DESC_F_INDIRECT);
    desc->next = 0;
    return head;
}

INLINED uint16_t add_direct(struct virtqueue *vq, uint16_t head,
                            const struct virtqueue_piece *piece, unsigned count)
{
    struct virtqueue_split *s = &vq->split;
    uint16_t index = head, last = head;
    unsigned i;

    for (i = 0; i < count; i++) {
        last = index;
        index = vq->slot[last].next;
        write_desc(&s->desc[last], &piece[i], index, i + 1 == count);
    }
    return last;
}

INLINED struct place next_avail(const struct virtqueue *vq)
{
    return (struct place){.index = vq->split.avail_idx, .id = vq->next_id};
}

/* Notes a buffer in the available ring, of which `last` is the ring descriptor used last. */
INLINED void put_head(struct virtqueue *vq, struct place *place, uint16_t last)
{
    vq->split.avail->ring[place->index & (vq->params.size - 1)] = cpu_to_le16(place->id);
    place->index++;
    place->id = vq->slot[last].next;
}

INLINED void put(struct virtqueue *vq, struct place *place, const struct virtqueue_piece *piece)
{
    write_desc(&vq->split.desc[place->id], piece, 0, true);
    put_head(vq, place, place->id);
}

INLINED void put_list(struct virtqueue *vq, struct place *place,
                      const struct virtqueue_piece *piece, unsigned count, bool indirect)
{
    put_head(vq, place,
             indirect ? add_indirect(vq, place->id, piece, count)
                      : add_direct(vq, place->id, piece, count));
}

INLINED void set_avail(struct virtqueue *vq, const struct place *place, unsigned count)
{
    struct virtqueue_split *s = &vq->split;

    (void)count; /* of ring entries; here buffers count */
    s->unkicked += (uint16_t)(place->index - s->avail_idx);
    s->avail_idx = place->index;
    vq->next_id = place->id;
    /*
     * Pairs with the device's load of avail->idx: a device that sees the new index sees the
     * descriptors, the tables and the ring entries that put() wrote (2.7.13.3.1).
     */
    __atomic_store_n(&s->avail->idx, cpu_to_le16(s->avail_idx), __ATOMIC_RELEASE);
}

INLINED struct place next_used(const struct virtqueue *vq)
{
    return (struct place){.index = vq->split.used_idx, .id = vq->next_id};
}

INLINED void set_used(struct virtqueue *vq, const struct place *place)
{
    vq->split.used_idx = place->index;
    vq->next_id = place->id;
}

INLINED unsigned look(struct virtqueue *vq, unsigned most)
{
    struct virtqueue_split *s = &vq->split;
    uint16_t known = (uint16_t)(s->used_seen - s->used_idx);

    if (known < most) {
        /*
         * Pairs with the device's store to used->idx: seeing the new index, we see the used
         * elements before it and the data the device wrote (2.7.8.2).
         */
        s->used_seen = le16_to_cpu(__atomic_load_n(&s->used->idx, __ATOMIC_ACQUIRE));
        known = (uint16_t)(s->used_seen - s->used_idx);
        if (known > vq->in_flight) {
            virtqueue_break(vq, "the used index moved past what the device was given");
            return 0;
        }
    }
    /* IN_ORDER: a batch moves the index by all that its used element covers. */
    if (vq->batch && known == 0)
        virtqueue_break(vq, "a batch of used buffers is longer than the used index says");
    return known < most ? known : most;
}

INLINED bool pop(const struct virtqueue *vq, const struct place *place, uint32_t *id, uint32_t *len)
{
    const struct virtq_used_elem *elem =
        &vq->split.used->ring[place->index & (vq->params.size - 1)];

    *id = le32_to_cpu(__atomic_load_n(&elem->id, __ATOMIC_RELAXED));
    *len = le32_to_cpu(__atomic_load_n(&elem->len, __ATOMIC_RELAXED));
    return true;
}

INLINED void release(struct virtqueue *vq, struct place *place, uint16_t id)
{
    unsigned i, count = vq->slot[id].descriptors;
    uint16_t last = id;

    place->index++;
    for (i = 1; i < count; i++)
        last = vq->slot[last].next;
    if (vq->params.layout.in_order) {
        vq->oldest = vq->slot[last].next;
        return;
    }
    vq->slot[last].next = place->id;
    place->id = id;
}

static const struct virtqueue_steps split_steps = {.next_avail = next_avail,
                                                   .set_avail = set_avail,
                                                   .next_used = next_used,
                                                   .set_used = set_used,
                                                   .put = put,
                                                   .put_list = put_list,
                                                   .look = look,
                                                   .pop = pop,
                                                   .release = release};

static int split_add(struct virtqueue *vq, const struct virtqueue_sg *sg, unsigned out, unsigned in,
                     void *token)
{
    return add_list(vq, &split_steps, sg, out, out + in, token);
}

static int split_add_row(struct virtqueue *vq, const struct virtqueue_sg *sg, void *const *token,
                         unsigned count, bool in)
{
    return add_row(vq, &split_steps, sg, token, count, in);
}

static unsigned split_get_row(struct virtqueue *vq, void **token, uint32_t *len, unsigned most)
{
    return get_row(vq, &split_steps, token, len, most);
}

static bool split_kick_prepare(struct virtqueue *vq)
{
    struct virtqueue_split *s = &vq->split;
    uint32_t batch = s->unkicked;
    bool wanted;

    if (batch == 0)
        return false;
    s->unkicked = 0;
    /*
     * Full fence between our store to avail->idx and the load below (2.7.13.4.1). Its partner is
     * the device's: store to avail_event or used flags, fence, look at avail->idx. One of the two
     * sees the other's store, so a buffer is never left without a notification.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (vq->params.layout.event_idx) {
        uint16_t event = le16_to_cpu(__atomic_load_n(s->avail_event, __ATOMIC_RELAXED));

        /* A batch of 2^16 moved over every index there is, which the 16-bit comparison cannot
         * express. */
        wanted = batch > UINT16_MAX ||
                 virtqueue_need_event(event, s->avail_idx, (uint16_t)(s->avail_idx - batch));
    } else {
        uint16_t flags = le16_to_cpu(__atomic_load_n(&s->used->flags, __ATOMIC_RELAXED));

        wanted = !(flags & VIRTQ_USED_F_NO_NOTIFY);
    }
    vq->stats.suppressed += !wanted;
    return wanted;
}

static bool split_enable_cb(struct virtqueue *vq)
{
    struct virtqueue_split *s = &vq->split;

    s->events_off = false;
    if (vq->params.layout.event_idx)
        __atomic_store_n(s->used_event, cpu_to_le16(s->used_idx), __ATOMIC_RELAXED);
    else
        __atomic_store_n(&s->avail->flags, 0, __ATOMIC_RELAXED);
    /*
     * Full fence between that store and the look at used->idx (2.7.14). Its partner is the
     * device's: store to used->idx, fence, load of used_event or avail flags. One of the two sees
     * the other's store, so a used buffer is either found here or notified.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return le16_to_cpu(__atomic_load_n(&s->used->idx, __ATOMIC_RELAXED)) == s->used_idx;
}

static uint16_t split_notification_data(const struct virtqueue *vq)
{
    return vq->split.avail_idx;
}

static void split_dump(const struct virtqueue *vq)
{
    const struct virtqueue_split *s = &vq->split;

    log_info(
        "%s: driver: avail %u used %u unkicked %u next %u; device: used %u flags 0x%x avail_event %u",
        vq->params.name, s->avail_idx, s->used_idx, s->unkicked, vq->next_id,
        le16_to_cpu(__atomic_load_n(&s->used->idx, __ATOMIC_RELAXED)),
        le16_to_cpu(__atomic_load_n(&s->used->flags, __ATOMIC_RELAXED)),
        le16_to_cpu(__atomic_load_n(s->avail_event, __ATOMIC_RELAXED)));
}

const struct virtqueue_layout_ops virtqueue_split_ops = {
    .memory_size = split_memory_size,
    .init = split_init,
    .add = split_add,
    .add_row = split_add_row,
    .get_row = split_get_row,
    .kick_prepare = split_kick_prepare,
    .disable_cb = split_disable_cb,
    .enable_cb = split_enable_cb,
    .notification_data = split_notification_data,
    .dump = split_dump,
};
