/*
 * ring_split.c - the device's side of a split ring (2.7): available ring, descriptor table,
 * indirect tables, used ring.
 *
 * Owns every access of the model to such a ring. Each thing the driver must or must not do there is
 * checked where the device would meet it and reported by requirement id. The pieces themselves are
 * checked by ring_device.c.
 */
#include <stdlib.h>
#include <string.h>

#include "hosted/hosted.h"
#include "hosted/ring_device.h"
#include "hosted/violation.h"

/* avail and used as arrays of u16: flags, idx, then the ring. */
enum { FLAGS = 0, IDX = 1, RING = 2 };

static uint16_t load16(const uint16_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store16(uint16_t *at, uint16_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static uint16_t *used_event(const struct ring_device *ring)
{
    return &ring->avail[RING + ring->params.size];
}

static uint16_t *avail_event(const struct ring_device *ring)
{
    return &ring->used[RING + 4 * ring->params.size];
}

static void check_alignment(const struct ring_params *p)
{
    if (p->descriptor % 16 || p->driver % 2 || p->device % 4)
        violation("SPLIT-ALIGN-1", "%s: areas at %#llx %#llx %#llx", p->name,
                  (unsigned long long)p->descriptor, (unsigned long long)p->driver,
                  (unsigned long long)p->device);
    if (p->size == 0 || p->size > 32768 || (p->size & (p->size - 1)))
        violation("SPLIT-T-SIZE-1", "%s: %u entries", p->name, p->size);
}

bool ring_device_init(struct ring_device *ring, const struct ring_params *params)
{
    size_t size = params->size;

    memset(ring, 0, sizeof(*ring));
    ring->params = *params;
    check_alignment(params);
    ring->desc = hosted_dma_device_pointer(params->descriptor, 16 * size, false);
    ring->avail = hosted_dma_device_pointer(params->driver, 6 + 2 * size, false);
    ring->used = hosted_dma_device_pointer(params->device, 6 + 8 * size, true);
    if (!size || !ring->desc || !ring->avail || !ring->used) {
        violation("RSVF-5", "%s: ring memory is not mapped for the device", params->name);
        return false;
    }
    if (ring->used[FLAGS] || ring->used[IDX])
        violation("SPLIT-KICK-1", "%s: used ring starts with flags %u, idx %u", params->name,
                  ring->used[FLAGS], ring->used[IDX]);
    ring->chain = calloc(size, sizeof(*ring->chain));
    ring->owner = malloc(size * sizeof(*ring->owner));
    ring->snapshot = calloc(size, sizeof(*ring->snapshot));
    if (!ring->chain || !ring->owner || !ring->snapshot)
        hosted_fail("out of memory for a ring of %zu", size);
    memset(ring->owner, 0xff, size * sizeof(*ring->owner));
    return true;
}

void ring_device_finish(struct ring_device *ring)
{
    for (unsigned i = 0; ring->chain && i < ring->params.size; i++)
        free(ring->chain[i].piece);
    free(ring->chain);
    free(ring->owner);
    free(ring->snapshot);
    struct ring_counters count = ring->count;
    memset(ring, 0, sizeof(*ring));
    ring->count = count;
}

/* 2.7.5.3.1: the table that one descriptor points at. */
static bool walk_indirect(struct ring_device *ring, struct ring_chain *chain,
                          const struct wire_desc *outer)
{
    const char *name = ring->params.name;
    unsigned entries = outer->len / 16, index = 0;
    const struct wire_desc *table = hosted_dma_device_pointer(outer->addr, outer->len, false);

    if (!ring->params.indirect)
        violation("SPLIT-IND-1", "%s: chain %u is indirect", name, chain->head);
    if (outer->flags & DESC_NEXT)
        violation("SPLIT-IND-4", "%s: chain %u: INDIRECT and NEXT together", name, chain->head);
    if (outer->len == 0 || outer->len % 16 || entries > ring->params.size || !table) {
        violation("SPLIT-IND-3", "%s: chain %u: an indirect table of %u bytes at %#llx", name,
                  chain->head, outer->len, (unsigned long long)outer->addr);
        return false;
    }
    chain->indirect = true;
    for (unsigned steps = 0; steps < entries; steps++) {
        struct wire_desc d = table[index];
        if (d.flags & DESC_INDIRECT) {
            violation("SPLIT-IND-2", "%s: chain %u: an indirect table inside another", name,
                      chain->head);
            return false;
        }
        if (!ring_chain_add(ring, chain, d.addr, d.len, d.flags & DESC_WRITE))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        index = d.next;
        if (index >= entries)
            break;
    }
    violation("SPLIT-DESC-1", "%s: chain %u: the indirect table does not end", name, chain->head);
    return false;
}

/* Follows a chain from its head through the descriptor table, marking what it takes. */
static bool walk(struct ring_device *ring, struct ring_chain *chain)
{
    const char *name = ring->params.name;
    unsigned index = chain->head;

    for (unsigned steps = 0; steps < ring->params.size; steps++) {
        if (ring->owner[index] != RING_FREE) {
            violation(ring->owner[index] == chain->head ? "SPLIT-DESC-1" : "CLEAN-1",
                      "%s: chain %u uses descriptor %u, which chain %u still has", name,
                      chain->head, index, ring->owner[index]);
            return false;
        }
        ring->owner[index] = chain->head;
        struct wire_desc d = ring->snapshot[index] = ring->desc[index];
        if (d.flags & ~(DESC_NEXT | DESC_WRITE | DESC_INDIRECT))
            violation("SPLIT-DESC-1", "%s: descriptor %u has flags %#x", name, index, d.flags);
        if (d.flags & DESC_INDIRECT)
            return walk_indirect(ring, chain, &d);
        if (!ring_chain_add(ring, chain, d.addr, d.len, d.flags & DESC_WRITE))
            return false;
        if (!(d.flags & DESC_NEXT))
            return true;
        index = d.next;
        if (index >= ring->params.size)
            break;
    }
    violation("SPLIT-DESC-1", "%s: chain %u does not end", name, chain->head);
    return false;
}

static void check_avail_flags(const struct ring_device *ring)
{
    uint16_t flags = load16(&ring->avail[FLAGS]);

    if (ring->params.event_idx && flags)
        violation("SPLIT-INTR-3", "%s: avail flags %#x with EVENT_IDX", ring->params.name, flags);
    else if (flags > 1)
        violation("SPLIT-INTR-1", "%s: avail flags %#x", ring->params.name, flags);
}

uint16_t ring_device_pending(const struct ring_device *ring)
{
    return (uint16_t)(load16(&ring->avail[IDX]) - ring->avail_idx);
}

struct ring_chain *ring_device_pop(struct ring_device *ring)
{
    const char *name = ring->params.name;
    uint16_t pending = ring_device_pending(ring);

    check_avail_flags(ring);
    if (!pending)
        return NULL;
    if (pending + ring->in_flight > ring->params.size) {
        violation("SPLIT-AVAIL-1", "%s: avail idx %u, device at %u with %u buffers in a ring of %u",
                  name, load16(&ring->avail[IDX]), ring->avail_idx, ring->in_flight,
                  ring->params.size);
        return NULL;
    }
    uint16_t head = ring->avail[RING + ring->avail_idx % ring->params.size];
    ring->avail_idx++;
    if (head >= ring->params.size || ring->chain[head].live) {
        violation("SPLIT-T-SLOT-1", "%s: head %u is out of range or exposed already", name, head);
        return NULL;
    }
    struct ring_chain *chain = &ring->chain[head];
    *chain = (struct ring_chain){.head = head, .piece = chain->piece, .capacity = chain->capacity};
    if (!walk(ring, chain))
        return NULL;
    chain->live = true;
    ring->in_flight++;
    ring->count.popped++;
    ring->count.indirect += chain->indirect;
    return chain;
}

/*
 * CLEAN-1: what was exposed must still be as it was when the device took it. Gives the descriptors
 * back.
 */
static void release(struct ring_device *ring, const struct ring_chain *chain)
{
    unsigned index = chain->head;

    for (unsigned steps = 0; steps < ring->params.size; steps++) {
        struct wire_desc *was = &ring->snapshot[index];
        if (!ring->scribbles && memcmp(was, &ring->desc[index], sizeof(*was)) != 0)
            violation("CLEAN-1", "%s: descriptor %u changed while the device had it",
                      ring->params.name, index);
        ring->owner[index] = RING_FREE;
        if ((was->flags & DESC_INDIRECT) || !(was->flags & DESC_NEXT))
            return;
        index = was->next;
    }
}

void ring_device_unpop(struct ring_device *ring, struct ring_chain *chain)
{
    release(ring, chain);
    chain->live = false;
    ring->in_flight--;
    ring->avail_idx--;
    ring->count.popped--;
}

void ring_device_push_raw(struct ring_device *ring, uint32_t id, uint32_t len)
{
    uint32_t element[2] = {id, len};

    memcpy(&ring->used[RING + 4 * (ring->used_idx % ring->params.size)], element, sizeof(element));
    ring->used_idx++;
    store16(&ring->used[IDX], ring->used_idx);
    ring->count.pushed++;
}

void ring_device_push(struct ring_device *ring, struct ring_chain *chain, uint32_t len)
{
    if (!chain->live)
        hosted_fail("%s: the model returns chain %u, which it does not have", ring->params.name,
                    chain->head);
    release(ring, chain);
    chain->live = false;
    ring->in_flight--;
    ring_device_push_raw(ring, chain->head, len);
}

void ring_device_skip_used(struct ring_device *ring, uint16_t count)
{
    ring->used_idx = (uint16_t)(ring->used_idx + count);
    store16(&ring->used[IDX], ring->used_idx);
}

bool ring_device_signal(struct ring_device *ring)
{
    uint16_t old = ring->signalled_idx, new = ring->used_idx;
    bool wanted;

    if (old == new)
        return false;
    ring->signalled_idx = new;
    /*
     * Pairs with the driver's fence in enable_cb: used idx is out before the suppression field is
     * read.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    check_avail_flags(ring);
    if (ring->params.event_idx)
        wanted = (uint16_t)(new - load16(used_event(ring)) - 1) < (uint16_t)(new - old);
    else
        wanted = !(load16(&ring->avail[FLAGS]) & AVAIL_NO_INTERRUPT);
    ring->count.interrupts += wanted;
    ring->count.suppressed += !wanted;
    return wanted;
}

void ring_device_set_avail_event(struct ring_device *ring, uint16_t event)
{
    store16(avail_event(ring), event);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void ring_device_want_notify(struct ring_device *ring, bool wanted)
{
    if (ring->params.event_idx) {
        ring_device_set_avail_event(ring, (uint16_t)(ring->avail_idx - !wanted));
        return;
    }
    store16(&ring->used[FLAGS], wanted ? 0 : USED_NO_NOTIFY);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void ring_device_notified(struct ring_device *ring)
{
    uint16_t old = ring->notified_idx, new = load16(&ring->avail[IDX]);
    uint64_t total = ring->count.popped + ring_device_pending(ring);
    bool full_turn = total - ring->notified_total > UINT16_MAX;
    bool wanted;

    ring->notified_idx = new;
    ring->notified_total = total;
    ring->count.notified++;
    if (ring->params.event_idx)
        wanted =
            full_turn || (uint16_t)(new - load16(avail_event(ring)) - 1) < (uint16_t)(new - old);
    else
        wanted = !(load16(&ring->used[FLAGS]) & USED_NO_NOTIFY);
    if (wanted)
        return;
    ring->count.unwanted++;
    violation(ring->params.event_idx ? "SPLIT-KICK-7" : "SPLIT-KICK-3",
              "%s: a notification that the device had asked not to get", ring->params.name);
}
