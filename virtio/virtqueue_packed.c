/*
 * virtqueue_packed.c - the packed ring layout (2.8): one ring of descriptors that both sides write,
 * and two event suppression structures.
 *
 * Owns the shared memory of such a queue and every memory barrier around it. Where we are in the
 * ring, and which ids are free, stays in private memory (struct virtqueue_packed); what the device
 * writes is read once. Checks that need the slots are virtqueue_buffers.h's. Read virtqueue_split.c
 * first, which this file mirrors.
 */
#include <string.h>

#include "log.h"
#include "virtio/virtqueue_buffers.h"

/* Each event suppression structure on a cache line of its own: one is ours to write, the other the
 * device's. */
#define EVENT_ALIGNMENT 64

/*
 * 2.8.1: what wrap counters say. A descriptor is available when AVAIL is the driver's counter and USED
 * is not, and used when both are the device's; both counters start as 1.
 */
#define WRAP_BITS (VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED)

static size_t driver_event_offset(const struct virtqueue_params *params)
{
    size_t end = sizeof(struct pvirtq_desc) * params->size;

    return (end + EVENT_ALIGNMENT - 1) / EVENT_ALIGNMENT * EVENT_ALIGNMENT;
}

static size_t packed_memory_size(const struct virtqueue_params *params)
{
    return driver_event_offset(params) + EVENT_ALIGNMENT + sizeof(struct pvirtq_event_suppress);
}

/* Both halves at once, so that the device never sees an offset of one request with the flags of
 * another. */
static void write_driver_event(struct virtqueue_packed *p, uint16_t off_wrap, uint16_t flags)
{
    struct pvirtq_event_suppress event = {.off_wrap = cpu_to_le16(off_wrap),
                                          .flags = cpu_to_le16(flags)};
    uint32_t both;

    memcpy(&both, &event, sizeof(both));
    __atomic_store_n((uint32_t *)(void *)p->driver_event, both, __ATOMIC_RELAXED);
}

static struct pvirtq_event_suppress read_device_event(const struct virtqueue_packed *p)
{
    uint32_t both =
        __atomic_load_n((const uint32_t *)(const void *)p->device_event, __ATOMIC_RELAXED);
    struct pvirtq_event_suppress event;

    memcpy(&event, &both, sizeof(event));
    return event;
}

/* The device looks there for each buffer that it uses, so what is off already is not written again. */
static void packed_disable_cb(struct virtqueue *vq)
{
    if (vq->packed.events_off)
        return;
    write_driver_event(&vq->packed, 0, RING_EVENT_FLAGS_DISABLE);
    vq->packed.events_off = true;
}

static void packed_init(struct virtqueue *vq)
{
    struct virtqueue_packed *p = &vq->packed;
    uint8_t *base = vq->memory;
    size_t events = driver_event_offset(&vq->params);

    p->desc = (struct pvirtq_desc *)base;
    p->driver_event = (struct pvirtq_event_suppress *)(base + events);
    p->device_event = (const struct pvirtq_event_suppress *)(base + events + EVENT_ALIGNMENT);
    vq->areas.descriptor = vq->memory_addr;
    vq->areas.driver = vq->areas.descriptor + events;
    vq->areas.device = vq->areas.driver + EVENT_ALIGNMENT;

    p->next_avail = p->next_used = 0;
    p->avail_bits = VIRTQ_DESC_F_AVAIL;
    p->used_bits = WRAP_BITS;
    p->unkicked = 0;
    p->events_off = false;
    packed_disable_cb(vq);
}

static bool avail_wrap(const struct virtqueue_packed *p)
{
    return p->avail_bits & VIRTQ_DESC_F_AVAIL;
}

static bool used_wrap(const struct virtqueue_packed *p)
{
    return p->used_bits & VIRTQ_DESC_F_AVAIL;
}

/* On to a later place of the ring. In the next lap both bits are the other way round. */
static void advance(struct place *place, unsigned by, uint16_t size)
{
    unsigned next = place->index + by;

    if (next >= size) {
        next -= size;
        place->bits ^= WRAP_BITS;
    }
    place->index = (uint16_t)next;
}

static void write_desc(struct pvirtq_desc *desc, const struct virtqueue_piece *piece, uint16_t id)
{
    desc->addr = cpu_to_le64(piece->addr);
    desc->len = cpu_to_le32(piece->len);
    desc->id = cpu_to_le16(id);
}

INLINED struct place next_avail(const struct virtqueue *vq)
{
    return (struct place){vq->packed.next_avail, vq->packed.avail_bits, vq->next_id};
}

INLINED void set_avail(struct virtqueue *vq, const struct place *place, unsigned count)
{
    vq->packed.next_avail = place->index;
    vq->packed.avail_bits = place->bits;
    vq->packed.unkicked += count;
    vq->next_id = place->id;
}

INLINED struct place next_used(const struct virtqueue *vq)
{
    return (struct place){vq->packed.next_used, vq->packed.used_bits, vq->next_id};
}

INLINED void set_used(struct virtqueue *vq, const struct place *place)
{
    vq->packed.next_used = place->index;
    vq->packed.used_bits = place->bits;
    vq->next_id = place->id;
}

INLINED void publish(struct pvirtq_desc *head, uint16_t flags)
{
    /*
     * Written last (2.8.21.1.1). Pairs with the device's load of these flags: a device that finds
     * the head available sees the whole list and the table written above.
     */
    __atomic_store_n(&head->flags, cpu_to_le16(flags), __ATOMIC_RELEASE);
}

INLINED void put(struct virtqueue *vq, struct place *place, const struct virtqueue_piece *piece)
{
    struct pvirtq_desc *desc = &vq->packed.desc[place->index];

    write_desc(desc, piece, place->id);
    publish(desc, (piece->in ? VIRTQ_DESC_F_WRITE : 0) | place->bits);
    advance(place, 1, vq->params.size);
    place->id = vq->slot[place->id].next;
}

/* Fills the slot's own table, and describes it as one piece (2.8.7). */
static struct virtqueue_piece fill_table(struct virtqueue *vq, uint16_t id,
                                         const struct virtqueue_piece *piece, unsigned count)
{
    size_t offset = virtqueue_row(vq, id);
    struct pvirtq_desc *table = (struct pvirtq_desc *)vq->table + offset;
    unsigned i;

    /* 2.8.19: in a table only WRITE means anything; ids and NEXT do not. */
    for (i = 0; i < count; i++) {
        write_desc(&table[i], &piece[i], 0);
        table[i].flags = cpu_to_le16(piece[i].in ? VIRTQ_DESC_F_WRITE : 0);
    }
    return (struct virtqueue_piece){.addr = vq->table_addr + offset * sizeof(*table),
                                    .len = (uint32_t)(count * sizeof(*table))};
}

INLINED void put_list(struct virtqueue *vq, struct place *place,
                      const struct virtqueue_piece *piece, unsigned count, bool indirect)
{
    struct pvirtq_desc *head = &vq->packed.desc[place->index];
    uint16_t id = place->id, first_flags = 0;
    struct virtqueue_piece table;
    unsigned i;

    if (indirect) {
        table = fill_table(vq, id, piece, count);
        write_desc(head, &table, id);
        first_flags = VIRTQ_DESC_F_INDIRECT | place->bits;
        advance(place, 1, vq->params.size);
        count = 0;
    }
    for (i = 0; i < count; i++) {
        struct pvirtq_desc *desc = &vq->packed.desc[place->index];
        uint16_t flags = (piece[i].in ? VIRTQ_DESC_F_WRITE : 0) |
                         (i + 1 < count ? VIRTQ_DESC_F_NEXT : 0) | place->bits;

        write_desc(desc, &piece[i], id);
        if (i == 0)
            first_flags = flags;
        else
            desc->flags = cpu_to_le16(flags);
        advance(place, 1, vq->params.size);
    }
    place->id = vq->slot[id].next;
    publish(head, first_flags);
}

/* Whether a used one is there, each descriptor says for itself. */
INLINED unsigned look(struct virtqueue *vq, unsigned most)
{
    return most < vq->in_flight ? most : vq->in_flight;
}

INLINED bool pop(const struct virtqueue *vq, const struct place *place, uint32_t *id, uint32_t *len)
{
    const struct pvirtq_desc *desc = &vq->packed.desc[place->index];
    uint16_t flags;

    /*
     * Pairs with the device's store of these flags: seeing them, we see the id and length of the
     * same descriptor, and the data the device wrote.
     */
    flags = le16_to_cpu(__atomic_load_n(&desc->flags, __ATOMIC_ACQUIRE));
    if ((flags & WRAP_BITS) != place->bits)
        return false;
    *id = le16_to_cpu(__atomic_load_n(&desc->id, __ATOMIC_RELAXED));
    *len = le32_to_cpu(__atomic_load_n(&desc->len, __ATOMIC_RELAXED));
    /*
     * 2.8.3 lets the length mean something only with WRITE, which QEMU never sets on a used
     * descriptor. So without it we believe a length that is possible, and take any other for
     * nothing.
     */
    if (!(flags & VIRTQ_DESC_F_WRITE) && (*id >= vq->params.size || *len > vq->slot[*id].writable))
        *len = 0;
    return true;
}

INLINED void release(struct virtqueue *vq, struct place *place, uint16_t id)
{
    /* 2.8.6: one used descriptor for a list; the device skipped the rest of it, and so do we. */
    advance(place, vq->slot[id].descriptors, vq->params.size);
    if (vq->params.layout.in_order) {
        vq->oldest = vq->slot[id].next;
        return;
    }
    vq->slot[id].next = place->id;
    place->id = id;
}

static const struct virtqueue_steps packed_steps = {.next_avail = next_avail,
                                                    .set_avail = set_avail,
                                                    .next_used = next_used,
                                                    .set_used = set_used,
                                                    .put = put,
                                                    .put_list = put_list,
                                                    .look = look,
                                                    .pop = pop,
                                                    .release = release};

static int packed_add(struct virtqueue *vq, const struct virtqueue_sg *sg, unsigned out,
                      unsigned in, void *token)
{
    return add_list(vq, &packed_steps, sg, out, out + in, token);
}

static int packed_add_row(struct virtqueue *vq, const struct virtqueue_sg *sg, void *const *token,
                          unsigned count, bool in)
{
    return add_row(vq, &packed_steps, sg, token, count, in);
}

static unsigned packed_get_row(struct virtqueue *vq, void **token, uint32_t *len, unsigned most)
{
    return get_row(vq, &packed_steps, token, len, most);
}

/* 2.8.10: does the place that the device asks about lie among the descriptors of this batch? */
static bool event_reached(const struct virtqueue *vq, uint16_t off_wrap, uint32_t batch)
{
    const struct virtqueue_packed *p = &vq->packed;
    bool event_wrap = off_wrap >> RING_EVENT_WRAP_SHIFT;
    uint16_t event = off_wrap & ((1 << RING_EVENT_WRAP_SHIFT) - 1);

    /* Counted from the start of the lap that we are in, an offset of the lap before lies a ring's
     * length back. */
    if (event_wrap != avail_wrap(p))
        event -= vq->params.size;
    return virtqueue_need_event(event, p->next_avail, (uint16_t)(p->next_avail - batch));
}

static bool packed_kick_prepare(struct virtqueue *vq)
{
    struct virtqueue_packed *p = &vq->packed;
    uint32_t batch = p->unkicked;
    struct pvirtq_event_suppress event;
    bool wanted;

    if (batch == 0)
        return false;
    p->unkicked = 0;
    /*
     * Full fence between our store of a head's flags and the load below (2.8.21.3.1). Its partner
     * is the device's: store to its event suppression structure, fence, look at the next head. One
     * of the two sees the other's store.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    event = read_device_event(p);
    switch (le16_to_cpu(event.flags) & RING_EVENT_FLAGS_MASK) {
    case RING_EVENT_FLAGS_DISABLE:
        wanted = false;
        break;
    case RING_EVENT_FLAGS_DESC:
        /* A batch of a lap or more went over every place there is. */
        wanted = !vq->params.layout.event_idx || batch >= vq->params.size ||
                 event_reached(vq, le16_to_cpu(event.off_wrap), batch);
        break;
    default: /* ENABLE, and the value that is reserved: rather one too many */
        wanted = true;
    }
    vq->stats.suppressed += !wanted;
    return wanted;
}

static bool packed_enable_cb(struct virtqueue *vq)
{
    struct virtqueue_packed *p = &vq->packed;
    uint16_t off_wrap = (uint16_t)(p->next_used | used_wrap(p) << RING_EVENT_WRAP_SHIFT);
    uint16_t flags;

    p->events_off = false;
    if (vq->params.layout.event_idx)
        write_driver_event(p, off_wrap, RING_EVENT_FLAGS_DESC);
    else
        write_driver_event(p, 0, RING_EVENT_FLAGS_ENABLE);
    /*
     * Full fence between that store and the look at the next used descriptor (2.8.22). Its partner
     * is the device's: store of a used descriptor's flags, fence, load of our event suppression
     * structure. One of the two sees the other's store.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    flags = le16_to_cpu(__atomic_load_n(&p->desc[p->next_used].flags, __ATOMIC_RELAXED));
    return vq->in_flight == 0 || (flags & WRAP_BITS) != p->used_bits;
}

static uint16_t packed_notification_data(const struct virtqueue *vq)
{
    return (uint16_t)(vq->packed.next_avail | avail_wrap(&vq->packed) << RING_EVENT_WRAP_SHIFT);
}

static void packed_dump(const struct virtqueue *vq)
{
    const struct virtqueue_packed *p = &vq->packed;
    struct pvirtq_event_suppress event = read_device_event(p);

    log_info(
        "%s: driver: avail %u/%u used %u/%u unkicked %u next %u; device: flags 0x%x, events 0x%x/0x%x",
        vq->params.name, p->next_avail, avail_wrap(p), p->next_used, used_wrap(p), p->unkicked,
        vq->next_id, le16_to_cpu(__atomic_load_n(&p->desc[p->next_used].flags, __ATOMIC_RELAXED)),
        le16_to_cpu(event.off_wrap), le16_to_cpu(event.flags));
}

const struct virtqueue_layout_ops virtqueue_packed_ops = {
    .memory_size = packed_memory_size,
    .init = packed_init,
    .add = packed_add,
    .add_row = packed_add_row,
    .get_row = packed_get_row,
    .kick_prepare = packed_kick_prepare,
    .disable_cb = packed_disable_cb,
    .enable_cb = packed_enable_cb,
    .notification_data = packed_notification_data,
    .dump = packed_dump,
};
