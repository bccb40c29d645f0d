/*
 * ring_device.c - the part of the device's side of a queue that does not depend on the layout.
 *
 * Keeps the buffers that the device has, and their order. Checks each piece of a buffer: mapped by
 * the driver, in the right direction, readable before writable, total below 4 GiB. Copies to and
 * from chains. The rings themselves are ring_split.c's and ring_packed.c's. VIRTIO 2.6, 2.7.4.
 */
#include "hosted/ring_device.h"

#include <stdlib.h>
#include <string.h>

#include "hosted/hosted.h"
#include "hosted/ring_layout.h"
#include "hosted/violation.h"

/* ---- start and end ---- */

bool ring_device_init(struct ring_device *ring, const struct ring_params *params)
{
    size_t size = params->size;

    memset(ring, 0, sizeof(*ring));
    ring->params = *params;
    ring->layout = params->packed ? &ring_packed_layout : &ring_split_layout;
    if (!ring->layout->init(ring)) {
        violation("RSVF-5", "%s: ring memory is not mapped for the device", params->name);
        return false;
    }
    ring->chain = calloc(size, sizeof(*ring->chain));
    ring->owner = malloc(size * sizeof(*ring->owner));
    ring->order = calloc(size, sizeof(struct ring_chain *));
    if (!ring->chain || !ring->owner || !ring->order)
        hosted_fail("out of memory for a ring of %zu", size);
    memset(ring->owner, 0xff, size * sizeof(*ring->owner));
    return true;
}

void ring_device_finish(struct ring_device *ring)
{
    struct ring_counters count = ring->count;

    for (unsigned i = 0; ring->chain && i < ring->params.size; i++)
        free(ring->chain[i].piece);
    free(ring->chain);
    free(ring->owner);
    free(ring->order);
    if (ring->layout)
        ring->layout->finish(ring);
    memset(ring, 0, sizeof(*ring));
    ring->count = count;
}

/* ---- buffers ---- */

struct ring_chain *ring_chain_start(struct ring_device *ring, uint16_t head)
{
    struct ring_chain *chain = &ring->chain[head];

    *chain = (struct ring_chain){.head = head, .piece = chain->piece, .capacity = chain->capacity};
    return chain;
}

bool ring_chain_add(struct ring_device *ring, struct ring_chain *chain, dma_addr_t addr,
                    uint32_t len, bool write)
{
    const struct ring_rules *rules = &ring->layout->rules;
    const char *name = ring->params.name;
    unsigned count = chain->out + chain->in;
    uint8_t *data = len ? hosted_dma_device_pointer(addr, len, write) : NULL;

    if (!data) {
        violation("RSVF-5", "%s: chain %u: %u bytes at %#llx are not mapped for %s", name,
                  chain->head, len, (unsigned long long)addr, write ? "writing" : "reading");
        return false;
    }
    if (!write && chain->in)
        violation(rules->order, "%s: chain %u: a readable piece after a writable one", name,
                  chain->head);
    if ((uint64_t)chain->readable + chain->writable + len > UINT32_MAX) {
        violation(rules->total, "%s: chain %u is longer than 4 GiB", name, chain->head);
        return false;
    }
    if (count == ring->params.size) {
        violation(rules->too_long, "%s: chain %u has more pieces than the queue has entries", name,
                  chain->head);
        return false;
    }
    if (count == chain->capacity) {
        chain->capacity = chain->capacity ? chain->capacity * 2 : 4;
        chain->piece = realloc(chain->piece, chain->capacity * sizeof(*chain->piece));
        if (!chain->piece)
            hosted_fail("out of memory for a chain");
    }
    chain->piece[count] = (struct ring_piece){data, len, addr};
    if (write) {
        chain->in++;
        chain->writable += len;
    } else {
        chain->out++;
        chain->readable += len;
    }
    return true;
}

static bool is_mapped(const struct ring_chain *chain)
{
    for (unsigned i = 0; i < chain->out + chain->in; i++)
        if (!hosted_dma_device_pointer(chain->piece[i].addr, chain->piece[i].len, i >= chain->out))
            return false;
    return true;
}

bool ring_device_is_mapped(const struct ring_device *ring)
{
    for (unsigned i = 0; i < ring->params.size; i++)
        if (ring->chain[i].live && !is_mapped(&ring->chain[i]))
            return false;
    return true;
}

uint16_t ring_device_pending(const struct ring_device *ring)
{
    return ring->layout->pending(ring);
}

/* Where the nth oldest is kept. */
static struct ring_chain **held_at(const struct ring_device *ring, unsigned n)
{
    unsigned at = ring->oldest + n;

    return &ring->order[at < ring->params.size ? at : at - ring->params.size];
}

struct ring_chain *ring_device_held(const struct ring_device *ring, unsigned n)
{
    if (!ring->params.in_order || n >= ring->in_flight)
        hosted_fail("%s: the model has no buffer %u in order", ring->params.name, n);
    return *held_at(ring, n);
}

struct ring_chain *ring_device_pop(struct ring_device *ring)
{
    struct ring_chain *chain = ring->layout->pop(ring);

    if (!chain)
        return NULL;
    if (ring->params.in_order)
        *held_at(ring, ring->in_flight) = chain;
    chain->live = true;
    ring->in_flight++;
    ring->count.popped++;
    ring->count.indirect += chain->indirect;
    return chain;
}

void ring_device_unpop(struct ring_device *ring, struct ring_chain *chain)
{
    if (ring->poison)
        hosted_fail("%s: the model cannot give back what it has overwritten", ring->params.name);
    ring->layout->release(ring, chain);
    ring->layout->unpop(ring, chain);
    chain->live = false;
    ring->in_flight--;
    ring->count.popped--;
    ring->count.indirect -= chain->indirect;
}

/* The device has a buffer no more. */
static void let_go(struct ring_device *ring, struct ring_chain *chain)
{
    if (!chain->live)
        hosted_fail("%s: the model returns chain %u, which it does not have", ring->params.name,
                    chain->head);
    if (ring->params.in_order && ring_device_held(ring, 0) != chain)
        hosted_fail("%s: the model returns chain %u out of order", ring->params.name, chain->head);
    ring->layout->release(ring, chain);
    ring->oldest = (uint16_t)(ring->oldest + 1 < ring->params.size ? ring->oldest + 1 : 0);
    chain->live = false;
    ring->in_flight--;
    ring->count.pushed++;
}

void ring_device_push(struct ring_device *ring, struct ring_chain *chain, uint32_t len)
{
    let_go(ring, chain);
    ring->layout->use(ring, chain->head, len, 1, chain->descriptors);
}

void ring_device_push_batch(struct ring_device *ring, unsigned count, uint32_t len)
{
    struct ring_chain *last = ring_device_held(ring, count - 1);
    unsigned descriptors = 0;

    for (unsigned i = 0; i < count; i++) {
        descriptors += ring_device_held(ring, 0)->descriptors;
        let_go(ring, ring_device_held(ring, 0));
    }
    ring->layout->use(ring, last->head, len, count, descriptors);
}

void ring_device_push_raw(struct ring_device *ring, uint32_t id, uint32_t len)
{
    ring->layout->use(ring, id, len, 1, 1);
    ring->count.pushed++;
}

void ring_device_skip_used(struct ring_device *ring, uint16_t count)
{
    ring->layout->skip_used(ring, count);
}

/* ---- notifications ---- */

bool ring_device_signal(struct ring_device *ring)
{
    bool wanted;

    if (!ring->layout->signal(ring, &wanted))
        return false;
    ring->count.interrupts += wanted;
    ring->count.suppressed += !wanted;
    return wanted;
}

void ring_device_want_notify(struct ring_device *ring, bool wanted)
{
    ring->layout->want_notify(ring, wanted);
}

void ring_device_set_avail_event(struct ring_device *ring, uint16_t event)
{
    ring->layout->set_avail_event(ring, event);
}

void ring_device_notified(struct ring_device *ring)
{
    ring->count.notified++;
    ring->count.unwanted += !ring->layout->notified(ring);
}

uint16_t ring_device_notification_data(const struct ring_device *ring)
{
    return ring->layout->notification_data(ring);
}

/* ---- copying ---- */

static size_t copy(const struct ring_piece *piece, unsigned pieces, size_t offset, uint8_t *data,
                   size_t len, bool into_chain)
{
    size_t done = 0;

    for (unsigned i = 0; i < pieces && done < len; i++) {
        if (offset >= piece[i].len) {
            offset -= piece[i].len;
            continue;
        }
        size_t part = piece[i].len - offset;
        if (part > len - done)
            part = len - done;
        if (into_chain)
            memcpy(piece[i].data + offset, data + done, part);
        else
            memcpy(data + done, piece[i].data + offset, part);
        done += part;
        offset = 0;
    }
    return done;
}

size_t ring_chain_read(const struct ring_chain *chain, size_t offset, void *data, size_t len)
{
    return copy(chain->piece, chain->out, offset, data, len, false);
}

size_t ring_chain_write(struct ring_chain *chain, size_t offset, const void *data, size_t len)
{
    return copy(chain->piece + chain->out, chain->in, offset, (uint8_t *)(uintptr_t)data, len,
                true);
}
