/*
 * virtio_rng.c - the entropy device driver (5.4): one queue, one buffer, asked for at boot and
 * whenever the generator wants more.
 *
 * The device may give fewer bytes than asked, take its time, or never answer: nothing depends on
 * it. Bring-up waits for the first answer, and only where the CPU has no generator of its own, so
 * that keys made early are not guessable. Read random.c next for what becomes of the bytes.
 */
#include "rng/virtio_rng.h"

#include <errno.h>

#include "log.h"
#include "loop.h"
#include "rng/random.h"
#include "virtio/spec.h"

#define REQUEST_BYTES 64
/* What bring-up waits at most. */
#define FIRST_ANSWER_NS 100000000u
/* An answer with at least so many bytes makes the generator's state unknowable. */
#define SEED_BYTES 16

struct virtio_rng {
    struct virtio_device *device;
    struct virtqueue *vq;
    uint8_t *buffer;
    bool asked;
    uint64_t answers, empty_answers, bytes;
    struct loop_source source;
    struct virtio_rng *next;
};

static struct virtio_rng *first_rng;

/* Takes an answer, if there is one. */
static bool take_answer(struct virtio_rng *rng)
{
    uint32_t len;

    if (!virtqueue_get_buf(rng->vq, &len))
        return false;
    rng->asked = false;
    rng->answers++;
    rng->bytes += len;
    rng->empty_answers += len == 0;
    random_mix(rng->buffer, len);
    if (len >= SEED_BYTES)
        random_set_seeded();
    return true;
}

/* A program that never runs the event loop finds the last answer here. */
static void ask(struct virtio_rng *rng)
{
    struct virtqueue_sg sg = {rng->buffer, REQUEST_BYTES};

    take_answer(rng);
    if (rng->asked || !rng->device->driver_ok || virtqueue_add(rng->vq, &sg, 0, 1, rng) != 0)
        return;
    rng->asked = true;
    virtqueue_kick(rng->vq);
}

static void ask_all(void *arg)
{
    (void)arg;
    for (struct virtio_rng *rng = first_rng; rng; rng = rng->next)
        ask(rng);
}

static unsigned rng_poll(void *arg, unsigned budget)
{
    struct virtio_rng *rng = arg;
    unsigned done = 0;

    (void)budget;
    if (!rng->device->driver_ok)
        return 0;
    virtqueue_disable_cb(rng->vq);
    done = take_answer(rng);
    if (virtqueue_is_broken(rng->vq)) {
        virtio_recover(rng->device, "its queue is broken");
        done++;
    }
    return done;
}

static bool rng_arm(void *arg)
{
    struct virtio_rng *rng = arg;

    return !rng->asked || !rng->device->driver_ok || virtqueue_enable_cb(rng->vq);
}

/* ---- set-up ---- */

static void rng_free(struct virtio_rng *rng)
{
    if (rng->buffer)
        platform_dma_free(rng->buffer, REQUEST_BYTES);
    platform_dma_free(rng, sizeof(*rng));
}

static int rng_probe(struct virtio_device *device)
{
    /* The host's own source may be slow, or give so many bytes an hour. */
    static const struct virtio_queue_request queue = {.name = "rng requests",
                                                      .index = 0,
                                                      .max_size = 1,
                                                      .max_segments = 1,
                                                      .patience_s = VIRTIO_PATIENT};
    struct virtio_rng *rng = platform_dma_alloc(sizeof(*rng), 64);
    int error = -ENOMEM;

    if (!rng)
        return -ENOMEM;
    rng->device = device;
    rng->source =
        (struct loop_source){.name = "virtio-rng", .poll = rng_poll, .arm = rng_arm, .arg = rng};
    rng->buffer = platform_dma_alloc(REQUEST_BYTES, 64);
    if (rng->buffer)
        error = virtio_find_queues(device, &queue, 1);
    if (error) {
        rng_free(rng);
        return error;
    }
    rng->vq = device->queue[0];
    device->driver_data = rng;
    return 0;
}

static int rng_ready(struct virtio_device *device)
{
    struct virtio_rng *rng = device->driver_data;
    uint64_t end_ns = platform_now_ns() + FIRST_ANSWER_NS;

    ask(rng);
    if (device->recovering)
        return 0;
    rng->next = first_rng;
    first_rng = rng;
    random_set_source(ask_all, NULL);
    loop_add(&rng->source);
    while (!random_is_seeded() && !virtqueue_is_broken(rng->vq) && platform_now_ns() < end_ns) {
        if (take_answer(rng))
            break;
        platform_relax();
    }
    return 0;
}

static void rng_reclaim(struct virtio_device *device)
{
    struct virtio_rng *rng = device->driver_data;

    while (virtqueue_detach_unused(rng->vq) != NULL)
        continue;
    rng->asked = false;
}

static void rng_remove(struct virtio_device *device)
{
    struct virtio_rng **link = &first_rng;

    while (*link && *link != device->driver_data)
        link = &(*link)->next;
    if (*link)
        *link = (*link)->next;
    if (!first_rng)
        random_set_source(NULL, NULL);
    loop_remove(&((struct virtio_rng *)device->driver_data)->source);
    rng_free(device->driver_data);
    device->driver_data = NULL;
}

void virtio_rng_print_report(void)
{
    uint64_t value;

    log_info("random numbers: %s; the CPU has %s generator",
             random_is_seeded() ? "seeded" : "guessable, for want of a source",
             platform_cpu_random(&value) ? "a" : "no");
    for (const struct virtio_rng *rng = first_rng; rng; rng = rng->next)
        log_info("%s: entropy device: %llu bytes in %llu answers, %llu of them empty%s",
                 rng->device->name, (unsigned long long)rng->bytes,
                 (unsigned long long)rng->answers, (unsigned long long)rng->empty_answers,
                 rng->asked ? ", one awaited" : "");
}

static const uint16_t device_types[] = {VIRTIO_ID_ENTROPY, 0};

const struct virtio_driver virtio_rng_driver = {
    .name = "virtio-rng",
    .device_types = device_types,
    .probe = rng_probe,
    .ready = rng_ready,
    .reclaim = rng_reclaim,
    .remove = rng_remove,
};
