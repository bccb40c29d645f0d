/*
 * ring_packed.c - the device's side of a packed ring (2.8): one ring of descriptors, indirect
 * tables, and two event suppression structures.
 *
 * Owns every access of the model to such a ring. It counts places from the start of the ring's life
 * instead of keeping an index and a wrap counter, so that it shares no arithmetic with the driver.
 * What the driver must or must not do is checked here and reported by requirement id. Read
 * ring_layout.h and the remark at struct ring_packed first.
 */
#include <stdlib.h>
#include <string.h>

#include "hosted/hosted.h"
#include "hosted/ring_layout.h"
#include "hosted/violation.h"

#define WRAP_BITS (DESC_AVAIL | DESC_USED)

static unsigned entry_at(const struct ring_device *ring, uint64_t place)
{
    return (unsigned)(place % ring->params.size);
}

/* 2.8.1: 1 in the first lap, then alternating. */
static bool wrap_at(const struct ring_device *ring, uint64_t place)
{
    return !(place / ring->params.size & 1);
}

/* What AVAIL and USED are in a descriptor that is available at this place. */
static uint16_t available_bits(const struct ring_device *ring, uint64_t place)
{
    return wrap_at(ring, place) ? DESC_AVAIL : DESC_USED;
}

static uint16_t off_wrap(const struct ring_device *ring, uint64_t place)
{
    return (uint16_t)(entry_at(ring, place) | (unsigned)wrap_at(ring, place) << 15);
}

static struct wire_events load_events(const uint32_t *at)
{
    uint32_t both = __atomic_load_n(at, __ATOMIC_RELAXED);

    return (struct wire_events){.off_wrap = (uint16_t)both, .flags = (uint16_t)(both >> 16)};
}

static void store_device_events(struct ring_device *ring, uint16_t where, uint16_t flags)
{
    __atomic_store_n(ring->packed.device_events, where | (uint32_t)flags << 16, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool packed_init(struct ring_device *ring)
{
    const struct ring_params *params = &ring->params;
    struct ring_packed *p = &ring->packed;
    size_t size = params->size;

    if (params->descriptor % 16 || params->driver % 4 || params->device % 4)
        violation("PACKED-ALIGN-1", "%s: areas at %#llx %#llx %#llx", params->name,
                  (unsigned long long)params->descriptor, (unsigned long long)params->driver,
                  (unsigned long long)params->device);
    if (size > 32768)
        violation("PCI-COMMON-3", "%s: %zu entries", params->name, size);
    p->desc = hosted_dma_device_pointer(params->descriptor, 16 * size, true);
    p->driver_events = hosted_dma_device_pointer(params->driver, 4, false);
    p->device_events = hosted_dma_device_pointer(params->device, 4, true);
    if (!size || !p->desc || !p->driver_events || !p->device_events)
        return false;
    for (size_t i = 0; i < size; i++)
        if (p->desc[i].flags || p->desc[i].addr || p->desc[i].len || p->desc[i].id) {
            violation("PACKED-T-ZERO-1", "%s: descriptor %zu is not zero", params->name, i);
            break;
        }
    p->snapshot = calloc(size, sizeof(*p->snapshot));
    if (!p->snapshot)
        hosted_fail("out of memory for a ring of %zu", size);
    return true;
}

static void packed_finish(struct ring_device *ring)
{
    free(ring->packed.snapshot);
}

/* ---- taking ---- */

/* 2.8.10: what the driver asks for in its event suppression structure. */
static struct wire_events driver_events(const struct ring_device *ring)
{
    struct wire_events events = load_events(ring->packed.driver_events);

    if (events.flags > EVENTS_AT || (events.flags == EVENTS_AT && !ring->params.event_idx))
        violation("PACKED-T-EVENT-1", "%s: event flags %#x", ring->params.name, events.flags);
    if (events.flags == EVENTS_AT && (events.off_wrap & 0x7fff) >= ring->params.size)
        violation("PACKED-T-EVENT-1", "%s: an event at %#x of %u entries", ring->params.name,
                  events.off_wrap, ring->params.size);
    return events;
}

/*
 * Is the descriptor at this place available (2.8.1)? AVAIL as in this lap and USED, too, is a state
 * that only the device makes, and this one has not been here yet.
 */
static bool is_available(const struct ring_device *ring, uint64_t place, uint16_t flags)
{
    uint16_t bits = flags & WRAP_BITS;
    bool avail = flags & DESC_AVAIL, wrap = wrap_at(ring, place);

    if (avail == wrap && bits != available_bits(ring, place))
        violation("PACKED-T-WRAP-2", "%s: descriptor %u has flags %#x with a wrap counter of %d",
                  ring->params.name, entry_at(ring, place), flags, wrap);
    return bits == available_bits(ring, place);
}

/* How far the driver has come; `buffers` counts the lists from where the device is. */
static uint64_t driver_place(const struct ring_device *ring, unsigned *buffers)
{
    const struct ring_packed *p = &ring->packed;
    uint64_t place = p->avail;

    *buffers = 0;
    for (; place - p->used < ring->params.size; place++) {
        uint16_t flags = ring_load16(&p->desc[entry_at(ring, place)].flags);
        if ((flags & WRAP_BITS) != available_bits(ring, place))
            break;
        *buffers += !(flags & DESC_NEXT);
    }
    return place;
}

static uint16_t packed_pending(const struct ring_device *ring)
{
    unsigned buffers;

    driver_place(ring, &buffers);
    return (uint16_t)buffers;
}

/* 2.8.16, 2.8.17, 2.8.19: one descriptor of a list. False: the list cannot be used. */
static bool check_descriptor(const struct ring_device *ring, uint64_t place,
                             const struct wire_packed_desc *d)
{
    const char *name = ring->params.name;
    unsigned entry = entry_at(ring, place), nth = (unsigned)(place - ring->packed.avail);

    if (nth == ring->params.size) {
        violation("PACKED-SG-2", "%s: a list longer than the ring", name);
        return false;
    }
    if (place - ring->packed.used >= ring->params.size || ring->owner[entry] != RING_FREE) {
        violation("PACKED-SG-5", "%s: descriptor %u is made available while the device has it",
                  name, entry);
        return false;
    }
    if (nth && (d->flags & WRAP_BITS) != available_bits(ring, place)) {
        violation("PACKED-T-CHAIN-1", "%s: descriptor %u inside a list has flags %#x", name, entry,
                  d->flags);
        return false;
    }
    if (d->flags & ~(WRAP_BITS | DESC_NEXT | DESC_WRITE | DESC_INDIRECT))
        violation("PACKED-T-CHAIN-1", "%s: descriptor %u has flags %#x", name, entry, d->flags);
    if ((d->flags & DESC_INDIRECT) && (nth || (d->flags & DESC_NEXT))) {
        violation("PACKED-IND-4", "%s: descriptor %u: an indirect table in a list", name, entry);
        return false;
    }
    return true;
}

/* Copies the list at the device's place. Returns its length, 0 after a violation. */
static unsigned copy_list(struct ring_device *ring)
{
    struct ring_packed *p = &ring->packed;

    for (unsigned n = 0;; n++) {
        uint64_t place = p->avail + n;
        struct wire_packed_desc *at = &p->desc[entry_at(ring, place)], d = *at;
        if (!check_descriptor(ring, place, &d))
            return 0;
        p->snapshot[entry_at(ring, place)] = d;
        if (ring->poison) {
            /* Only the two bits that say whose it is have to stay. */
            memset(at, RING_POISON, offsetof(struct wire_packed_desc, flags));
            ring_store16(&at->flags, (uint16_t)(d.flags ^ ~WRAP_BITS));
        }
        if (!(d.flags & DESC_NEXT))
            return n + 1;
    }
}

/* 2.8.7, 2.8.19: a table as long as its descriptor says, in which only WRITE means anything. */
static bool walk_indirect(struct ring_device *ring, struct ring_chain *chain,
                          const struct wire_packed_desc *outer)
{
    const char *name = ring->params.name;
    unsigned entries = outer->len / 16;
    struct wire_packed_desc *table = hosted_dma_device_pointer(outer->addr, outer->len, false);

    if (!ring->params.indirect)
        violation("PACKED-IND-1", "%s: buffer %u is indirect", name, chain->head);
    if (outer->len == 0 || outer->len % 16 || entries > ring->params.size || !table) {
        violation("PACKED-IND-3", "%s: buffer %u: an indirect table of %u bytes at %#llx", name,
                  chain->head, outer->len, (unsigned long long)outer->addr);
        return false;
    }
    chain->indirect = true;
    for (unsigned i = 0; i < entries; i++) {
        struct wire_packed_desc d = table[i];
        if (d.flags & ~DESC_WRITE)
            violation("PACKED-IND-2", "%s: buffer %u: flags %#x in the indirect table", name,
                      chain->head, d.flags);
        if (!ring_chain_add(ring, chain, d.addr, d.len, d.flags & DESC_WRITE))
            return false;
        if (ring->poison)
            memset(&table[i], RING_POISON, sizeof(d));
    }
    return true;
}

static bool walk(struct ring_device *ring, struct ring_chain *chain)
{
    const struct ring_packed *p = &ring->packed;

    for (unsigned n = 0; n < chain->descriptors; n++) {
        const struct wire_packed_desc *d = &p->snapshot[entry_at(ring, p->avail + n)];
        if (d->flags & DESC_INDIRECT)
            return walk_indirect(ring, chain, d);
        if (!ring_chain_add(ring, chain, d->addr, d->len, d->flags & DESC_WRITE))
            return false;
    }
    return true;
}

static struct ring_chain *packed_pop(struct ring_device *ring)
{
    struct ring_packed *p = &ring->packed;
    uint16_t flags = ring_load16(&p->desc[entry_at(ring, p->avail)].flags);

    driver_events(ring);
    if (!is_available(ring, p->avail, flags))
        return NULL;
    unsigned count = copy_list(ring);
    if (!count)
        return NULL;
    /* 2.8.6: the id is in the last one. The model has room for ids below the ring's size. */
    uint16_t id = p->snapshot[entry_at(ring, p->avail + count - 1)].id;
    if (id >= ring->params.size || ring->chain[id].live) {
        violation("PACKED-T-CHAIN-1", "%s: buffer id %u is out of range or exposed already",
                  ring->params.name, id);
        return NULL;
    }
    struct ring_chain *chain = ring_chain_start(ring, id);
    chain->start = (uint16_t)entry_at(ring, p->avail);
    chain->descriptors = (uint16_t)count;
    if (!walk(ring, chain))
        return NULL;
    for (unsigned n = 0; n < count; n++)
        ring->owner[entry_at(ring, p->avail + n)] = id;
    p->avail += count;
    return chain;
}

static void packed_unpop(struct ring_device *ring, struct ring_chain *chain)
{
    ring->packed.avail -= chain->descriptors;
}

/* ---- returning ---- */

/* PACKED-DESC-1: the driver must have left it alone until now. From here on it is the driver's. */
static void give_back(struct ring_device *ring, unsigned entry)
{
    const struct ring_packed *p = &ring->packed;

    if (!ring->poison && ring->owner[entry] != RING_FREE &&
        memcmp(&p->snapshot[entry], &p->desc[entry], sizeof(*p->desc)) != 0)
        violation("PACKED-DESC-1", "%s: descriptor %u changed while the device had it",
                  ring->params.name, entry);
    ring->owner[entry] = RING_FREE;
}

/* Entries that the device has returned already, for other buffers, belong to others by now. */
static void packed_release(struct ring_device *ring, const struct ring_chain *chain)
{
    for (unsigned n = 0; n < chain->descriptors; n++) {
        unsigned entry = entry_at(ring, (uint64_t)chain->start + n);
        if (ring->owner[entry] == chain->head)
            give_back(ring, entry);
    }
}

/*
 * 2.8.3, 2.8.6: one used descriptor at the place of the first, over whatever is there; the device
 * skips as many as it took. Its flags beside AVAIL and USED are noise to the driver, but for WRITE,
 * without which the length is noise, too (2.8.4).
 */
static void packed_use(struct ring_device *ring, uint32_t id, uint32_t len, unsigned buffers,
                       unsigned descriptors)
{
    struct ring_packed *p = &ring->packed;
    struct wire_packed_desc *at = &p->desc[entry_at(ring, p->used)];
    uint16_t flags = wrap_at(ring, p->used) ? WRAP_BITS : 0;

    (void)buffers;
    for (unsigned n = 0; n < descriptors; n++)
        give_back(ring, entry_at(ring, p->used + n));
    if (ring->poison)
        flags |= DESC_NEXT | DESC_INDIRECT;
    if (len && !ring->no_write_flag)
        flags |= DESC_WRITE;
    at->id = (uint16_t)id;
    at->len = ring->poison && !len ? UINT32_MAX : len;
    ring_store16(&at->flags, flags);
    p->used += descriptors;
}

static void packed_skip_used(struct ring_device *ring, uint16_t count)
{
    ring->packed.used += count;
}

/* ---- notifications ---- */

/* Does the place with this offset and wrap counter lie in [old, new)? The same pair is two laps
 * on. */
static bool passed(const struct ring_device *ring, uint16_t where, uint64_t old, uint64_t new)
{
    uint64_t size = ring->params.size, lap = old / size;
    bool wrap = where >> 15;

    if (wrap_at(ring, old) != wrap)
        lap++;
    uint64_t place = lap * size + (where & 0x7fff);
    return (place < old ? place + 2 * size : place) < new;
}

static bool packed_signal(struct ring_device *ring, bool *wanted)
{
    struct ring_packed *p = &ring->packed;
    uint64_t old = p->signalled, new = p->used;

    if (old == new)
        return false;
    p->signalled = new;
    /*
     * Pairs with the driver's fence in enable_cb: the used descriptor is out before the event
     * suppression structure is read.
     */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    struct wire_events events = driver_events(ring);
    *wanted = events.flags == EVENTS_AT ? passed(ring, events.off_wrap, old, new)
                                        : events.flags == EVENTS_ON;
    return true;
}

static void packed_set_avail_event(struct ring_device *ring, uint16_t event)
{
    store_device_events(ring, event, EVENTS_AT);
}

/* Not wanted has two forms with EVENT_IDX: off, and an event just behind the driver. Both occur. */
static void packed_want_notify(struct ring_device *ring, bool wanted)
{
    struct ring_packed *p = &ring->packed;
    unsigned size = ring->params.size;

    if (ring->params.event_idx && wanted)
        packed_set_avail_event(ring, off_wrap(ring, p->avail));
    else if (ring->params.event_idx && p->avail % 2)
        packed_set_avail_event(ring, off_wrap(ring, p->avail + 2 * size - 1));
    else
        store_device_events(ring, 0x7fff, wanted ? EVENTS_ON : EVENTS_OFF);
}

static bool packed_notified(struct ring_device *ring)
{
    struct ring_packed *p = &ring->packed;
    struct wire_events events = load_events(p->device_events);
    unsigned buffers;
    uint64_t old = p->notified, new = driver_place(ring, &buffers);
    bool wanted = events.flags == EVENTS_ON;

    p->notified = new;
    /* A driver that went over every entry since then need not work out which lap was meant. */
    if (events.flags == EVENTS_AT)
        wanted = new - old >= ring->params.size || passed(ring, events.off_wrap, old, new);
    if (!wanted)
        violation("PACKED-T-EVENT-1", "%s: a notification that the device had asked not to get",
                  ring->params.name);
    return wanted;
}

static uint16_t packed_notification_data(const struct ring_device *ring)
{
    unsigned buffers;

    return off_wrap(ring, driver_place(ring, &buffers));
}

const struct ring_layout ring_packed_layout = {
    .rules = {.order = "PACKED-SG-3", .total = "PACKED-SG-1", .too_long = "PACKED-SG-1"},
    .init = packed_init,
    .finish = packed_finish,
    .pending = packed_pending,
    .pop = packed_pop,
    .unpop = packed_unpop,
    .release = packed_release,
    .use = packed_use,
    .skip_used = packed_skip_used,
    .signal = packed_signal,
    .want_notify = packed_want_notify,
    .set_avail_event = packed_set_avail_event,
    .notified = packed_notified,
    .notification_data = packed_notification_data,
};
