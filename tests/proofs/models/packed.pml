/*
 * packed.pml - the packed ring of wakeups.pml: the driver as in virtio/virtqueue_packed.c, and a device.
 *
 * A descriptor is its AVAIL and USED bits. The driver's event structure is one cell, since it is written by one store; the
 * device may write the halves of its own one after the other, and looks at the driver's one after the other (2.8.14 asks for
 * no more). Offsets count modulo 2^8 here and modulo 2^16 there.
 */
#define DESC RING /* SIZE of them */
#define DRIVER_EVENT (RING + SIZE)
#define DEVICE_OFF_WRAP (RING + SIZE + 1)
#define DEVICE_FLAGS (RING + SIZE + 2)

#define MASK 255
#define AVAIL 1
#define USED 2
#define available_bits(wrap) (wrap -> AVAIL : USED)
#define used_bits(wrap) (wrap -> AVAIL + USED : 0)

/* off_wrap: the offset, and the wrap counter in bit 3. The driver's structure has the flags in bits 0 and 1 of its cell. */
#define ENABLE 0
#define DISABLE 1
#define ABOUT_DESC 2
#define off_wrap(off, wrap) ((off) | (wrap) << 3)
#define off_of(event) ((event) & 7)
#define wrap_of(event) ((event) >> 3)
#define lap(event, wrap) (wrap_of(event) == wrap -> 0 : SIZE)
/* As event_reached(): an offset of the lap before lies a ring's length back. */
#define reached(event, next, wrap, batch) \
    ((batch) >= SIZE || need_event(off_of(event) - lap(event, wrap), next, batch, MASK))

byte memory[RING + SIZE + 3];
byte next_avail, next_used, unkicked;
bit avail_wrap = 1, used_wrap = 1;
byte device_avail, device_used, unsignalled;
bit device_avail_wrap = 1, device_used_wrap = 1;
hidden byte other;

inline advance(index, wrap)
{
    index++;
    if
    :: index == SIZE -> index = 0; wrap = !wrap
    :: else
    fi
}

inline driver_add()
{
    push(DRIVER, DESC + next_avail, available_bits(avail_wrap));
    unkicked = (unkicked >= SIZE -> unkicked : unkicked + 1);
    advance(next_avail, avail_wrap)
}

inline kick_wanted(wanted)
{
    load(DRIVER, DEVICE_FLAGS, value);
    load(DRIVER, DEVICE_OFF_WRAP, other);
    wanted = (value == ABOUT_DESC -> reached(other, next_avail, avail_wrap, unkicked) : value == ENABLE);
    value = 0;
    other = 0
}

inline driver_look(found)
{
    load(DRIVER, DESC + next_used, value);
    found = in_flight > 0 && value == used_bits(used_wrap);
    value = 0
}

inline driver_take()
{
    advance(next_used, used_wrap)
}

inline driver_enable()
{
#ifdef EVENTS
    push(DRIVER, DRIVER_EVENT, ABOUT_DESC | off_wrap(next_used, used_wrap) << 2)
#else
    push(DRIVER, DRIVER_EVENT, ENABLE)
#endif
}

inline driver_disable()
{
    push(DRIVER, DRIVER_EVENT, DISABLE)
}

inline device_look(found)
{
    load(DEVICE, DESC + device_avail, value);
    found = value == available_bits(device_avail_wrap);
    value = 0
}

inline device_take()
{
    advance(device_avail, device_avail_wrap)
}

inline device_use()
{
    push(DEVICE, DESC + device_used, used_bits(device_used_wrap));
    unsignalled = (unsignalled >= SIZE -> unsignalled : unsignalled + 1);
    advance(device_used, device_used_wrap)
}

inline device_signal(wanted)
{
    d_step { load(DEVICE, DRIVER_EVENT, value); value = value & 3 };
    d_step {
        load(DEVICE, DRIVER_EVENT, other);
        other = other >> 2;
        wanted = (value == ABOUT_DESC -> reached(other, device_used, device_used_wrap, unsignalled) : value == ENABLE);
        value = 0;
        other = 0;
        unsignalled = 0
    }
}

inline device_listen()
{
#ifdef EVENTS
    d_step { room(DEVICE) -> push(DEVICE, DEVICE_OFF_WRAP, off_wrap(device_avail, device_avail_wrap)) };
    d_step { room(DEVICE) -> push(DEVICE, DEVICE_FLAGS, ABOUT_DESC) }
#else
    d_step { room(DEVICE) -> push(DEVICE, DEVICE_FLAGS, ENABLE) }
#endif
}

inline device_deafen()
{
    d_step { room(DEVICE) -> push(DEVICE, DEVICE_FLAGS, DISABLE) }
}
