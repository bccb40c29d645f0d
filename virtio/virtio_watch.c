/*
 * virtio_watch.c - devices that stall: notices buffers that are under way for too long, and has their
 * device recovered.
 *
 * Owns the patience that is left with each queue; how much there is, a driver says when it asks for the
 * queue (struct virtio_queue_request). Time is counted in looks, a second apart at least and only
 * while something is under way: a machine that is paused ages by one look however long it was. Asks
 * devices whether they want a reset, which an interrupt should have said. Sleeps in the event loop
 * until a queue is notified. Read virtio.c first; what a network card's receive side says by its
 * silence is net/virtio_net_watch.c's.
 */
#include "log.h"
#include "loop.h"
#include "virtio/virtio_impl.h"

#define LOOK_NS UINT64_C(1000000000)
/* A device that wants a reset may have lost the interrupt that says so (2.1.2): it is asked when a
 * buffer is as late as this, ... */
#define ASK_AFTER_S 2u
/* ... and now and then, by the kernel in an idle machine, too. */
#define ASK_NS (UINT64_C(60) * 1000000000)
/* In a machine that never sleeps the clock is read in every so many turns only. */
#define TURNS 64u
/* Each reset for a stall doubles the patience for the next, up to this, until the device has worked
 * for a minute: it may be stopped on purpose, or wait for somebody else. */
#define MAX_FACTOR 64u
#define RECOVERED_S 60u

static struct loop_source source;
static bool looking; /* the next look is due at ... */
static uint64_t next_look_ns, next_ask_ns;
static bool asks_when_idle;
static bool slept; /* perhaps, since the clock was read */
static unsigned turns;

void virtio_watch_queue(struct virtio_device *device, unsigned i, uint16_t patience_s)
{
    device->watch[i] = (struct virtio_watch){.patience_s = patience_s};
    device->watched &= ~(1u << i);
    device->watched |= (patience_s ? 1u : 0u) << i;
    if (device->patience_factor == 0)
        device->patience_factor = 1;
}

/* Has it buffers, or had some since the last look? */
static bool is_in_use(const struct virtio_device *device, unsigned i)
{
    return virtqueue_in_flight(device->queue[i]) > 0 ||
           virtqueue_stats(device->queue[i])->added != device->watch[i].added;
}

static bool device_is_in_use(const struct virtio_device *device)
{
    uint32_t left;

    for (left = device->driver_ok ? device->watched : 0; left; left &= left - 1)
        if (is_in_use(device, (unsigned)__builtin_ctz(left)))
            return true;
    return false;
}

/* Sets a time for the first look once there is something to look at. */
static bool is_looking(void)
{
    const struct virtio_device *device = virtio_devices();

    while (!looking && device && !device_is_in_use(device))
        device = device->next;
    if (!looking && device) {
        looking = true;
        next_look_ns = platform_now_ns() + LOOK_NS;
    }
    return looking;
}

/* Looks at one queue. Returns for how long it has been waiting. */
static unsigned look_at_queue(struct virtio_device *device, unsigned i, bool *worked)
{
    const struct virtqueue_stats *stats = virtqueue_stats(device->queue[i]);
    struct virtio_watch *watch = &device->watch[i];
    bool used = stats->used != watch->used;

    if (used || virtqueue_in_flight(device->queue[i]) == 0)
        watch->late_s = 0;
    else if (watch->late_s < UINT16_MAX)
        watch->late_s++;
    watch->added = stats->added;
    watch->used = stats->used;
    *worked = *worked || used;
    return watch->late_s;
}

static bool is_out_of_patience(const struct virtio_device *device, unsigned i)
{
    unsigned patience_s = device->watch[i].patience_s;

    return patience_s != VIRTIO_PATIENT &&
           device->watch[i].late_s >= patience_s * device->patience_factor;
}

static void change_patience(struct virtio_device *device, bool stalled, bool worked)
{
    device->worked_s = stalled ? 0 : device->worked_s + worked;
    if (stalled && device->patience_factor < MAX_FACTOR)
        device->patience_factor *= 2;
    if (device->worked_s >= RECOVERED_S)
        device->patience_factor = 1;
}

static void forget_lateness(struct virtio_device *device)
{
    unsigned i;

    for (i = 0; i < device->queue_count; i++)
        device->watch[i].late_s = 0;
}

/*
 * The whole device is reset, also where one queue could be: it is likely to be all of it that stalls,
 * and QEMU 7.2 aborts when a queue whose frames wait for the far end is reset alone.
 */
static void end_stall(struct virtio_device *device, unsigned i)
{
    struct virtqueue *vq = device->queue[i];

    log_warn("%s: %s: no buffer was used for %u s, %u are under way", device->name,
             virtqueue_name(vq), device->watch[i].late_s, virtqueue_in_flight(vq));
    virtqueue_dump(vq);
    forget_lateness(device);
    virtio_recover(device, "it stalls");
}

static void look_at_device(struct virtio_device *device)
{
    bool able = !device->driver->attend || device->driver->attend(device), worked = false;
    unsigned latest_s = 0, stalled = VIRTIO_MAX_QUEUES;
    uint32_t left;

    for (left = device->watched; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctz(left), late_s = look_at_queue(device, i, &worked);

        if (late_s > latest_s)
            latest_s = late_s;
        if (able && is_out_of_patience(device, i))
            stalled = i;
    }
    if (!able)
        forget_lateness(device);
    else if (stalled < VIRTIO_MAX_QUEUES)
        end_stall(device, stalled);
    else if (latest_s >= ASK_AFTER_S)
        virtio_look(device);
    change_patience(device, stalled < VIRTIO_MAX_QUEUES, worked);
}

static void look(void)
{
    struct virtio_device *device;

    for (device = virtio_devices(); device; device = device->next)
        if (device_is_in_use(device))
            look_at_device(device);
    looking = false;
}

static void ask_all(uint64_t now)
{
    struct virtio_device *device;

    next_ask_ns = now + ASK_NS;
    for (device = virtio_devices(); device; device = device->next)
        virtio_look(device);
}

/* ---- the event loop ---- */

static unsigned watch_poll(void *arg, unsigned budget)
{
    uint64_t now;

    (void)arg;
    (void)budget;
    if (!slept && ++turns % TURNS)
        return 0;
    slept = false;
    now = platform_now_ns();
    if (now >= next_ask_ns)
        ask_all(now);
    if (!is_looking() || now < next_look_ns)
        return 0;
    look();
    return 1;
}

static bool watch_arm(void *arg)
{
    (void)arg;
    loop_sleep(&source);
    return true;
}

static uint64_t watch_deadline(void *arg)
{
    uint64_t idle_ns = asks_when_idle ? next_ask_ns : PLATFORM_NO_DEADLINE;

    (void)arg;
    slept = true;
    return is_looking() && next_look_ns < idle_ns ? next_look_ns : idle_ns;
}

static struct loop_source source = {.name = "virtio watch",
                                    .poll = watch_poll,
                                    .arm = watch_arm,
                                    .deadline = watch_deadline,
                                    .arm_finds_all = true};

void virtio_watch_start(void)
{
    looking = false;
    next_ask_ns = platform_now_ns() + ASK_NS;
    loop_add(&source);
}

void virtio_watch_begin(void)
{
    if (!looking)
        loop_wake(&source);
}

void virtio_watch_idle(bool on)
{
    asks_when_idle = on;
}
