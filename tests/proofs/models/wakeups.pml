/*
 * wakeups.pml - does a driver or a device ever sleep for good while there is work for it?
 *
 * Kick and callback-enable as virtio/virtqueue_split.c and virtio/virtqueue_packed.c do them, with a device that follows the
 * specification, under x86-TSO: a CPU's stores wait in a buffer that drains whenever it likes, its loads see that buffer
 * first, and a fence waits until it is empty. Both sides run for ever on indices of few bits, so that there are finitely many
 * states and SPIN visits all. A lost wake-up is a state in which nobody can move: SPIN's "invalid end state".
 *
 * WITHOUT in the environment takes out one of the six things below: then there must be a counterexample. Variants: PACKED
 * (else split), EVENTS (event indices, else flags). Read split.pml and packed.pml next; tools/prove runs it.
 */
c_decl {
\#include <stdlib.h>
};

#define SIZE 2  /* ring entries; each buffer takes one */
#define DEPTH 3 /* stores that a CPU holds back at most */

#define DRIVER 0
#define DEVICE 1

#define KICK_FENCE 1   /* the driver's, between adding and looking whether a kick is wanted (kick_prepare) */
#define ENABLE_FENCE 2 /* the driver's, between asking for a notification and the last look (enable_cb) */
#define LISTEN_FENCE 3 /* the device's, between asking for kicks and its last look */
#define SIGNAL_FENCE 4 /* the device's, between using a buffer and looking whether a notification is wanted */
#define DRIVER_LOOK 5  /* the driver's last look before it sleeps */
#define DEVICE_LOOK 6  /* and the device's */

/* Shared memory: a cell is what one store writes. The two notifications are stores like others, which never overtake. */
#define KICK 0
#define IRQ 1
#define RING 2

typedef Stores {
    byte count;
    byte cell[DEPTH];
    byte value[DEPTH]
};

hidden byte i;
Stores stores[2];

#define room(who) (stores[who].count < DEPTH)

/* push and load belong inside a d_step: what only one side knows changes together with its access to shared memory. */
inline push(who, to, what)
{
    stores[who].cell[stores[who].count] = to;
    stores[who].value[stores[who].count] = what;
    stores[who].count++
}

inline load(who, from, what)
{
    what = memory[from];
    i = 0;
    do
    :: i < stores[who].count ->
        if
        :: stores[who].cell[i] == from -> what = stores[who].value[i]
        :: else
        fi;
        i++
    :: else -> break
    od
}

#define missing(which) c_expr { (getenv("WITHOUT") && atoi(getenv("WITHOUT")) == which) }
#define fence(who, which) (stores[who].count == 0 || missing(which))

/* As virtqueue_need_event(): is `event` among the indices that a batch moved over up to `new`, modulo mask + 1? */
#define need_event(event, new, batch, mask) ((((new) - (event) - 1) & (mask)) < (batch))

#ifdef PACKED
#include "packed.pml"
#else
#include "split.pml"
#endif

/* The owner of the queue: adds, kicks, takes in any order, and now and then sleeps until something comes back. */
active proctype driver()
{
    byte in_flight, value;
    bit yes;

    do
    :: d_step { in_flight < SIZE && room(DRIVER) -> driver_add(); in_flight++ }
#ifndef PACKED /* there each buffer of a row is published by a store of its own */
    :: d_step { in_flight == 0 && room(DRIVER) -> driver_add_row(); in_flight = SIZE }
#endif
    :: unkicked > 0 ->
        fence(DRIVER, KICK_FENCE);
        d_step { kick_wanted(yes); unkicked = 0 };
        if
        :: yes -> d_step { room(DRIVER) -> push(DRIVER, KICK, 1); yes = 0 }
        :: else
        fi
    :: d_step {
        in_flight > 0 ->
        driver_look(yes);
        if
        :: yes -> driver_take(); in_flight--; yes = 0
        :: else
        fi
    }
    :: in_flight > 0 && unkicked == 0 ->
        d_step { room(DRIVER) -> driver_enable() };
        fence(DRIVER, ENABLE_FENCE);
        d_step { driver_look(yes) };
        if
        :: yes && !missing(DRIVER_LOOK) -> yes = 0
        :: else -> yes = 0; d_step { memory[IRQ] == 1 -> memory[IRQ] = 0 }
        fi;
        d_step { room(DRIVER) -> driver_disable() }
    od
}

/* Takes what is available, uses it when it likes, and sleeps when nothing is available. */
active proctype device()
{
    byte held, value;
    bit yes, asleep;

    do
    :: d_step {
        !asleep ->
        device_look(yes);
        if
        :: yes -> device_take(); held++; yes = 0
        :: else
        fi
    }
    :: d_step { held > 0 && room(DEVICE) -> device_use(); held-- }
    :: unsignalled > 0 ->
        fence(DEVICE, SIGNAL_FENCE);
        device_signal(yes);
        if
        :: yes -> d_step { room(DEVICE) -> push(DEVICE, IRQ, 1); yes = 0 }
        :: else
        fi
    :: !asleep && unsignalled == 0 ->
        device_listen();
        fence(DEVICE, LISTEN_FENCE);
        d_step { device_look(yes); asleep = !yes || missing(DEVICE_LOOK); yes = 0 };
        if
        :: !asleep -> device_deafen()
        :: else
        fi
    :: d_step { asleep && memory[KICK] == 1 -> memory[KICK] = 0; asleep = 0 };
        device_deafen()
    od
}

/* Two of them, for the driver's stores and the device's. They have nothing to do when there is no store. */
active [2] proctype drain()
{
    byte who = _pid - 2;
end:
    do
    :: d_step {
        stores[who].count > 0 ->
        memory[stores[who].cell[0]] = stores[who].value[0];
        stores[who].count--;
        i = 0;
        do
        :: i < stores[who].count ->
            stores[who].cell[i] = stores[who].cell[i + 1];
            stores[who].value[i] = stores[who].value[i + 1];
            i++
        :: else -> break
        od;
        stores[who].cell[i] = 0;
        stores[who].value[i] = 0
    }
    od
}
