/*
 * split.pml - the split ring of wakeups.pml: the driver as in virtio/virtqueue_split.c, and a device.
 *
 * Indices count modulo 4 here and modulo 2^16 there. Which buffer it is plays no part in waking up, so the ring entries are
 * left out.
 */
#define AVAIL_IDX RING
#define USED_IDX (RING + 1)
#define DRIVER_EVENT (RING + 2) /* avail->flags, or used_event */
#define DEVICE_EVENT (RING + 3) /* used->flags, or avail_event */

#define MASK 3
#define NO_INTERRUPT 1
#define NO_NOTIFY 1

byte memory[RING + 4];
byte avail_idx, used_idx, unkicked;                 /* the driver's own */
byte device_avail, device_used, unsignalled; /* the device's own */

inline driver_add()
{
    avail_idx = (avail_idx + 1) & MASK;
    unkicked = (unkicked > MASK -> unkicked : unkicked + 1);
    push(DRIVER, AVAIL_IDX, avail_idx)
}

/* virtqueue_add_row(): one store for all of them. */
inline driver_add_row()
{
    avail_idx = (avail_idx + SIZE) & MASK;
    unkicked = (unkicked > MASK -> unkicked : unkicked + SIZE);
    push(DRIVER, AVAIL_IDX, avail_idx)
}

inline kick_wanted(wanted)
{
    load(DRIVER, DEVICE_EVENT, value);
#ifdef EVENTS
    wanted = unkicked > MASK || need_event(value, avail_idx, unkicked, MASK);
#else
    wanted = value != NO_NOTIFY;
#endif
    value = 0
}

inline driver_look(found)
{
    load(DRIVER, USED_IDX, value);
    found = value != used_idx;
    value = 0
}

inline driver_take()
{
    used_idx = (used_idx + 1) & MASK
}

inline driver_enable()
{
#ifdef EVENTS
    push(DRIVER, DRIVER_EVENT, used_idx)
#else
    push(DRIVER, DRIVER_EVENT, 0)
#endif
}

inline driver_disable()
{
#ifdef EVENTS
    push(DRIVER, DRIVER_EVENT, (used_idx - 1) & MASK)
#else
    push(DRIVER, DRIVER_EVENT, NO_INTERRUPT)
#endif
}

inline device_look(found)
{
    load(DEVICE, AVAIL_IDX, value);
    found = value != device_avail;
    value = 0
}

inline device_take()
{
    device_avail = (device_avail + 1) & MASK
}

inline device_use()
{
    device_used = (device_used + 1) & MASK;
    unsignalled = (unsignalled > MASK -> unsignalled : unsignalled + 1);
    push(DEVICE, USED_IDX, device_used)
}

inline device_signal(wanted)
{
    d_step {
        load(DEVICE, DRIVER_EVENT, value);
#ifdef EVENTS
        wanted = unsignalled > MASK || need_event(value, device_used, unsignalled, MASK);
#else
        wanted = value != NO_INTERRUPT;
#endif
        value = 0;
        unsignalled = 0
    }
}

inline device_listen()
{
#ifdef EVENTS
    d_step { room(DEVICE) -> push(DEVICE, DEVICE_EVENT, device_avail) }
#else
    d_step { room(DEVICE) -> push(DEVICE, DEVICE_EVENT, 0) }
#endif
}

/* With event indices an old index is as good as silence. */
inline device_deafen()
{
#ifdef EVENTS
    skip
#else
    d_step { room(DEVICE) -> push(DEVICE, DEVICE_EVENT, NO_NOTIFY) }
#endif
}
