/*
 * hostile_ring.c - the device's side of both ring layouts (2.7, 2.8) for hostile.c, without any
 * check of the driver.
 *
 * A hostile device destroys what it reads itself next, so every address is looked up in the book of
 * mappings before it is used. Read hosted/ring_device.h for the strict one.
 */
#include "hostile.h"

#include "hosted/hosted.h"
#include "hosted/wire.h"

static uint16_t load16(const uint8_t *at)
{
    return __atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_RELAXED);
}

static void store16(uint8_t *at, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)at, value, __ATOMIC_RELAXED);
}

static size_t device_area_size(const struct hostile_queue *queue, bool packed)
{
    return packed ? 4 : 6 + 8 * (size_t)queue->size;
}

void hostile_ring_start(struct hostile_queue *queue, bool packed)
{
    const struct virtqueue_areas *areas = virtqueue_areas(queue->vq);

    queue->size = virtqueue_size(queue->vq);
    queue->desc = hosted_dma_device_pointer(areas->descriptor, 16 * (size_t)queue->size, packed);
    queue->driver =
        hosted_dma_device_pointer(areas->driver, packed ? 4 : 6 + 2 * (size_t)queue->size, false);
    queue->device = hosted_dma_device_pointer(areas->device, device_area_size(queue, packed), true);
    queue->avail = queue->used = 0;
    queue->avail_wrap = queue->used_wrap = true;
    if (!queue->desc || !queue->driver || !queue->device)
        hosted_fail("%s: its areas are not mapped", virtqueue_name(queue->vq));
}

static void add_piece(struct hostile_chain *chain, uint64_t addr, uint32_t len, bool write)
{
    unsigned n = chain->out + chain->in;
    uint8_t *data = n < HOSTILE_PIECES ? hosted_dma_device_pointer(addr, len, write) : NULL;

    if (!data || (!write && chain->in))
        return;
    chain->piece[n].data = data;
    chain->piece[n].len = len;
    chain->out += !write;
    chain->in += write;
    chain->writable += write ? len : 0;
}

static void add_table(struct hostile_chain *chain, uint64_t addr, uint32_t len, bool packed)
{
    const uint8_t *table = hosted_dma_device_pointer(addr, len, false);

    for (uint32_t at = 0; table && at + 16 <= len; at += 16) {
        struct wire_desc desc;

        memcpy(&desc, table + at, sizeof(desc));
        /* A packed descriptor has its id where a split one has flags, and flags behind it. */
        add_piece(chain, desc.addr, desc.len, (packed ? desc.next : desc.flags) & DESC_WRITE);
    }
}

static bool take_split(struct hostile_queue *queue, struct hostile_chain *chain)
{
    uint16_t id, flags = DESC_NEXT, next;

    if (load16(queue->driver + 2) == queue->avail)
        return false;
    id = next = load16(queue->driver + 4 + 2 * (queue->avail++ % queue->size));
    chain->id = id;
    for (unsigned n = 0; n < queue->size && flags & DESC_NEXT; n++) {
        struct wire_desc desc;

        memcpy(&desc, queue->desc + 16 * (next % queue->size), sizeof(desc));
        if (desc.flags & DESC_INDIRECT)
            add_table(chain, desc.addr, desc.len, false);
        else
            add_piece(chain, desc.addr, desc.len, desc.flags & DESC_WRITE);
        flags = desc.flags;
        next = desc.next;
        chain->descriptors++;
    }
    return true;
}

static void step(const struct hostile_queue *queue, uint16_t *place, bool *wrap, unsigned by)
{
    unsigned next = *place + by;

    *wrap ^= next / queue->size & 1;
    *place = (uint16_t)(next % queue->size);
}

static bool take_packed(struct hostile_queue *queue, struct hostile_chain *chain)
{
    uint16_t available = queue->avail_wrap ? DESC_AVAIL : DESC_USED;
    struct wire_packed_desc desc;

    memcpy(&desc, queue->desc + 16 * queue->avail, sizeof(desc));
    if ((desc.flags & (DESC_AVAIL | DESC_USED)) != available)
        return false;
    do {
        memcpy(&desc, queue->desc + 16 * queue->avail, sizeof(desc));
        if (desc.flags & DESC_INDIRECT)
            add_table(chain, desc.addr, desc.len, true);
        else
            add_piece(chain, desc.addr, desc.len, desc.flags & DESC_WRITE);
        chain->id = desc.id;
        chain->descriptors++;
        step(queue, &queue->avail, &queue->avail_wrap, 1);
    } while (desc.flags & DESC_NEXT && chain->descriptors < queue->size);
    return true;
}

bool hostile_ring_take(struct hostile_queue *queue, bool packed, struct hostile_chain *chain)
{
    chain->descriptors = chain->out = chain->in = 0;
    chain->writable = 0;
    if (!queue->vq || !(packed ? take_packed : take_split)(queue, chain))
        return false;
    queue->last_id = chain->id;
    return true;
}

void hostile_ring_put(struct hostile_queue *queue, bool packed, uint16_t id, uint32_t len,
                      unsigned descriptors)
{
    uint32_t element[2] = {id, len};

    if (packed) {
        uint8_t *desc = queue->desc + 16 * queue->used;
        uint16_t flags = queue->used_wrap ? DESC_AVAIL | DESC_USED | DESC_WRITE : DESC_WRITE;

        memcpy(desc + 8, &len, 4);
        memcpy(desc + 12, &id, 2);
        store16(desc + 14, flags);
        step(queue, &queue->used, &queue->used_wrap, descriptors);
        return;
    }
    memcpy(queue->device + 4 + 8 * (queue->used++ % queue->size), element, sizeof(element));
    store16(queue->device + 2, queue->used);
}

void hostile_ring_scribble(struct hostile_queue *queue, bool packed, uint16_t at, uint16_t value)
{
    size_t ring = packed ? 16 * (size_t)queue->size : 0;
    size_t offset = at % (ring + device_area_size(queue, packed)) & ~(size_t)1;

    store16(offset < ring ? queue->desc + offset : queue->device + offset - ring, value);
}
