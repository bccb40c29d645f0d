/*
 * ring_split.c - the device's side of a split ring (2.7): available ring, descriptor table,
 * indirect tables, used ring.
 *
 * Owns every access of the model to such a ring. Each thing the driver must or must not do there is
 * checked where the device would meet it and reported by requirement id. The pieces themselves are
 * checked by ring_device.c. Read ring_layout.h first.
 */
#include <stdlib.h>
#include <string.h>

#include "hosted/hosted.h"
#include "hosted/ring_layout.h"
#include "hosted/violation.h"

/* avail and used as arrays of u16: flags, idx, then the ring. */
enum { FLAGS = 0, IDX = 1, RING = 2 };

static uint16_t *used_event(const struct ring_device *ring)
{
    return &ring->split.avail[RING + ring->params.size];
}

static uint16_t *avail_event(const struct ring_device *ring)
{
    return &ring->split.used[RING + 4 * ring->params.size];
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

static bool split_init(struct ring_device *ring)
{
    const struct ring_params *params = &ring->params;
    struct ring_split *s = &ring->split;
    size_t size = params->size;

    check_alignment(params);
    s->desc = hosted_dma_device_pointer(params->descriptor, 16 * size, false);
    s->avail = hosted_dma_device_pointer(params->driver, 6 + 2 * size, false);
    s->used = hosted_dma_device_pointer(params->device, 6 + 8 * size, true);
    if (!size || !s->desc || !s->avail || !s->used)
        return false;
    if (s->used[FLAGS] || s->used[IDX])
        violation("SPLIT-KICK-1", "%s: used ring starts with flags %u, idx %u", params->name,
                  s->used[FLAGS], s->used[IDX]);
    s->snapshot = calloc(size, sizeof(*s->snapshot));
    if (!s->snapshot)
        hosted_fail("out of memory for a ring of %zu", size);
    return true;
}

static void split_finish(struct ring_device *ring)
{
    free(ring->split.snapshot);
}

/* ---- taking ---- */

/* 2.7.5.3.1: what holds for one entry of an indirect table. False: it cannot be used. */
static bool check_entry(struct ring_device *ring, const struct ring_chain *chain,
                        const struct wire_desc *d, unsigned index)
{
    if (d->flags & DESC_INDIRECT) {
        violation("SPLIT-IND-2", "%s: chain %u: an indirect table inside another",
                  ring->params.name, chain->head);
        return false;
    }
    if (ring->params.in_order && (d->flags & DESC_NEXT) && d->next != index + 1)
        violation("SPLIT-IND-5", "%s: chain %u: entry %u of the table is followed by %u",
                  ring->params.name, chain->head, index, d->next);
    return true;
}

/* 2.7.5.3.1: the table that one descriptor points at. */
static bool walk_indirect(struct ring_device *ring, struct ring_chain *chain,
                          const struct wire_desc *outer)
{
    const char *name = ring->params.name;
    unsigned entries = outer->len / 16, index = 0;
    struct wire_desc *table = hosted_dma_device_pointer(outer->addr, outer->len, false);

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
        if (!check_entry(ring, chain, &d, index) ||
            !ring_chain_add(ring, chain, d.addr, d.len, d.flags & DESC_WRITE))
            return false;
        if (ring->poison)
            memset(&table[index], RING_POISON, sizeof(d));
        if (!(d.flags & DESC_NEXT))
            return true;
        index = d.next;
        if (index >= entries)
            break;
    }
    violation("SPLIT-DESC-1", "%s: chain %u: the indirect table does not end", name, chain->head);
    return false;
}

/* 2.7.5.2: with IN_ORDER the driver goes through the table from its start, again and again. */
static void check_order(struct ring_device *ring, const struct ring_chain *chain, unsigned index)
{
    if (!ring->params.in_order)
        return;
    if (index != ring->split.next_descriptor)
        violation("SPLIT-DESC-2", "%s: chain %u: descriptor %u where %u is next in order",
                  ring->params.name, chain->head, index, ring->split.next_descriptor);
    ring->split.next_descriptor = (uint16_t)((index + 1) % ring->params.size);
}

/* Follows a chain from its head through the descriptor table, marking what it takes. */
static bool walk(struct ring_device *ring, struct ring_chain *chain)
{
    const char *name = ring->params.name;
    struct ring_split *s = &ring->split;
    unsigned index = chain->head;

    for (unsigned steps = 0; steps < ring->params.size; steps++) {
        if (ring->owner[index] != RING_FREE) {
            violation(ring->owner[index] == chain->head ? "SPLIT-DESC-1" : "CLEAN-1",
                      "%s: chain %u uses descriptor %u, which chain %u still has", name,
                      chain->head, index, ring->owner[index]);
            return false;
        }
        check_order(ring, chain, index);
        ring->owner[index] = chain->head;
        chain->descriptors++;
        struct wire_desc d = s->snapshot[index] = s->desc[index];
        if (ring->poison)
            memset(&s->desc[index], RING_POISON, sizeof(d));
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
    uint16_t flags = ring_load16(&ring->split.avail[FLAGS]);

    if (ring->params.event_idx && flags)
        violation("SPLIT-INTR-3", "%s: avail flags %#x with EVENT_IDX", ring->params.name, flags);
    else if (flags > 1)
        violation("SPLIT-INTR-1", "%s: avail flags %#x", ring->params.name, flags);
}

static uint16_t split_pending(const struct ring_device *ring)
{
    return (uint16_t)(ring_load16(&ring->split.avail[IDX]) - ring->split.avail_idx);
}

static struct ring_chain *split_pop(struct ring_device *ring)
{
    const char *name = ring->params.name;
    struct ring_split *s = &ring->split;
    uint16_t pending = split_pending(ring), *entry;

    check_avail_flags(ring);
    if (!pending)
        return NULL;
    if (pending + ring->in_flight > ring->params.size) {
        violation("SPLIT-AVAIL-1", "%s: avail idx %u, device at %u with %u buffers in a ring of %u",
                  name, ring_load16(&s->avail[IDX]), s->avail_idx, ring->in_flight,
                  ring->params.size);
        return NULL;
    }
    entry = &s->avail[RING + s->avail_idx % ring->params.size];
    uint16_t head = *entry;
    s->avail_idx++;
    if (head >= ring->params.size || ring->chain[head].live) {
        violation("SPLIT-T-SLOT-1", "%s: head %u is out of range or exposed already", name, head);
        return NULL;
    }
    if (ring->poison)
        memset(entry, RING_POISON, sizeof(*entry));
    struct ring_chain *chain = ring_chain_start(ring, head);
    return walk(ring, chain) ? chain : NULL;
}

static void split_unpop(struct ring_device *ring, struct ring_chain *chain)
{
    ring->split.avail_idx--;
    ring->split.next_descriptor = chain->head;
}

/* ---- returning ---- */

/*
 * CLEAN-1: what was exposed must still be as it was when the device took it. Gives the descriptors
 * back.
 */
static void split_release(struct ring_device *ring, const struct ring_chain *chain)
{
    struct ring_split *s = &ring->split;
    unsigned index = chain->head;

    for (unsigned i = 0; i < chain->descriptors; i++) {
        const struct wire_desc *was = &s->snapshot[index];
        if (!ring->poison && memcmp(was, &s->desc[index], sizeof(*was)) != 0)
            violation("CLEAN-1", "%s: descriptor %u changed while the device had it",
                      ring->params.name, index);
        ring->owner[index] = RING_FREE;
        index = was->next;
    }
}

/* 2.7.8, 2.7.9: one element, at the place of the first buffer that it is for. */
static void split_use(struct ring_device *ring, uint32_t id, uint32_t len, unsigned buffers,
                      unsigned descriptors)
{
    struct ring_split *s = &ring->split;
    uint32_t element[2] = {id, len};

    (void)descriptors;
    memcpy(&s->used[RING + 4 * (s->used_idx % ring->params.size)], element, sizeof(element));
    for (unsigned i = 1; ring->poison && i < buffers; i++)
        memset(&s->used[RING + 4 * ((s->used_idx + i) % ring->params.size)], RING_POISON,
               sizeof(element));
    s->used_idx = (uint16_t)(s->used_idx + buffers);
    ring_store16(&s->used[IDX], s->used_idx);
}

static void split_skip_used(struct ring_device *ring, uint16_t count)
{
    ring->split.used_idx = (uint16_t)(ring->split.used_idx + count);
    ring_store16(&ring->split.used[IDX], ring->split.used_idx);
}

/* ---- notifications ---- */

static bool split_signal(struct ring_device *ring, bool *wanted)
{
    struct ring_split *s = &ring->split;
    uint16_t old = s->signalled_idx, new = s->used_idx;

    if (old == new)
        return false;
    s->signalled_idx = new;
    /*
     * Pairs with the driver's fence in enable_cb: used idx is out before the suppression field is
     * read.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    check_avail_flags(ring);
    if (ring->params.event_idx)
        *wanted = (uint16_t)(new - ring_load16(used_event(ring)) - 1) < (uint16_t)(new - old);
    else
        *wanted = !(ring_load16(&s->avail[FLAGS]) & AVAIL_NO_INTERRUPT);
    return true;
}

static void split_set_avail_event(struct ring_device *ring, uint16_t event)
{
    ring_store16(avail_event(ring), event);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void split_want_notify(struct ring_device *ring, bool wanted)
{
    if (ring->params.event_idx) {
        split_set_avail_event(ring, (uint16_t)(ring->split.avail_idx - !wanted));
        return;
    }
    ring_store16(&ring->split.used[FLAGS], wanted ? 0 : USED_NO_NOTIFY);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool split_notified(struct ring_device *ring)
{
    struct ring_split *s = &ring->split;
    uint16_t old = s->notified_idx, new = ring_load16(&s->avail[IDX]);
    uint64_t total = ring->count.popped + split_pending(ring);
    bool full_turn = total - s->notified_total > UINT16_MAX;
    bool wanted;

    s->notified_idx = new;
    s->notified_total = total;
    if (ring->params.event_idx)
        wanted = full_turn ||
                 (uint16_t)(new - ring_load16(avail_event(ring)) - 1) < (uint16_t)(new - old);
    else
        wanted = !(ring_load16(&s->used[FLAGS]) & USED_NO_NOTIFY);
    if (!wanted)
        violation(ring->params.event_idx ? "SPLIT-KICK-7" : "SPLIT-KICK-3",
                  "%s: a notification that the device had asked not to get", ring->params.name);
    return wanted;
}

/* 2.9: the available index, whose bit 15 is called a wrap counter here. */
static uint16_t split_notification_data(const struct ring_device *ring)
{
    return ring_load16(&ring->split.avail[IDX]);
}

const struct ring_layout ring_split_layout = {
    .rules = {.order = "SPLIT-FRAME-1", .total = "SPLIT-DESC-1", .too_long = "SPLIT-IND-3"},
    .init = split_init,
    .finish = split_finish,
    .pending = split_pending,
    .pop = split_pop,
    .unpop = split_unpop,
    .release = split_release,
    .use = split_use,
    .skip_used = split_skip_used,
    .signal = split_signal,
    .want_notify = split_want_notify,
    .set_avail_event = split_set_avail_event,
    .notified = split_notified,
    .notification_data = split_notification_data,
};
