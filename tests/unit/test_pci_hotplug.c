// sources: arch/x86_64/pci_hotplug.c boot/loop.c boot/log.c boot/format.c boot/pci_caps.c hosted/fake_pci.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/violation.c
/*
 * test_pci_hotplug.c - the state of a PCI Express slot (arch/x86_64/pci_hotplug.c) against a model of
 * a root port: button, indicators, power, presence, link, and commands that are never completed.
 *
 * The model keeps the slot's registers (PCI Express 4.0, 7.8.9 to 7.8.11) and the card in it. What
 * enumeration would do is done here, so a card is one function and its vendor.
 */
#include "support.h"

#include "arch/x86_64/pci_impl.h"
#include "hosted/fake_pci.h"
#include "loop.h"

#define MS UINT64_C(1000000)
#define STEP_MS 10u
#define EXPRESS_SIZE 0x3cu
#define CARD_VENDOR 0x1af4

/* Offsets in the capability, and bits. */
enum {
    FLAGS = 0x02,
    LINK_CAP = 0x0c,
    LINK_STA = 0x12,
    SLOT_CAP = 0x14,
    CONTROL = 0x18,
    STATUS = 0x1a
};
enum { BUTTON = 1, FAULT = 2, PRESENCE = 8, COMMAND = 0x10, PRESENT = 0x40, LINK = 0x100 };
enum { CAP_ALL = 0x5b | 12 << 19, CAP_PLAIN = 0x40 | 1 << 18 | 12 << 19 };
enum { POWER_OFF = 0x400, INDICATOR = 0x300, ON = 0x100, BLINK = 0x200, OFF = 0x300 };
enum { ATTENTION = 0xc0, INTERRUPT = 0x20 };

static struct {
    struct fake_function *port;
    unsigned express;
    uint32_t capabilities;
    uint16_t control, status; /* status: the events, not the state */
    bool card, answers, moved, port_gone, deaf, stuck;
    unsigned commands, early_commands;
    bool command_done;
} slot;

static struct pci_bridge bridge;
static struct pci_function *function; /* the card's, in the table */
static unsigned added, removed;

/* ---- the model ---- */

static bool has_power(void)
{
    return !(slot.control & POWER_OFF);
}

static uint16_t status(void)
{
    return slot.port_gone ? 0xffff : (uint16_t)(slot.status | (slot.card ? PRESENT : 0));
}

static void interrupt(void)
{
    uint16_t enabled = slot.control & (BUTTON | FAULT | PRESENCE);

    if (slot.control & 0x1000)
        enabled |= LINK;
    if ((slot.control & INTERRUPT) && (slot.status & enabled) && fake_pci_msix_enabled(slot.port))
        fake_pci_raise_msix(slot.port, 0);
}

static void event(uint16_t events)
{
    slot.status |= events;
    interrupt();
}

static void write_control(uint16_t value)
{
    slot.early_commands += !(slot.capabilities >> 18 & 1) && slot.commands && !slot.command_done;
    slot.commands++;
    slot.command_done = false;
    slot.control = value;
    if (!slot.deaf && !(slot.capabilities >> 18 & 1))
        slot.status |= COMMAND;
}

static void write_status(uint16_t value)
{
    slot.command_done = slot.command_done || (value & COMMAND);
    if (!slot.stuck)
        slot.status &= (uint16_t)~value;
}

static bool registers(struct fake_function *f, unsigned offset, unsigned width, bool write,
                      uint32_t *value)
{
    (void)f;
    if (slot.port_gone) {
        *value = UINT32_MAX;
        return true;
    }
    if (write) {
        if (offset == slot.express + CONTROL)
            write_control((uint16_t)*value);
        else if (offset == slot.express + STATUS)
            write_status((uint16_t)*value);
        return width == 2 && offset != PCI_COMMAND;
    }
    if (offset == slot.express + CONTROL)
        *value = slot.control;
    else if (offset == slot.express + STATUS)
        *value = status();
    else if (offset == slot.express + LINK_STA)
        *value = slot.card && has_power() ? 0x2000 : 0;
    else
        return false;
    return true;
}

/* What enumeration does (pci.c). */
unsigned pci_add_behind(struct pci_function *port, struct pci_function **found)
{
    struct fake_function *f;

    assert_ptr_equal(port, &slot.port->fn);
    assert_true(has_power());
    if (!slot.card || !slot.answers)
        return 0;
    assert_null(function);
    f = fake_pci_add(CARD_VENDOR, 0x1041);
    f->fn.bridge = port;
    slot.moved = false;
    function = found[0] = &f->fn;
    return 1;
}

void pci_forget(struct pci_function *fn)
{
    assert_ptr_equal(fn, function);
    function->vendor_id = 0;
    function = NULL;
}

void pci_log_function(const struct pci_function *fn)
{
    (void)fn;
}

static void on_added(struct pci_function *fn)
{
    assert_ptr_equal(fn, function);
    added++;
}

static void on_removed(struct pci_function *fn)
{
    assert_ptr_equal(fn, function);
    removed++;
}

/* ---- what the operator does ---- */

/* A card without a power controller behind it has its functions' identity only while it is there. */
static void put_card(bool answers)
{
    slot.card = true;
    slot.answers = answers;
    event(PRESENCE);
}

static void pull_card(void)
{
    slot.card = false;
    if (function)
        ((struct fake_function *)function)->gone = true;
    event(PRESENCE | LINK);
}

static void press(void)
{
    event(BUTTON);
}

/* Time passes, in turns of the loop. */
static void pass(unsigned ms)
{
    for (unsigned i = 0; i < ms / STEP_MS; i++) {
        hosted_interrupts_deliver();
        loop_turn();
        hosted_clock_advance(STEP_MS * MS);
    }
}

static void make_port(uint32_t capabilities)
{
    uint8_t body[EXPRESS_SIZE - 2] = {0};
    const uint16_t flags = 2 | 4 << 4 | 0x100;
    const uint32_t link = 1u << 20;

    fake_pci_reset();
    memset(&slot, 0, sizeof(slot));
    function = NULL;
    added = removed = 0;
    slot.port = fake_pci_add(0x1b36, 0x000c);
    bridge = (struct pci_bridge){1, 1};
    slot.port->fn.platform = &bridge;
    memcpy(body + FLAGS - 2, &flags, 2);
    memcpy(body + LINK_CAP - 2, &link, 4);
    memcpy(body + SLOT_CAP - 2, &capabilities, 4);
    slot.express = fake_pci_add_capability(slot.port, PCI_CAP_ID_EXPRESS, body, sizeof(body));
    slot.capabilities = capabilities;
    slot.port->config_hook = registers;
    slot.port->msix_entries = 1;
}

static void start(bool interrupts)
{
    const struct pci_hotplug hotplug = {
        .added = on_added, .removed = on_removed, .msix = interrupts, .intx = false};

    hosted_clock_set_relax(MS);
    pci_hotplug_init(&hotplug);
}

static void end(void)
{
    pci_msix_disable(&slot.port->fn);
    fake_pci_reset();
}

static void assert_indicator(uint16_t how)
{
    assert_int_equal(slot.control & INDICATOR, how);
}

/* ---- cards that come and go in good order ---- */

static void a_card_starts_and_is_removed_by_the_button(void **state)
{
    (void)state;
    for (unsigned interrupts = 0; interrupts < 2; interrupts++) {
        make_port(CAP_ALL);
        start(interrupts);
        pass(1000);
        assert_int_equal(added, 0);
        put_card(true);
        pass(50);
        if (interrupts) /* else nobody has looked yet */
            assert_indicator(BLINK);
        pass(300);
        assert_int_equal(added, 1);
        assert_indicator(ON);
        press();
        pass(4500);
        assert_int_equal(removed, 0);
        assert_indicator(BLINK);
        pass(1000);
        assert_int_equal(removed, 1);
        assert_indicator(OFF);
        assert_false(has_power());
        pass(3000);
        assert_false(has_power()); /* it is still in there */
        press();
        pass(6000);
        assert_int_equal(added, 2);
        assert_int_equal(slot.early_commands, 0);
        end();
    }
    expect_log("slot 12: the card is removed", 2);
}

/* The card that firmware found is in the table already. */
static void a_card_that_was_there_at_boot(void **state)
{
    struct pci_function *list[8];

    (void)state;
    make_port(CAP_ALL);
    slot.card = slot.answers = true;
    pci_add_behind(&slot.port->fn, list);
    start(true);
    pass(1000);
    assert_int_equal(added, 0);
    assert_indicator(ON);
    pull_card();
    pass(20);
    assert_int_equal(removed, 1);
    end();
    /* And one that has no power yet. */
    make_port(CAP_ALL);
    slot.card = slot.answers = true;
    slot.control = POWER_OFF;
    start(true);
    pass(1000);
    assert_int_equal(added, 1);
    assert_true(has_power());
    end();
}

static void a_second_press_takes_the_first_back(void **state)
{
    (void)state;
    make_port(CAP_ALL);
    start(true);
    put_card(true);
    pass(500);
    press();
    pass(3000);
    press();
    pass(10000);
    assert_int_equal(removed, 0);
    assert_indicator(ON);
    press();
    pass(10000);
    assert_int_equal(removed, 1);
    press();
    pass(1000);
    press();
    pass(10000);
    assert_int_equal(added, 1);
    assert_false(has_power());
    expect_log("pressed again: nothing is done", 2);
    end();
}

static void the_button_of_an_empty_slot(void **state)
{
    (void)state;
    make_port(CAP_ALL);
    start(true);
    press();
    pass(1000);
    assert_indicator(BLINK);
    pass(10000);
    assert_indicator(OFF);
    assert_int_equal(added, 0);
    put_card(true);
    pass(500);
    assert_int_equal(added, 1);
    end();
}

/* ---- surprises ---- */

static void a_card_is_pulled_out_and_another_one_comes(void **state)
{
    (void)state;
    for (unsigned pause = 0; pause <= 2000; pause += 500) {
        make_port(pause % 1000 ? CAP_PLAIN : CAP_ALL);
        start(true);
        put_card(true);
        pass(500);
        pull_card();
        pass(pause);
        put_card(true);
        pass(3000);
        assert_int_equal(removed, 1);
        assert_int_equal(added, 2);
        end();
    }
}

/* In an instant: nobody saw the slot empty, but the card has lost its addresses. */
static void a_card_is_replaced_between_two_looks(void **state)
{
    (void)state;
    make_port(CAP_ALL);
    start(true);
    put_card(true);
    pass(500);
    event(PRESENCE | LINK);
    pass(1000);
    assert_int_equal(removed, 0); /* it is the same */
    ((struct fake_function *)function)->config[PCI_VENDOR_ID] ^= 1;
    event(PRESENCE);
    pass(3000);
    assert_int_equal(removed, 1);
    assert_int_equal(added, 2);
    end();
}

static void a_card_that_does_not_answer(void **state)
{
    (void)state;
    make_port(CAP_ALL);
    start(true);
    put_card(false);
    pass(1000);
    assert_true(has_power());
    pass(500);
    assert_false(has_power());
    assert_int_equal(slot.control & ATTENTION, 0x40);
    expect_log("slot 12: the card does not answer", 1);
    pass(10000);
    assert_false(has_power());
    pull_card();
    pass(100);
    put_card(true);
    pass(2000);
    assert_int_equal(added, 1);
    assert_int_equal(slot.control & ATTENTION, 0xc0);
    end();
}

static void a_card_that_leaves_while_it_starts(void **state)
{
    (void)state;
    make_port(CAP_ALL);
    start(true);
    put_card(false);
    pass(50);
    pull_card();
    pass(3000);
    expect_log("slot 12: the card was pulled out again", 1);
    assert_int_equal(added + removed, 0);
    put_card(true);
    pass(3000);
    assert_int_equal(added, 1);
    end();
}

static void a_power_fault_ends_the_card(void **state)
{
    (void)state;
    for (unsigned ms = 20; ms <= 1020; ms += 500) {
        make_port(CAP_ALL);
        start(true);
        put_card(true);
        pass(ms);
        event(FAULT);
        pass(5000);
        assert_int_equal(removed, added);
        assert_false(has_power());
        assert_indicator(OFF);
        assert_int_equal(slot.control & ATTENTION, 0x40);
        /* It is not tried again without the operator, and a slot without power has no faults. */
        event(FAULT);
        pass(60000);
        assert_false(has_power());
        press();
        pass(6000);
        assert_true(has_power());
        assert_int_equal(added, removed + 1);
        end();
    }
    expect_log("power fault", 3);
}

/* ---- ports that do not do as they should ---- */

/* One wait of a second, and then no more. */
static void commands_that_are_never_completed(void **state)
{
    uint64_t before;

    (void)state;
    make_port(CAP_ALL);
    slot.deaf = true;
    before = platform_now_ns();
    start(true);
    put_card(true);
    pass(500);
    assert_int_equal(added, 1);
    press();
    pass(6000);
    assert_int_equal(removed, 1);
    assert_true(platform_now_ns() - before < 8000 * MS);
    expect_log("slot 12: commands are not answered", 1);
    end();
}

/* All ones from the port itself: nothing is believed, nothing is waited for. */
static void a_port_that_is_gone(void **state)
{
    uint64_t before;

    (void)state;
    for (unsigned interrupts = 0; interrupts < 2; interrupts++) {
        make_port(CAP_ALL);
        start(interrupts);
        put_card(true);
        pass(500);
        press();
        pass(500);
        slot.port_gone = true;
        ((struct fake_function *)function)->gone = true;
        before = platform_now_ns();
        pass(10000);
        assert_int_equal(removed, 1);
        assert_true(platform_now_ns() - before < 12000 * MS);
        end();
    }
}

/* Events that cannot be cleared: each turn works on them once, and the rest of the loop goes on. */
static void events_that_stay(void **state)
{
    (void)state;
    make_port(CAP_ALL);
    start(true);
    put_card(true);
    pass(500);
    slot.stuck = true;
    event(PRESENCE | LINK);
    for (unsigned i = 0; i < 100; i++) {
        interrupt();
        pass(STEP_MS);
    }
    assert_int_equal(added, 1);
    assert_int_equal(removed, 0);
    end();
}

static void ports_without_a_slot_are_left_alone(void **state)
{
    static const uint32_t none[] = {0, 0x1b, 12 << 19};

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        make_port(none[i]);
        assert_false(pci_has_hotplug_slot(&slot.port->fn));
        start(true);
        put_card(true);
        pass(2000);
        assert_int_equal(added, 0);
        assert_int_equal(slot.commands, 0);
        end();
    }
}

/* ---- who works on the card ---- */

static unsigned nested_poll(void *arg, unsigned budget)
{
    unsigned *turns = arg;

    (void)budget;
    if (!*turns)
        return 0;
    for (; *turns; --*turns) {
        hosted_interrupts_deliver();
        loop_turn();
        hosted_clock_advance(STEP_MS * MS);
    }
    assert_int_equal(removed, 0);
    return 1;
}

static void nothing_goes_away_under_an_inner_turn(void **state)
{
    unsigned turns = 0;
    struct loop_source busy = {.name = "busy", .poll = nested_poll, .arg = &turns};

    (void)state;
    make_port(CAP_ALL);
    start(true);
    put_card(true);
    pass(500);
    loop_add(&busy);
    turns = 50;
    pull_card();
    loop_turn();
    loop_remove(&busy);
    pass(20);
    assert_int_equal(removed, 1);
    end();
}

/* ---- anything, in any order ---- */

static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

static void act(uint32_t *seed)
{
    switch (draw(seed, 6)) {
    case 0:
        if (!slot.card)
            put_card(draw(seed, 4) != 0);
        break;
    case 1:
        if (slot.card)
            pull_card();
        break;
    case 2:
        press();
        break;
    case 3:
        event(draw(seed, 8) == 0 ? FAULT : LINK);
        break;
    default:
        break;
    }
}

static void any_order_of_events(void **state)
{
    (void)state;
    for (uint32_t run = 1; run <= 60; run++) {
        uint32_t seed = run;

        make_port(run % 3 ? CAP_ALL : CAP_PLAIN);
        start(run % 2);
        /* The model has room for a dozen cards in a life. */
        for (unsigned i = 0; i < 200 && added < 12; i++) {
            act(&seed);
            pass(draw(&seed, 3) ? draw(&seed, 200) : draw(&seed, 7000));
            assert_int_equal(added - removed, function != NULL);
            assert_true(!function || has_power());
        }
        if (slot.card)
            pull_card();
        pass(10000);
        assert_int_equal(added, removed);
        if (added < 12) {
            put_card(true);
            pass(10000);
            assert_int_equal(added, removed + 1);
        }
        assert_int_equal(slot.early_commands, 0);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_card_starts_and_is_removed_by_the_button),
        TEST(a_card_that_was_there_at_boot),
        TEST(a_second_press_takes_the_first_back),
        TEST(the_button_of_an_empty_slot),
        TEST(a_card_is_pulled_out_and_another_one_comes),
        TEST(a_card_is_replaced_between_two_looks),
        TEST(a_card_that_does_not_answer),
        TEST(a_card_that_leaves_while_it_starts),
        TEST(a_power_fault_ends_the_card),
        TEST(commands_that_are_never_completed),
        TEST(a_port_that_is_gone),
        TEST(events_that_stay),
        TEST(ports_without_a_slot_are_left_alone),
        TEST(nothing_goes_away_under_an_inner_turn),
        TEST(any_order_of_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
