/*
 * traffic.c - random traffic over a rig; see traffic.h.
 *
 * Each buffer carries a number. The driver fills what the device reads with bytes that follow from
 * it, and what the device writes with others; the device checks the former, puts a third kind into
 * a part of the latter, and the driver checks all of it when the buffer comes back. Buffers must
 * reach the device in the order of their adding and come back in the order of their return, each
 * once. A side that said it would sleep must be notified of the next thing that happens. Where the
 * queue is reset on the way, what the device had must come back to the driver, each buffer once.
 */
#include "tests/torture/traffic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hosted/violation.h"
#include "tests/torture/rig.h"

#define MOST_A_TURN 4096u /* adds, or returns */
#define ROW 8u            /* buffers that are added or taken back in one call */
#define PATIENCE 10000u   /* turns in which nothing comes back, before it is lost for sure */
/* Resets happen in one of so many turns, during the first part of so many. Then the indices are left
 * to wrap. */
#define RESET_TURNS 16u
#define RESET_PART 8u

/* A buffer as the driver added it. */
struct sent {
    uint64_t number;
    unsigned out, in;
    uint32_t len[RIG_PIECES];
    uint32_t writable;
    uint32_t answered; /* bytes that the device wrote */
    bool out_there;
};

struct traffic {
    const struct traffic_setup *setup;
    struct traffic_counts *counts;
    struct rig rig;
    uint64_t random;
    unsigned *home, homes;    /* slots that are not with the device */
    struct sent *sent;        /* [size], by slot */
    unsigned *fifo;           /* [size]: slots in the order of their adding */
    uint64_t added, taken;    /* all that ever were */
    struct ring_chain **held; /* what the device has: held[first..end) of [2 * size] */
    unsigned first, end;
    struct sent **back; /* [size]: what comes back next, in this order */
    uint64_t pushed, got;
    bool device_sleeps; /* it asked to be notified of the next buffer */
    bool driver_sleeps; /* so did the driver */
    bool driver_polls;  /* it asked not to be */
    bool unkicked;      /* buffers were added since the last kick */
    /* By resets, were lost: buffers in all; of these not taken by the device; returned in vain. */
    uint64_t lost, lost_untaken, lost_returned;
    bool reset_done; /* the last one was */
    uint64_t fresh;  /* ring entries used for what was added since the last reset */
};

static uint32_t below(struct traffic *t, uint32_t limit)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return (uint32_t)((t->random >> 32) * limit >> 32);
}

static bool coin(struct traffic *t)
{
    return below(t, 2);
}

/* ---- bytes ---- */

enum filling { QUESTION, BLANK, ANSWER };

static void pattern(uint64_t *words, uint64_t number, unsigned piece, enum filling what)
{
    uint64_t word = (number * 16 + piece * 4 + what + 1) * UINT64_C(0x9e3779b97f4a7c15);

    for (unsigned i = 0; i < RIG_BUFFER_SIZE / 8; i++)
        words[i] = word + i * UINT64_C(0x0101010101010101);
}

static void fill(uint8_t *data, uint32_t len, uint64_t number, unsigned piece, enum filling what)
{
    uint64_t words[RIG_BUFFER_SIZE / 8];

    pattern(words, number, piece, what);
    memcpy(data, words, len);
}

/* Of `len` bytes, are the first `first` of one kind and the others of another? */
static void check_bytes(const uint8_t *data, uint32_t len, uint32_t first, uint64_t number,
                        unsigned piece, enum filling one, enum filling other)
{
    uint64_t words[RIG_BUFFER_SIZE / 8];

    pattern(words, number, piece, one);
    if (memcmp(data, words, first) != 0)
        hosted_fail("buffer %llu, piece %u: wrong bytes", (unsigned long long)number, piece);
    if (first == len)
        return;
    pattern(words, number, piece, other);
    if (memcmp(data + first, (uint8_t *)words + first, len - first) != 0)
        hosted_fail("buffer %llu, piece %u: wrong bytes behind %u", (unsigned long long)number,
                    piece, first);
}

/* ---- the driver gives ---- */

/* Fills the buffer of a slot, and lists its pieces. */
static struct sent *prepare(struct traffic *t, unsigned slot, uint64_t number, unsigned out,
                            unsigned in, struct virtqueue_sg *sg)
{
    struct sent *s = &t->sent[slot];

    *s = (struct sent){.number = number, .out = out, .in = in, .out_there = true};
    for (unsigned i = 0; i < out + in; i++) {
        s->len[i] = below(t, RIG_BUFFER_SIZE) + 1;
        s->writable += i < s->out ? 0 : s->len[i];
        sg[i] = (struct virtqueue_sg){rig_buffer(&t->rig, slot, i), s->len[i]};
        fill(sg[i].data, s->len[i], s->number, i, i < s->out ? QUESTION : BLANK);
    }
    return s;
}

static bool add_one(struct traffic *t)
{
    struct virtqueue_sg sg[RIG_PIECES];
    uint16_t size = virtqueue_size(t->rig.vq);
    unsigned most = size < RIG_PIECES ? size : RIG_PIECES;
    uint64_t tables = virtqueue_stats(t->rig.vq)->indirect;
    unsigned slot = t->home[t->homes - 1], count = below(t, most) + 1;
    unsigned out = below(t, count + 1);
    struct sent *s = prepare(t, slot, t->added, out, count - out, sg);
    unsigned room = virtqueue_free(t->rig.vq);
    int error = virtqueue_add(t->rig.vq, sg, s->out, s->in, s);
    if (error) {
        /* An indirect table takes one entry, and a list goes directly only where there is room. */
        RIG_CHECK(error == -ENOSPC && room < count);
        RIG_CHECK(!(t->setup->kind & RIG_INDIRECT) || room == 0);
        return false;
    }
    /* A split ring counts buffers, a packed one entries. */
    bool table = virtqueue_stats(t->rig.vq)->indirect != tables;
    t->fresh += t->setup->kind & RIG_PACKED && !table ? count : 1;
    t->homes--;
    t->fifo[t->added++ % t->setup->size] = slot;
    return true;
}

/* Buffers of one piece each, in one call. */
static bool add_row(struct traffic *t)
{
    struct virtqueue_sg sg[ROW];
    void *token[ROW];
    unsigned room = virtqueue_free(t->rig.vq), count = below(t, ROW) + 1;
    bool in = coin(t);

    if (count > t->homes)
        count = t->homes;
    for (unsigned i = 0; i < count; i++)
        token[i] = prepare(t, t->home[t->homes - 1 - i], t->added + i, !in, in, &sg[i]);
    int taken = virtqueue_add_row(t->rig.vq, sg, token, count, in);
    RIG_CHECK(taken == (room == 0 ? -ENOSPC : (int)(room < count ? room : count)));
    for (int i = 0; i < taken; i++)
        t->fifo[t->added++ % t->setup->size] = t->home[--t->homes];
    t->fresh += taken > 0 ? (unsigned)taken : 0;
    t->unkicked |= taken > 0;
    return taken == (int)count;
}

/* 2.9: the data of a notification, from what was added and not from what the rings say. */
static uint16_t notification_data(const struct traffic *t)
{
    uint16_t size = virtqueue_size(t->rig.vq);

    if (!(t->setup->kind & RIG_PACKED))
        return (uint16_t)t->fresh;
    return (uint16_t)(t->fresh % size | (t->fresh / size % 2 ? 0 : 0x8000));
}

static void give(struct traffic *t)
{
    unsigned most = t->setup->size < MOST_A_TURN ? t->setup->size : MOST_A_TURN;
    unsigned kicks = t->rig.kicks;

    for (unsigned n = below(t, most + 1) + 1;
         n && t->homes && (below(t, ROW) ? add_one(t) : add_row(t)); n--)
        t->unkicked = true;
    if (!below(t, 8))
        return; /* notified later, for more */
    virtqueue_kick(t->rig.vq);
    if (t->device_sleeps && t->added != t->taken)
        RIG_CHECK(t->rig.kicks == kicks + 1);
    if (!t->unkicked)
        RIG_CHECK(t->rig.kicks == kicks);
    if (t->setup->kind & RIG_NOTIFICATION_DATA && t->rig.kicks != kicks)
        RIG_CHECK(t->rig.data == notification_data(t));
    t->device_sleeps &= t->added == t->taken;
    t->unkicked = false;
}

/* ---- the device takes and returns ---- */

static void check_taken(struct traffic *t, const struct ring_chain *chain)
{
    unsigned slot = t->fifo[t->taken++ % t->setup->size];
    const struct sent *s = &t->sent[slot];

    RIG_CHECK(chain->out == s->out && chain->in == s->in && chain->writable == s->writable);
    for (unsigned i = 0; i < s->out + s->in; i++) {
        RIG_CHECK(chain->piece[i].data == rig_buffer(&t->rig, slot, i));
        RIG_CHECK(chain->piece[i].len == s->len[i]);
        if (i < s->out)
            check_bytes(chain->piece[i].data, s->len[i], s->len[i], s->number, i, QUESTION, BLANK);
    }
}

/* Writes the first `len` writable bytes. */
static void answer(struct traffic *t, struct ring_chain *chain, uint32_t len)
{
    struct sent *s = &t->sent[rig_slot(&t->rig, chain->piece[0].data)];
    uint8_t bytes[RIG_PIECES * RIG_BUFFER_SIZE];
    uint32_t at = 0;

    for (unsigned i = s->out; i < s->out + s->in; at += s->len[i++])
        fill(bytes + at, s->len[i], s->number, i, ANSWER);
    RIG_CHECK(ring_chain_write(chain, 0, bytes, len) == len);
    s->answered = len;
    t->back[t->pushed++ % t->setup->size] = s;
}

static uint32_t some_of(struct traffic *t, uint32_t writable)
{
    return coin(t) ? writable : below(t, writable + 1);
}

static void return_batch(struct traffic *t, unsigned count)
{
    uint32_t len = 0;

    for (unsigned i = 0; i < count; i++) {
        struct ring_chain *chain = ring_device_held(&t->rig.ring, i);
        RIG_CHECK(chain == t->held[t->first++]);
        /* Nothing is said of the others, so they have to be used completely. */
        len = i + 1 < count ? chain->writable : some_of(t, chain->writable);
        answer(t, chain, len);
    }
    t->counts->batched += count > 1;
    ring_device_push_batch(&t->rig.ring, count, len);
}

static void return_any(struct traffic *t, bool oldest)
{
    unsigned pick = t->first + (oldest ? 0 : below(t, t->end - t->first));
    struct ring_chain *chain = t->held[pick];
    uint32_t len = some_of(t, chain->writable);

    t->held[pick] = t->held[t->first++];
    answer(t, chain, len);
    ring_device_push(&t->rig.ring, chain, len);
}

static void return_some(struct traffic *t)
{
    bool in_order = t->setup->kind & RIG_IN_ORDER, oldest = in_order || coin(t);
    unsigned limit = t->end - t->first < MOST_A_TURN ? t->end - t->first : MOST_A_TURN;

    t->rig.ring.no_write_flag = coin(t);
    for (unsigned left = below(t, limit + 1); left;) {
        unsigned batch = in_order && coin(t) ? below(t, left) + 1 : 1;
        if (batch > 1)
            return_batch(t, batch);
        else
            return_any(t, oldest);
        left -= batch;
    }
}

static void work(struct traffic *t)
{
    struct ring_device *ring = &t->rig.ring;
    struct ring_chain *chain;
    bool all = below(t, 4);
    uint64_t before = t->pushed;

    memmove(t->held, t->held + t->first, (t->end - t->first) * sizeof(struct ring_chain *));
    t->end -= t->first;
    t->first = 0;
    ring_device_want_notify(ring, false);
    for (unsigned n = all ? t->setup->size : below(t, t->setup->size);
         n && (chain = ring_device_pop(ring)); n--) {
        check_taken(t, chain);
        t->held[t->end++] = chain;
    }
    t->device_sleeps = coin(t);
    ring_device_want_notify(ring, t->device_sleeps);
    t->device_sleeps &= t->taken == t->added;
    return_some(t);
    bool signalled = ring_device_signal(ring);
    RIG_CHECK(!signalled || t->pushed != before);
    if (t->driver_sleeps && t->pushed != before)
        RIG_CHECK(signalled);
    if (t->driver_polls && !(t->setup->kind & RIG_EVENT_IDX))
        RIG_CHECK(!signalled);
    if (signalled)
        virtqueue_interrupt(t->rig.vq);
    t->counts->interrupts += signalled;
    t->driver_sleeps &= t->pushed == before;
}

/* ---- the driver takes back ---- */

static void check_back(struct traffic *t, struct sent *s, uint32_t len)
{
    unsigned slot = (unsigned)(s - t->sent);
    uint32_t left = s->answered;

    RIG_CHECK(t->got < t->pushed && s == t->back[t->got++ % t->setup->size]);
    RIG_CHECK(s->out_there && len == s->answered);
    s->out_there = false;
    for (unsigned i = 0; i < s->out + s->in; i++) {
        uint32_t first = left < s->len[i] ? left : s->len[i];
        bool written = i >= s->out;
        check_bytes(rig_buffer(&t->rig, slot, i), s->len[i], written ? first : s->len[i], s->number,
                    i, written ? ANSWER : QUESTION, BLANK);
        left -= written ? first : 0;
    }
    t->home[t->homes++] = slot;
}

static void take_back(struct traffic *t)
{
    unsigned most = t->setup->size < MOST_A_TURN ? t->setup->size : MOST_A_TURN;
    bool all = coin(t);
    void *token[ROW];
    uint32_t len[ROW];
    unsigned got;

    if (!t->driver_sleeps && coin(t)) {
        virtqueue_disable_cb(t->rig.vq);
        t->driver_polls = true;
    }
    for (unsigned n = all ? t->setup->size : below(t, most + 1), row; n > 0; n -= got) {
        row = below(t, n < ROW ? n : ROW) + 1;
        got = virtqueue_get_row(t->rig.vq, token, len, row);
        RIG_CHECK(got <= row);
        for (unsigned i = 0; i < got; i++)
            check_back(t, token[i], len[i]);
        if (got < row)
            break;
    }
    if (all)
        RIG_CHECK(t->got == t->pushed);
    if (coin(t)) {
        t->driver_sleeps = virtqueue_enable_cb(t->rig.vq);
        t->driver_polls = false;
        RIG_CHECK(t->driver_sleeps == (t->got == t->pushed));
    }
    RIG_CHECK(virtqueue_in_flight(t->rig.vq) == t->setup->size - t->homes);
    RIG_CHECK(virtqueue_in_flight(t->rig.vq) == t->added - t->got - t->lost);
}

/* ---- the queue is reset ---- */

static void take_lost_back(struct traffic *t)
{
    uint64_t out = t->added - t->got - t->lost;
    struct sent *s;

    for (; (s = virtqueue_detach_unused(t->rig.vq)); out--) {
        RIG_CHECK(out && s->out_there);
        s->out_there = false;
        t->home[t->homes++] = (unsigned)(s - t->sent);
        t->lost++;
    }
    RIG_CHECK(out == 0 && t->homes == t->setup->size);
}

/* Often the size of before, else any up to that of the start. */
static uint16_t another_size(struct traffic *t)
{
    unsigned size = below(t, t->setup->size) + 1, power = 1;

    if (coin(t))
        return virtqueue_size(t->rig.vq);
    while (power * 2 <= size)
        power *= 2;
    return (uint16_t)(t->setup->kind & RIG_PACKED ? size : power);
}

/* 2.6.1, as virtio_reset_queue() and virtio_enable_queue() do it. */
static void reset_queue(struct traffic *t)
{
    struct ring_counters count = t->rig.ring.count;
    uint16_t size = another_size(t);

    virtqueue_stop(t->rig.vq);
    RIG_CHECK(ring_device_is_mapped(&t->rig.ring));
    t->lost_untaken += t->added - t->taken;
    t->lost_returned += t->pushed - t->got;
    take_lost_back(t);
    t->taken = t->added;
    t->pushed = t->got;
    if (size != virtqueue_size(t->rig.vq)) {
        RIG_CHECK(virtqueue_resize(t->rig.vq, size) == 0);
        t->counts->resizes++;
    }
    virtqueue_reinit(t->rig.vq);
    rig_attach(&t->rig);
    t->rig.ring.count = count;
    t->rig.ring.poison = t->setup->poison;
    t->first = t->end = 0;
    t->fresh = 0;
    t->device_sleeps = t->driver_sleeps = t->unkicked = false;
    t->driver_polls = true;
    t->counts->resets++;
}

static bool is_due(struct traffic *t)
{
    if (!(t->setup->kind & RIG_RING_RESET))
        return false;
    if (t->got < t->setup->transfers / RESET_PART)
        return !below(t, RESET_TURNS);
    /* Once more at the end of that part, for a ring that is through with it in a few turns. */
    return !t->reset_done;
}

/* ---- all of it ---- */

static void *table(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (!memory)
        hosted_fail("out of memory for %zu entries", count);
    return memory;
}

static void open_traffic(struct traffic *t)
{
    unsigned size = t->setup->size;

    rig_open(&t->rig, t->setup->size, t->setup->kind);
    t->rig.ring.poison = t->setup->poison;
    t->home = table(size, sizeof(*t->home));
    t->sent = table(size, sizeof(*t->sent));
    t->fifo = table(size, sizeof(*t->fifo));
    t->held = table((size_t)size * 2, sizeof(struct ring_chain *));
    t->back = table(size, sizeof(struct sent *));
    for (unsigned i = 0; i < size; i++)
        t->home[t->homes++] = i;
}

static void close_traffic(struct traffic *t)
{
    const struct virtqueue_stats *stats = virtqueue_stats(t->rig.vq);

    RIG_CHECK(!virtqueue_is_broken(t->rig.vq) && stats->bad == 0);
    RIG_CHECK(stats->used == t->got && stats->added == t->added);
    RIG_CHECK(stats->notifications == t->rig.ring.count.notified);
    RIG_CHECK(t->rig.ring.count.popped + t->lost_untaken == t->taken);
    RIG_CHECK(t->rig.ring.count.pushed == t->pushed + t->lost_returned);
    if (violation_count(NULL))
        hosted_fail("%u violations:\n%s", violation_count(NULL), violation_text());
    t->counts->indirect += stats->indirect;
    t->counts->notifications += stats->notifications;
    t->counts->suppressed += stats->suppressed;
    rig_close(&t->rig);
    free(t->home);
    free(t->sent);
    free(t->fifo);
    free(t->held);
    free(t->back);
}

void traffic_run(const struct traffic_setup *setup, struct traffic_counts *counts)
{
    struct traffic t = {.setup = setup,
                        .counts = counts,
                        .random = setup->seed * UINT64_C(0x9e3779b97f4a7c15) | 1,
                        .driver_polls = true};

    open_traffic(&t);
    for (unsigned idle = 0; t.got < setup->transfers; idle++) {
        uint64_t before = t.got;
        give(&t);
        work(&t);
        take_back(&t);
        if (is_due(&t)) {
            t.reset_done = t.got >= setup->transfers / RESET_PART;
            reset_queue(&t);
        }
        if (t.got != before)
            idle = 0;
        RIG_CHECK(idle < PATIENCE);
    }
    close_traffic(&t);
}
