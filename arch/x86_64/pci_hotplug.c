/*
 * pci_hotplug.c - slots of PCI Express ports: cards that are plugged in and pulled out while the
 * machine runs (PCI Express 4.0, 6.7 and 7.8.10 to 7.8.12).
 *
 * Owns the state of each slot and the protocol with its button, indicators and power. Which
 * functions are on a card is pci.c's, who drives them is told through struct pci_hotplug. One
 * source of the event loop: nothing here waits, but for a command that a slow slot has not taken
 * yet. Read include/pci.h first.
 */
#include "log.h"
#include "loop.h"
#include "platform.h"

#include "arch/x86_64/pci_impl.h"

/* Offsets in the PCI Express capability. */
#define EXPRESS_FLAGS 0x02
#define LINK_CAPABILITIES 0x0c
#define LINK_STATUS 0x12
#define SLOT_CAPABILITIES 0x14
#define SLOT_CONTROL 0x18
#define SLOT_STATUS 0x1a

#define FLAGS_SLOT 0x0100
#define FLAGS_TYPE(flags) ((flags) >> 4 & 15)
#define FLAGS_MESSAGE(flags) ((flags) >> 9 & 31)
#define TYPE_ROOT_PORT 4
#define TYPE_DOWNSTREAM 6
#define LINK_CAN_TELL_ACTIVE (1u << 20)
#define LINK_ACTIVE 0x2000

#define SLOT_HAS_BUTTON 0x01u
#define SLOT_HAS_POWER 0x02u
#define SLOT_HAS_ATTENTION 0x08u
#define SLOT_HAS_INDICATOR 0x10u
#define SLOT_IS_HOTPLUG 0x40u
#define SLOT_NO_COMMAND_COMPLETED (1u << 18)
#define SLOT_NUMBER(capabilities) ((capabilities) >> 19)

#define EVENT_BUTTON 0x01
#define EVENT_POWER_FAULT 0x02
#define EVENT_PRESENCE 0x08
#define EVENT_COMMAND 0x10
#define EVENT_LINK 0x100
#define EVENTS (EVENT_BUTTON | EVENT_POWER_FAULT | EVENT_PRESENCE | EVENT_LINK)
#define STATUS_PRESENT 0x40
#define STATUS_GONE 0xffff /* the port itself was pulled out */

#define CONTROL_BUTTON 0x01
#define CONTROL_POWER_FAULT 0x02
#define CONTROL_PRESENCE 0x08
#define CONTROL_COMMAND 0x10
#define CONTROL_INTERRUPT 0x20
#define CONTROL_ATTENTION 0xc0
#define ATTENTION_ON 0x40
#define ATTENTION_OFF 0xc0
#define CONTROL_INDICATOR 0x300
#define INDICATOR_ON 0x100
#define INDICATOR_BLINK 0x200
#define INDICATOR_OFF 0x300
#define CONTROL_POWER_OFF 0x400
#define CONTROL_LINK 0x1000

#define MS UINT64_C(1000000)
#define BUTTON_NS (5000 * MS) /* 6.7.1.5: so long may the button be pressed again to take it back */
#define SETTLE_NS (100 * MS)  /* 6.6.1: from power or link to the first access */
#define ANSWER_NS (1000 * MS) /* 6.6.1: so long may a card take to answer */
#define RETRY_NS (10 * MS)    /* between two looks whether it answers */
#define POWER_DOWN_NS (1000 * MS) /* 6.7.1.8: until power that was switched off is gone */
#define COMMAND_NS (1000 * MS)    /* 6.7.3.2: a command takes at most so long */
#define POLL_NS (100 * MS)        /* how often a slot is asked that cannot interrupt */

enum slot_state {
    SLOT_OFF,          /* no card, or one without power */
    SLOT_BUTTON_ON,    /* the button was pressed: switched on at `due_ns` */
    SLOT_STARTING,     /* has power since `since_ns`, asked for an answer at `due_ns` */
    SLOT_ON,           /* its functions are in the table */
    SLOT_BUTTON_OFF,   /* the button was pressed: switched off at `due_ns` */
    SLOT_POWERING_OFF, /* nothing is done before `due_ns` */
};

struct slot {
    struct pci_function *port;
    unsigned express; /* offset of the capability */
    uint32_t capabilities;
    unsigned number;
    enum slot_state state;
    uint64_t due_ns, since_ns; /* due_ns: PLATFORM_NO_DEADLINE when nothing is due */
    bool interrupts;
    bool was_empty; /* since the power was switched off: what is there now is another card */
    bool command_pending;
    uint64_t command_ns;
    volatile uint16_t events; /* seen and not handled; set in interrupt context */
};

static struct slot slots[PCI_BRIDGES_MAX];
static unsigned slot_count;
static struct pci_hotplug handlers;
static uint64_t next_poll_ns = PLATFORM_NO_DEADLINE;

/* ---- registers ---- */

static uint16_t read_status(const struct slot *slot)
{
    return pci_read16(slot->port, slot->express + SLOT_STATUS);
}

/* Takes the events that the slot has and clears them there, so that new ones interrupt again. */
static bool take_events(struct slot *slot)
{
    bool any = false;

    for (unsigned times = 0; times < 4; times++) {
        uint16_t status = read_status(slot);
        uint16_t events = status & EVENTS;

        if (status == STATUS_GONE || events == 0)
            break;
        pci_write16(slot->port, slot->express + SLOT_STATUS, events);
        slot->events |= events;
        any = true;
    }
    return any;
}

static bool line_interrupt(void *arg)
{
    return take_events(arg);
}

static void message_interrupt(void *arg)
{
    take_events(arg);
}

/* 6.7.3.2: a command must be completed before the next one. */
static void finish_command(struct slot *slot)
{
    while (slot->command_pending) {
        if (read_status(slot) & EVENT_COMMAND) {
            pci_write16(slot->port, slot->express + SLOT_STATUS, EVENT_COMMAND);
            slot->command_pending = false;
        } else if (platform_now_ns() - slot->command_ns > COMMAND_NS) {
            log_warn("slot %u: commands are not answered", slot->number);
            slot->capabilities |= SLOT_NO_COMMAND_COMPLETED;
            slot->command_pending = false;
        } else {
            platform_relax();
        }
    }
}

static void command(struct slot *slot, uint16_t mask, uint16_t value)
{
    uint16_t old = pci_read16(slot->port, slot->express + SLOT_CONTROL);
    uint16_t control = (uint16_t)((old & ~mask) | value);

    if (control == old)
        return;
    finish_command(slot);
    pci_write16(slot->port, slot->express + SLOT_CONTROL, control);
    slot->command_pending = !(slot->capabilities & SLOT_NO_COMMAND_COMPLETED);
    slot->command_ns = platform_now_ns();
}

static void indicate(struct slot *slot, uint16_t how)
{
    if (slot->capabilities & SLOT_HAS_INDICATOR)
        command(slot, CONTROL_INDICATOR, how);
}

/* Does the operator have to look at this slot? (6.7.1.1.1) */
static void attend(struct slot *slot, bool needed)
{
    if (slot->capabilities & SLOT_HAS_ATTENTION)
        command(slot, CONTROL_ATTENTION, needed ? ATTENTION_ON : ATTENTION_OFF);
}

static bool has_card(const struct slot *slot)
{
    uint16_t status = read_status(slot);

    return status != STATUS_GONE && (status & STATUS_PRESENT);
}

/* Is there a link? A port that cannot tell has one as long as a card is there. */
static bool has_link(const struct slot *slot)
{
    if (!(pci_read32(slot->port, slot->express + LINK_CAPABILITIES) & LINK_CAN_TELL_ACTIVE))
        return true;
    return pci_read16(slot->port, slot->express + LINK_STATUS) & LINK_ACTIVE;
}

/* ---- cards ---- */

static bool is_on_card(const struct slot *slot, const struct pci_function *fn)
{
    return fn->vendor_id != 0 && fn->bridge == slot->port;
}

/* Is this the card that was set up? Another one, or the same after a while without power, has lost
 * its addresses. */
static bool is_same_card(const struct slot *slot)
{
    bool any = false;

    for (unsigned i = 0; i < pci_function_count(); i++) {
        const struct pci_function *fn = pci_function_at(i);

        if (!is_on_card(slot, fn))
            continue;
        any = true;
        if (pci_read16(fn, PCI_VENDOR_ID) != fn->vendor_id ||
            pci_read16(fn, PCI_DEVICE_ID) != fn->device_id)
            return false;
        for (unsigned bar = 0; bar < PCI_BAR_COUNT; bar++) {
            const struct pci_bar *b = &fn->bar[bar];

            if (b->size != 0 && b->address != 0 &&
                (pci_read32(fn, PCI_BAR0 + 4 * bar) ^ (uint32_t)b->address) >> 4 != 0)
                return false;
        }
    }
    return any;
}

static void end_functions(struct slot *slot)
{
    for (unsigned i = 0; i < pci_function_count(); i++) {
        struct pci_function *fn = pci_function_at(i);

        if (!is_on_card(slot, fn))
            continue;
        handlers.removed(fn);
        pci_forget(fn);
    }
}

static void power_on(struct slot *slot)
{
    log_info("slot %u: a card was plugged in", slot->number);
    attend(slot, false);
    indicate(slot, INDICATOR_BLINK);
    if (slot->capabilities & SLOT_HAS_POWER)
        command(slot, CONTROL_POWER_OFF, 0);
    slot->state = SLOT_STARTING;
    slot->since_ns = platform_now_ns();
    slot->due_ns = slot->since_ns + SETTLE_NS;
}

/* After a polite removal, and where a card does not start. */
static void power_off(struct slot *slot)
{
    if (slot->capabilities & SLOT_HAS_INDICATOR)
        indicate(slot, INDICATOR_OFF);
    if (slot->capabilities & SLOT_HAS_POWER)
        command(slot, CONTROL_POWER_OFF, CONTROL_POWER_OFF);
    slot->state = SLOT_POWERING_OFF;
    slot->due_ns = platform_now_ns() + POWER_DOWN_NS;
    slot->was_empty = !has_card(slot);
}

static void start_card(struct slot *slot)
{
    struct pci_function *added[8];
    unsigned count = has_link(slot) ? pci_add_behind(slot->port, added) : 0;

    if (count > 0) {
        indicate(slot, INDICATOR_ON);
        slot->state = SLOT_ON;
        slot->due_ns = PLATFORM_NO_DEADLINE;
        for (unsigned i = 0; i < count; i++) {
            handlers.added(added[i]);
            pci_log_function(added[i]);
        }
    } else if (!has_card(slot)) {
        log_info("slot %u: the card was pulled out again", slot->number);
        power_off(slot);
    } else if (platform_now_ns() - slot->since_ns < SETTLE_NS + ANSWER_NS) {
        slot->due_ns = platform_now_ns() + RETRY_NS;
    } else {
        log_error("slot %u: the card does not answer", slot->number);
        power_off(slot);
        attend(slot, true);
    }
}

static void remove_card(struct slot *slot, const char *how)
{
    log_info("slot %u: %s", slot->number, how);
    end_functions(slot);
    power_off(slot);
}

/* ---- events ---- */

static void on_button(struct slot *slot)
{
    static const enum slot_state next[] = {
        [SLOT_OFF] = SLOT_BUTTON_ON,     [SLOT_BUTTON_ON] = SLOT_OFF,
        [SLOT_STARTING] = SLOT_STARTING, [SLOT_ON] = SLOT_BUTTON_OFF,
        [SLOT_BUTTON_OFF] = SLOT_ON,     [SLOT_POWERING_OFF] = SLOT_POWERING_OFF,
    };
    enum slot_state was = slot->state;

    slot->state = next[was];
    if (slot->state == was)
        return;
    if (slot->state == SLOT_BUTTON_ON || slot->state == SLOT_BUTTON_OFF) {
        log_info("slot %u: the button was pressed: the card %s in 5 s, unless it is pressed again",
                 slot->number, slot->state == SLOT_BUTTON_ON ? "starts" : "is removed");
        indicate(slot, INDICATOR_BLINK);
        slot->due_ns = platform_now_ns() + BUTTON_NS;
    } else {
        log_info("slot %u: the button was pressed again: nothing is done", slot->number);
        indicate(slot, slot->state == SLOT_ON ? INDICATOR_ON : INDICATOR_OFF);
        slot->due_ns = PLATFORM_NO_DEADLINE;
    }
}

/* Presence or link have changed: what counts is how they are now. */
static void on_change(struct slot *slot)
{
    bool card = has_card(slot);

    switch (slot->state) {
    case SLOT_OFF:
    case SLOT_BUTTON_ON:
        if (card)
            power_on(slot);
        break;
    case SLOT_ON:
    case SLOT_BUTTON_OFF:
        if (card && has_link(slot) && is_same_card(slot))
            break;
        remove_card(slot, card ? "the card was replaced or lost its link without warning"
                               : "the card was pulled out without warning");
        slot->was_empty = true;
        break;
    case SLOT_STARTING: /* start_card() looks */
        break;
    case SLOT_POWERING_OFF:
        slot->was_empty = slot->was_empty || !card;
        break;
    }
}

/* 6.7.1.8: the slot cannot feed the card. It stays without power until another one comes or the
 * button is pressed. */
static void on_power_fault(struct slot *slot)
{
    if (slot->state == SLOT_OFF || slot->state == SLOT_POWERING_OFF)
        return;
    log_error("slot %u: power fault: the card is switched off", slot->number);
    end_functions(slot);
    power_off(slot);
    attend(slot, true);
}

static void on_due(struct slot *slot)
{
    switch (slot->state) {
    case SLOT_BUTTON_ON:
        if (has_card(slot)) {
            power_on(slot);
        } else {
            indicate(slot, INDICATOR_OFF);
            slot->state = SLOT_OFF;
            slot->due_ns = PLATFORM_NO_DEADLINE;
        }
        break;
    case SLOT_BUTTON_OFF:
        remove_card(slot, "the card is removed");
        break;
    case SLOT_STARTING:
        start_card(slot);
        break;
    case SLOT_POWERING_OFF:
        slot->state = SLOT_OFF;
        slot->due_ns = PLATFORM_NO_DEADLINE;
        if (slot->was_empty && has_card(slot))
            power_on(slot);
        break;
    case SLOT_OFF:
    case SLOT_ON:
        break;
    }
}

/* ---- the loop's side ---- */

static void look_without_interrupts(void)
{
    uint64_t now = platform_now_ns();

    if (now < next_poll_ns)
        return;
    next_poll_ns = now + POLL_NS;
    for (unsigned i = 0; i < slot_count; i++) {
        if (!slots[i].interrupts)
            take_events(&slots[i]);
    }
}

static unsigned hotplug_poll(void *arg, unsigned budget)
{
    unsigned done = 0;

    (void)arg;
    (void)budget;
    /* Somebody further out may be at work on what would go away. */
    if (loop_is_nested())
        return 0;
    look_without_interrupts();
    for (unsigned i = 0; i < slot_count; i++) {
        struct slot *slot = &slots[i];
        uint16_t events = slot->events;

        slot->events = 0;
        if (events & EVENT_POWER_FAULT)
            on_power_fault(slot);
        else if (events & (EVENT_PRESENCE | EVENT_LINK))
            on_change(slot);
        else if (events & EVENT_BUTTON)
            on_button(slot);
        if (slot->due_ns <= platform_now_ns()) {
            on_due(slot);
            done++;
        }
        done += events != 0;
    }
    return done;
}

static bool hotplug_arm(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < slot_count; i++) {
        if (slots[i].events != 0)
            return false;
    }
    return true;
}

static uint64_t hotplug_deadline(void *arg)
{
    uint64_t deadline = next_poll_ns;

    (void)arg;
    for (unsigned i = 0; i < slot_count; i++) {
        if (slots[i].due_ns < deadline)
            deadline = slots[i].due_ns;
    }
    return deadline;
}

/* ---- set-up ---- */

/* The capability of a port with a slot that cards can be plugged into, or 0. */
static unsigned find_slot(const struct pci_function *bridge)
{
    unsigned express = pci_find_capability(bridge, PCI_CAP_ID_EXPRESS, 0);
    uint16_t flags;

    if (express == 0)
        return 0;
    flags = pci_read16(bridge, express + EXPRESS_FLAGS);
    if (!(flags & FLAGS_SLOT) ||
        (FLAGS_TYPE(flags) != TYPE_ROOT_PORT && FLAGS_TYPE(flags) != TYPE_DOWNSTREAM))
        return 0;
    return pci_read32(bridge, express + SLOT_CAPABILITIES) & SLOT_IS_HOTPLUG ? express : 0;
}

bool pci_has_hotplug_slot(const struct pci_function *bridge)
{
    return find_slot(bridge) != 0;
}

static bool enable_interrupts(struct slot *slot)
{
    uint16_t flags = pci_read16(slot->port, slot->express + EXPRESS_FLAGS);
    int entries = handlers.msix ? pci_msix_enable(slot->port) : 0;

    if (entries > (int)FLAGS_MESSAGE(flags) &&
        pci_msix_set(slot->port, FLAGS_MESSAGE(flags), message_interrupt, slot, "slot") == 0)
        return true;
    if (entries > 0)
        pci_msix_disable(slot->port);
    return handlers.intx && pci_intx_enable(slot->port, line_interrupt, slot, "slot") == 0;
}

static bool has_functions(const struct slot *slot)
{
    for (unsigned i = 0; i < pci_function_count(); i++) {
        if (is_on_card(slot, pci_function_at(i)))
            return true;
    }
    return false;
}

/* What firmware left: a card that is in the table, one that has no power yet, or nothing. */
static void start_slot(struct slot *slot)
{
    uint16_t wanted = CONTROL_PRESENCE | CONTROL_LINK;

    pci_write16(slot->port, slot->express + SLOT_STATUS, EVENTS | EVENT_COMMAND);
    slot->due_ns = PLATFORM_NO_DEADLINE;
    if (has_functions(slot)) {
        indicate(slot, INDICATOR_ON);
        slot->state = SLOT_ON;
    } else if (has_card(slot)) {
        power_on(slot);
    } else {
        slot->state = SLOT_OFF;
    }
    slot->interrupts = enable_interrupts(slot);
    if (!slot->interrupts)
        next_poll_ns = 0;
    if (slot->capabilities & SLOT_HAS_BUTTON)
        wanted |= CONTROL_BUTTON;
    if (slot->capabilities & SLOT_HAS_POWER)
        wanted |= CONTROL_POWER_FAULT;
    if (slot->interrupts)
        wanted |= CONTROL_INTERRUPT;
    command(slot,
            wanted | CONTROL_BUTTON | CONTROL_POWER_FAULT | CONTROL_COMMAND | CONTROL_INTERRUPT,
            wanted);
}

void pci_hotplug_init(const struct pci_hotplug *hotplug)
{
    static struct loop_source source = {
        .name = "hotplug", .poll = hotplug_poll, .arm = hotplug_arm, .deadline = hotplug_deadline};

    handlers = *hotplug;
    slot_count = 0;
    next_poll_ns = PLATFORM_NO_DEADLINE;
    for (unsigned i = 0; i < pci_function_count() && slot_count < PCI_BRIDGES_MAX; i++) {
        struct pci_function *port = pci_function_at(i);
        struct slot *slot = &slots[slot_count];
        unsigned express;

        if (pci_bridge_of(port) == NULL || pci_bridge_of(port)->secondary == 0)
            continue;
        express = find_slot(port);
        if (express == 0)
            continue;
        *slot = (struct slot){.port = port, .express = express};
        slot->capabilities = pci_read32(port, express + SLOT_CAPABILITIES);
        slot->number = SLOT_NUMBER(slot->capabilities);
        slot_count++;
        start_slot(slot);
    }
    if (slot_count > 0)
        loop_add(&source);
}
