/*
 * threaded_device.h - a virtio device on a thread of its own, as on another CPU, for any driver:
 * what it does with a buffer is the test's.
 *
 * It stands where a transport does. Device and driver share nothing but the rings, the buffers and
 * two marks for "look here", so ThreadSanitizer sees every access that nothing orders. The thread
 * lives from DRIVER_OK to the reset. Memory is found by its address, not by the arena's books, which
 * are the driver's side's. Read test_virtqueue_threads.c for the same of a bare ring.
 */
#ifndef FERRULE_TESTS_THREADED_DEVICE_H
#define FERRULE_TESTS_THREADED_DEVICE_H

#include "support.h"

#include <pthread.h>

#include "virtio/virtio.h"

#define THREADED_QUEUES 2u
#define THREADED_PIECES 16u

struct threaded_chain {
    uint16_t id;
    unsigned descriptors; /* of the ring */
    unsigned out, pieces; /* those that the device reads come first */
    struct {
        uint8_t *data;
        uint32_t len;
    } piece[THREADED_PIECES];
};

struct threaded_queue {
    struct virtqueue *vq; /* NULL: not enabled */
    uint16_t size;
    void *desc, *driver, *device;
    uint32_t taken, put; /* buffers; of a packed ring, the places are below */
    uint16_t avail_at, used_at;
    bool avail_wrap, used_wrap;
};

struct threaded_device {
    struct virtio_device device; /* first */
    bool packed, event_idx;
    uint64_t features;
    unsigned queues;
    uint16_t queue_size;
    uint8_t config[64];
    /* On the device's thread: one round; true: something was done. */
    bool (*serve)(struct threaded_device *device);

    uint8_t status;
    struct threaded_queue queue[THREADED_QUEUES];
    pthread_t thread;
    bool running;
    int stop, kicked, notified; /* atomic */
    uint64_t sleeps;            /* of the device */
};

/* Brings the device up with this driver. False: it was refused. */
bool threaded_start(struct threaded_device *device, const struct virtio_driver *driver);
void threaded_end(struct threaded_device *device);

/* The device's thread: the next buffer; and one given back, which notifies if it is asked to. */
bool threaded_take(struct threaded_device *device, unsigned queue, struct threaded_chain *chain);
void threaded_put(struct threaded_device *device, unsigned queue,
                  const struct threaded_chain *chain, uint32_t len);

/* The driver's thread has nothing to do until it is notified: waits. False: nobody came. */
bool threaded_wait(struct threaded_device *device);

#endif
