/*
 * ring_state.h - a virtqueue in any state that a run of the driver can bring it to, or more.
 *
 * Includes virtqueue.c and one layout: variants PACKED and IN_ORDER. What is_valid() says is
 * assumed before an operation and claimed after it; with the proof of the first state
 * (proof_ring_init.c) it holds for ever. The platform is here, too: it may refuse a mapping.
 */
#include "proof.h"

#include "virtio/virtqueue.c"
#ifdef PACKED
#include "virtio/virtqueue_packed.c"
#define RING_OPS virtqueue_packed_ops
#else
#include "virtio/virtqueue_split.c"
#define RING_OPS virtqueue_split_ops
#endif

#ifndef RING_SIZE
#define RING_SIZE 4
#endif
#define SEGMENTS 2

static char tokens[RING_SIZE]; /* that of id i is &tokens[i] */
static unsigned mapped, unmapped;

dma_addr_t hosted_dma_map(const void *memory, size_t len, enum dma_direction direction)
{
    dma_addr_t addr = any_u64();

    (void)direction;
    claim(memory && len > 0);
    mapped += addr != DMA_ADDR_INVALID;
    return addr;
}

void hosted_dma_unmap(dma_addr_t addr, size_t len, enum dma_direction direction)
{
    (void)addr;
    (void)len;
    (void)direction;
    unmapped++;
}

/* Follows a list of `count` entries and crosses them off. False: one of them was already. */
static bool cross_off(const struct virtqueue *vq, uint16_t from, unsigned count, bool *crossed)
{
    unsigned i;

    for (i = 0; i < RING_SIZE && i < count; i++) {
        if (from >= RING_SIZE || crossed[from])
            return false;
        crossed[from] = true;
        from = vq->slot[from].next;
    }
    return count <= RING_SIZE;
}

/* Every slot by itself, and the sums: no descriptor is lost. */
static bool slots_are_valid(const struct virtqueue *vq, unsigned *taken)
{
    unsigned i, count = 0;

    *taken = 0;
    for (i = 0; i < RING_SIZE; i++) {
        const struct virtqueue_slot *slot = &vq->slot[i];

        if (!slot->token)
            continue;
        if (slot->token != &tokens[i] || slot->pieces < 1 || slot->pieces > SEGMENTS ||
            (slot->descriptors != slot->pieces && !(vq->table && slot->descriptors == 1)))
            return false;
        count++;
        *taken += slot->descriptors;
    }
    return vq->in_flight == count && vq->free <= RING_SIZE && vq->free + *taken == RING_SIZE;
}

#ifdef IN_ORDER
/* The lists are a circle for ever, and what is in flight lies in a row from `oldest` to next_id. */
static bool lists_are_valid(const struct virtqueue *vq)
{
    uint16_t id = vq->oldest;
    bool last_seen = false;
    unsigned i;

    for (i = 0; i < RING_SIZE; i++)
        if (vq->slot[i].next != (i + 1) % RING_SIZE)
            return false;
    if (vq->oldest >= RING_SIZE)
        return false;
    for (i = 0; i < RING_SIZE && i < vq->in_flight; i++) {
        const struct virtqueue_slot *slot = &vq->slot[id];
#ifdef PACKED
        unsigned ids = 1;
#else
        unsigned ids = slot->descriptors;
#endif

        if (!slot->token)
            return false;
        last_seen |= id == vq->batch_last;
        id = (uint16_t)((id + ids) % RING_SIZE);
    }
    return id == vq->next_id && (!vq->batch || last_seen);
}
#else
/* Each entry is on the list of the free ones, or belongs to one buffer. */
static bool lists_are_valid(const struct virtqueue *vq)
{
    bool crossed[RING_SIZE] = {false};
    unsigned i;
#ifdef PACKED
    unsigned free_ids = RING_SIZE - vq->in_flight;
#else
    unsigned free_ids = vq->free;
#endif

    if (vq->batch || !cross_off(vq, vq->next_id, free_ids, crossed))
        return false;
    for (i = 0; i < RING_SIZE; i++) {
#ifdef PACKED
        unsigned ids = 1;
#else
        unsigned ids = vq->slot[i].descriptors;
#endif
        if (vq->slot[i].token && !cross_off(vq, (uint16_t)i, ids, crossed))
            return false;
    }
    return true;
}
#endif

static bool is_valid(const struct virtqueue *vq)
{
    unsigned taken;

    if (!slots_are_valid(vq, &taken))
        return false;
    /* Of a broken queue only the slots count: its buffers are taken back, then it is made anew. */
    if (vq->broken)
        return true;
    if (vq->batch && vq->batch_len > vq->slot[vq->batch_last % RING_SIZE].writable)
        return false;
#ifdef PACKED
    const struct virtqueue_packed *p = &vq->packed;

    /* Wrap counters: the place of the next buffer lies `taken` behind the next used one. */
    return lists_are_valid(vq) && p->next_used < RING_SIZE &&
           p->next_avail == (p->next_used + taken) % RING_SIZE &&
           (p->used_bits == 0 || p->used_bits == WRAP_BITS) &&
           (p->avail_bits == VIRTQ_DESC_F_AVAIL || p->avail_bits == VIRTQ_DESC_F_USED) &&
           avail_wrap(p) == (used_wrap(p) ^ (p->next_used + taken >= RING_SIZE));
#else
    const struct virtqueue_split *s = &vq->split;

    return lists_are_valid(vq) && (uint16_t)(s->avail_idx - s->used_idx) == vq->in_flight &&
           (uint16_t)(s->used_seen - s->used_idx) <= vq->in_flight;
#endif
}

static void notify(void *arg, struct virtqueue *vq)
{
    (void)arg;
    (void)vq;
}

/* A queue of which nothing is set but what never changes. */
static void make_queue(struct virtqueue *vq)
{
    struct virtqueue_params params = {
        .name = "proof",
        .size = RING_SIZE,
        .max_segments = SEGMENTS,
        .layout = {.event_idx = any_bool(), .indirect = any_bool(), .legacy = any_bool()},
        .loose_lengths = any_bool(),
        .notify = notify};

#ifdef PACKED
    params.layout.packed = true;
#endif
#ifdef IN_ORDER
    params.layout.in_order = true;
#endif
    vq->params = params;
    vq->ops = &RING_OPS;
    vq->memory_size = RING_OPS.memory_size(&params);
    vq->memory = malloc(vq->memory_size);
    vq->slot = malloc(RING_SIZE * sizeof(*vq->slot));
    vq->piece = malloc(RING_SIZE * SEGMENTS * sizeof(*vq->piece));
    vq->table =
        params.layout.indirect ? malloc(RING_SIZE * SEGMENTS * sizeof(struct virtq_desc)) : NULL;
}

/* A queue in any valid state. */
static void any_state(struct virtqueue *vq)
{
    unsigned i;

    make_queue(vq);
    RING_OPS.init(vq); /* places the areas; what the rest of it sets is made anything again */
    for (i = 0; i < RING_SIZE; i++) {
        vq->slot[i].token = any_bool() ? &tokens[i] : NULL;
        vq->slot[i].next = any_u16();
    }
    vq->next_id = any_u16();
    vq->free = any_u16();
    vq->in_flight = any_u16();
    vq->detached = 0;
    vq->broken = false;
    vq->batch = any_bool();
    vq->batch_last = any_u16();
    vq->batch_len = any_u32();
    vq->oldest = any_u16();
#ifdef PACKED
    vq->packed.next_avail = any_u16();
    vq->packed.avail_bits = any_u16();
    vq->packed.next_used = any_u16();
    vq->packed.used_bits = any_u16();
    vq->packed.unkicked = any_u32();
#else
    vq->split.avail_idx = any_u16();
    vq->split.used_idx = any_u16();
    vq->split.used_seen = any_u16();
    vq->split.unkicked = any_u32();
#endif
    assume(is_valid(vq));
}
