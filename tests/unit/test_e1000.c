// sources: net/e1000.c net/e1000_setup.c net/nic.c boot/log.c boot/format.c boot/pci_caps.c
// sources: hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c hosted/fake_pci.c
// sources: hosted/violation.c
/*
 * test_e1000.c - the e1000 driver (net/e1000.h) under nic.h, against a model of the card.
 *
 * The model reads and writes the descriptors as the card does, checks them, and lies when told to:
 * lengths that mean nothing, frames without an end, a ring that stands still, a reset that never
 * ends. Read net/e1000.c next.
 */
#include "support.h"

#include "hosted/fake_pci.h"
#include "net/e1000.h"
#include "net/e1000_impl.h"

#define BUFFERS 64u
#define REGISTER(offset) model.reg[(offset) / 4]

static struct {
    struct fake_function *pci;
    uint32_t reg[E1000_REGISTERS / 4];
    uint8_t sent[4096];
    uint32_t sent_len;
    unsigned frames, checksums, tail_writes, resets;
    uint64_t context;
    bool ended, stands_still, reset_hangs, no_eeprom;
} model;

static struct {
    bool lent[BUFFERS];
    uint8_t frame[E1000_BUFFER];
    uint32_t len;
    enum nic_checksum checksum;
    unsigned frames, reclaimed, sent, changed, restarted;
} user;

static struct nic *nic;
static uint8_t *memory;

/* ---- the card ---- */

static void take_piece(struct e1000_tx *piece)
{
    uint32_t len = piece->command & 0xfffff;
    const void *bytes = hosted_dma_device_pointer(piece->address, len, false);

    assert_non_null(bytes);
    if (model.ended)
        model.sent_len = 0;
    model.ended = piece->command & E1000_TX_END;
    assert_true(model.sent_len + len <= sizeof(model.sent));
    memcpy(model.sent + model.sent_len, bytes, len);
    model.sent_len += len;
    model.checksums += piece->options & E1000_TX_TRANSPORT_CHECKSUM ? 1 : 0;
    model.frames += model.ended;
}

static void transmit_ring(void)
{
    struct e1000_tx *ring = hosted_dma_device_pointer(
        REGISTER(E1000_TDBAL) | (uint64_t)REGISTER(E1000_TDBAH) << 32, REGISTER(E1000_TDLEN), true);

    assert_true(fake_pci_is_master(model.pci));
    assert_non_null(ring);
    while (REGISTER(E1000_TDH) != REGISTER(E1000_TDT) && !model.stands_still) {
        struct e1000_tx *at = &ring[REGISTER(E1000_TDH)];

        assert_true(at->command & E1000_TX_EXTENDED);
        if (at->command & E1000_TX_DATA)
            take_piece(at);
        else
            model.context = at->address;
        if (at->command & E1000_TX_REPORT)
            at->status |= E1000_TX_DONE;
        REGISTER(E1000_TDH) = (REGISTER(E1000_TDH) + 1) % E1000_RING;
    }
}

/* A frame arrives: `told` is the length that the descriptor gets. False: there was no buffer. */
static bool arrive(const void *frame, uint32_t len, uint16_t told, uint8_t status, uint8_t errors)
{
    struct e1000_rx *ring = hosted_dma_device_pointer(
        REGISTER(E1000_RDBAL) | (uint64_t)REGISTER(E1000_RDBAH) << 32, REGISTER(E1000_RDLEN), true);
    struct e1000_rx *at = &ring[REGISTER(E1000_RDH)];

    if (REGISTER(E1000_RDH) == REGISTER(E1000_RDT))
        return false;
    memcpy(hosted_dma_device_pointer(at->address, E1000_BUFFER, true), frame, len);
    at->length = told;
    at->errors = errors;
    at->status = status;
    REGISTER(E1000_RDH) = (REGISTER(E1000_RDH) + 1) % E1000_RING;
    return true;
}

static uint64_t read_register(void *arg, uint64_t offset, unsigned width)
{
    static const uint16_t eeprom[] = {0x5452, 0x1200, 0x5634};
    uint32_t value = REGISTER(offset);

    (void)arg;
    assert_int_equal(width, 4);
    if (offset == E1000_ICR) {
        REGISTER(E1000_ICR) = 0;
        fake_pci_set_intx(model.pci, false);
    }
    if (offset == E1000_EERD && !model.no_eeprom)
        value = E1000_EERD_DONE | (uint32_t)eeprom[value >> 8 & 3] << 16;
    return value;
}

static void write_register(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    (void)arg;
    assert_int_equal(width, 4);
    if (offset == E1000_CTRL && (value & E1000_CTRL_RST)) {
        uint32_t status = REGISTER(E1000_STATUS);

        model.resets++;
        memset(model.reg, 0, sizeof(model.reg));
        REGISTER(E1000_STATUS) = status;
        REGISTER(E1000_CTRL) = model.reset_hangs ? E1000_CTRL_RST : 0;
        return;
    }
    REGISTER(offset) = (uint32_t)value;
    if (offset == E1000_TDT) {
        model.tail_writes++;
        transmit_ring();
    }
}

/* ---- the user ---- */

static void provide(void)
{
    for (unsigned i = 0; i < BUFFERS && nic_rx_room(nic) > 0; i++) {
        if (user.lent[i])
            continue;
        void *buffer = memory + i * E1000_BUFFER;
        assert_int_equal(nic_rx_provide(nic, &buffer, 1, E1000_BUFFER), 1);
        user.lent[i] = true;
    }
    nic_kick(nic);
}

static void give_back(void *buffer)
{
    size_t n = (size_t)((uint8_t *)buffer - memory) / E1000_BUFFER;

    assert_in_range(n, 0, BUFFERS - 1);
    assert_true(user.lent[n]);
    user.lent[n] = false;
}

static void on_received(void *arg, const struct nic_rx_frame *frame, unsigned count)
{
    const struct nic_piece *piece = frame->piece;

    (void)arg;
    assert_int_equal(count, 1);
    assert_int_equal(frame->pieces, 1);
    assert_true(piece->len <= E1000_BUFFER);
    memcpy(user.frame, piece->data, piece->len);
    user.len = piece->len;
    user.checksum = frame->how.checksum;
    user.frames++;
    give_back(piece->buffer);
}

static void on_reclaimed(void *arg, void *buffer)
{
    (void)arg;
    user.reclaimed++;
    give_back(buffer);
}

static void on_sent(void *arg, void *const *token, unsigned count)
{
    (void)arg;
    assert_int_equal(count, 1);
    assert_ptr_equal(token[0], &user.sent);
    user.sent++;
}

static void on_changed(void *arg)
{
    (void)arg;
    user.changed++;
}

static void on_restarted(void *arg)
{
    (void)arg;
    user.restarted++;
    provide();
}

static const struct nic_callbacks callbacks = {.received = on_received,
                                               .reclaimed = on_reclaimed,
                                               .sent = on_sent,
                                               .changed = on_changed,
                                               .restarted = on_restarted};

static unsigned make_card(bool interrupts)
{
    static const struct hosted_registers registers = {
        .name = "e1000", .read = read_register, .write = write_register};
    unsigned cards;

    fake_pci_reset();
    REGISTER(E1000_STATUS) = E1000_STATUS_LU;
    model.pci = fake_pci_add(0x8086, 0x100e);
    fake_pci_set_bar(model.pci, 0, E1000_REGISTERS, false, &registers);
    memory = platform_dma_alloc((BUFFERS + 2) * E1000_BUFFER, 64);
    cards = e1000_scan(interrupts);
    nic = nic_at(0);
    if (cards) {
        nic_attach(nic, &callbacks, NULL);
        model.tail_writes = 0;
        provide();
    }
    return cards;
}

static void end(void)
{
    e1000_shutdown();
    for (unsigned i = 0; i < BUFFERS; i++)
        assert_false(user.lent[i]);
    assert_null(nic_at(0));
    platform_dma_free(memory, (BUFFERS + 2) * E1000_BUFFER);
    fake_pci_reset();
}

static int setup(void **state)
{
    support_setup(state);
    memset(&model, 0, sizeof(model));
    memset(&user, 0, sizeof(user));
    return 0;
}

/* Sends `len` bytes in n pieces. */
static int send_frame(uint32_t len, unsigned n, const struct nic_offload *offload)
{
    uint8_t *frame = memory + BUFFERS * E1000_BUFFER;
    struct virtqueue_sg sg[NIC_MAX_TX_PIECES + 1];

    for (uint32_t i = 0; i < len; i++)
        frame[i] = (uint8_t)(i * 11);
    for (unsigned i = 0; i < n; i++)
        sg[i] = (struct virtqueue_sg){frame + len / n * i,
                                      i + 1 < n ? len / n : len - len / n * (n - 1)};
    return nic_tx(nic, sg, n, 0, offload, &user.sent);
}

/* ---- tests ---- */

static void test_bring_up(void **state)
{
    (void)state;
    assert_int_equal(make_card(true), 1);
    assert_memory_equal(nic->mac, "\x52\x54\x00\x12\x34\x56", 6);
    assert_true(nic->link_up);
    assert_int_equal(nic->offloads, NIC_CHECKSUM);
    assert_int_equal(REGISTER(E1000_RAL), 0x12005452);
    assert_int_equal(REGISTER(E1000_RAH), 0x5634 | E1000_RAH_VALID);
    assert_int_equal(REGISTER(E1000_RDT), BUFFERS);
    end();
}

static void test_send(void **state)
{
    (void)state;
    assert_int_equal(make_card(true), 1);
    for (unsigned round = 0; round < 600; round++) {
        model.sent_len = 0;
        assert_int_equal(send_frame(60 + round, 1 + round % 4, NULL), 0);
        nic_kick(nic);
        assert_int_equal(model.sent_len, 60 + round);
        assert_memory_equal(model.sent, memory + BUFFERS * E1000_BUFFER, 60 + round);
        nic_poll(nic, 8);
    }
    assert_int_equal(user.sent, 600);
    assert_int_equal(model.tail_writes, 600);
    assert_int_equal(model.checksums, 0);
    assert_int_equal(send_frame(13, 1, NULL), -EINVAL);
    assert_int_equal(send_frame(1519, 1, NULL), -EINVAL);
    end();
}

static void test_one_write_for_a_batch(void **state)
{
    unsigned n = 0;

    (void)state;
    assert_int_equal(make_card(true), 1);
    while (send_frame(60, 1, NULL) == 0)
        n++;
    assert_in_range(n, E1000_RING - 3, E1000_RING - 1);
    assert_int_equal(model.frames, 0);
    nic_kick(nic);
    assert_int_equal(model.frames, n);
    assert_int_equal(model.tail_writes, 1);
    assert_int_equal(nic_poll(nic, 8), n);
    end();
}

static void test_checksum(void **state)
{
    const struct nic_offload tcp = {.checksum_start = 34, .checksum_offset = 16};
    const struct nic_offload udp = {.checksum_start = 34, .checksum_offset = 6};
    const struct nic_offload cut = {.checksum_start = 34, .checksum_offset = 16, .segment_size = 9};

    (void)state;
    assert_int_equal(make_card(true), 1);
    assert_int_equal(send_frame(100, 1, &tcp), 0);
    assert_int_equal(send_frame(100, 1, &tcp), 0);
    nic_kick(nic);
    assert_int_equal(model.checksums, 2);
    assert_int_equal(model.context >> 32, 34 | 50 << 8);
    assert_int_equal(REGISTER(E1000_TDH), 3); /* one context for both */
    assert_int_equal(send_frame(100, 1, &udp), 0);
    nic_kick(nic);
    assert_int_equal(model.context >> 32, 34 | 40 << 8);
    assert_int_equal(send_frame(100, 1, &cut), -EINVAL);
    end();
}

static void test_receive(void **state)
{
    uint8_t frame[1518];

    (void)state;
    assert_int_equal(make_card(true), 1);
    for (unsigned i = 0; i < sizeof(frame); i++)
        frame[i] = (uint8_t)(i * 3);
    for (unsigned round = 0; round < 700; round++) {
        uint16_t len = (uint16_t)(60 + round);

        assert_true(arrive(frame, len, len, E1000_RX_DONE | E1000_RX_END, 0));
        assert_int_equal(nic_arm(nic), false);
        nic_poll(nic, 8);
        assert_int_equal(user.len, len);
        assert_memory_equal(user.frame, frame, len);
        assert_int_equal(user.checksum, NIC_CHECKSUM_UNKNOWN);
        provide();
        assert_int_equal(nic_arm(nic), true);
    }
    arrive(frame, 60, 60, E1000_RX_DONE | E1000_RX_END | E1000_RX_CHECKSUM, 0);
    nic_poll(nic, 8);
    assert_int_equal(user.checksum, NIC_CHECKSUM_VALID);
    arrive(frame, 60, 60, E1000_RX_DONE | E1000_RX_END | E1000_RX_CHECKSUM, 0x20);
    nic_poll(nic, 8);
    assert_int_equal(user.checksum, NIC_CHECKSUM_UNKNOWN);
    end();
}

/* Lengths that mean nothing, errors, and frames in several buffers are dropped, each buffer once. */
static void test_bad_frames(void **state)
{
    const uint8_t done = E1000_RX_DONE | E1000_RX_END;
    uint8_t frame[100] = {0};

    (void)state;
    assert_int_equal(make_card(true), 1);
    assert_true(arrive(frame, 60, 0, done, 0));
    assert_true(arrive(frame, 60, 13, done, 0));
    assert_true(arrive(frame, 60, 2049, done, 0));
    assert_true(arrive(frame, 60, 65535, done, 0));
    assert_true(arrive(frame, 60, 60, done, 1));
    assert_true(arrive(frame, 60, 60, E1000_RX_DONE, 0));
    assert_true(arrive(frame, 60, 60, E1000_RX_DONE, 0));
    assert_true(arrive(frame, 60, 60, done, 0));
    assert_int_equal(nic_poll(nic, 64), 8);
    assert_int_equal(user.frames, 0);
    assert_int_equal(user.reclaimed, 8);
    assert_true(arrive(frame, 60, 60, done, 0));
    nic_poll(nic, 64);
    assert_int_equal(user.frames, 1);
    end();
}

static void test_stall(void **state)
{
    (void)state;
    assert_int_equal(make_card(true), 1);
    model.stands_still = true;
    assert_int_equal(send_frame(60, 1, NULL), 0);
    nic_kick(nic);
    nic_poll(nic, 8);
    hosted_clock_advance(UINT64_C(6000000000));
    nic_poll(nic, 8);
    assert_int_equal(user.sent, 1);
    assert_int_equal(user.restarted, 1);
    assert_int_equal(hosted_log_count("the card stalls"), 1);
    model.stands_still = false;
    assert_int_equal(send_frame(60, 1, NULL), 0);
    nic_kick(nic);
    nic_poll(nic, 8);
    assert_int_equal(user.sent, 2);
    end();
}

static void test_never_comes_back(void **state)
{
    (void)state;
    assert_int_equal(make_card(true), 1);
    model.stands_still = model.reset_hangs = true;
    assert_int_equal(send_frame(60, 1, NULL), 0);
    nic_kick(nic);
    nic_poll(nic, 8);
    hosted_clock_advance(UINT64_C(6000000000));
    nic_poll(nic, 8);
    assert_int_equal(user.sent, 1);
    assert_false(fake_pci_is_master(model.pci));
    assert_int_equal(send_frame(60, 1, NULL), -EIO);
    assert_int_equal(nic_rx_room(nic), 0);
    end();
}

static void test_hangs_at_first(void **state)
{
    (void)state;
    model.reset_hangs = true;
    assert_int_equal(make_card(true), 0);
    assert_string_equal(model.pci->fn.refusal, "it does not end its reset");
    end();
}

static void test_no_address(void **state)
{
    (void)state;
    model.no_eeprom = true;
    assert_int_equal(make_card(true), 1);
    assert_int_equal(nic->mac[0] & 3, 2);
    end();
}

static void test_link_and_interrupts(void **state)
{
    (void)state;
    for (unsigned interrupts = 0; interrupts < 2; interrupts++) {
        user.changed = 0;
        assert_int_equal(make_card(interrupts), 1);
        assert_int_equal(REGISTER(E1000_IMS) != 0, interrupts);
        nic_poll(nic, 8);
        REGISTER(E1000_STATUS) = 0;
        REGISTER(E1000_ICR) = E1000_INTERRUPT_LINK;
        fake_pci_set_intx(model.pci, interrupts);
        hosted_interrupts_deliver();
        hosted_clock_advance(1000000000);
        nic_poll(nic, 8);
        assert_int_equal(user.changed, 1);
        assert_false(nic->link_up);
        end();
    }
}

static void test_filter(void **state)
{
    struct nic_filter filter = {.groups = 1, .group = {{0x01, 0x00, 0x5e, 0x00, 0x00, 0xfb}}};

    (void)state;
    assert_int_equal(make_card(true), 1);
    assert_int_equal(REGISTER(E1000_MTA), 0xffffffff);
    assert_int_equal(nic_set_filter(nic, &filter), 0);
    for (unsigned i = 0; i < E1000_MTA_WORDS; i++) /* hash 0xfb0 */
        assert_int_equal(REGISTER(E1000_MTA + 4 * i), i == 0x7d ? 1u << 16 : 0);
    filter.promiscuous = true;
    assert_int_equal(nic_set_filter(nic, &filter), 0);
    assert_true(REGISTER(E1000_RCTL) & E1000_RCTL_UPE);
    end();
}

static void test_another_address(void **state)
{
    static const uint8_t mac[6] = {0x02, 0x11, 0x22, 0x33, 0x44, 0x55}, group[6] = {0x01};

    (void)state;
    assert_int_equal(make_card(true), 1);
    assert_int_equal(nic_set_mac(nic, group), -EINVAL);
    assert_int_equal(nic_set_mac(nic, mac), 0);
    assert_memory_equal(nic->mac, mac, 6);
    assert_int_equal(REGISTER(E1000_RAL), 0x33221102);
    assert_int_equal(REGISTER(E1000_RAH), 0x80005544);
    assert_int_equal(nic_set_large_receive(nic, true), -ENOTSUP);
    end();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bring_up, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_send, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_one_write_for_a_batch, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_checksum, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_receive, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_bad_frames, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_stall, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_never_comes_back, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_hangs_at_first, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_no_address, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_link_and_interrupts, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_filter, setup, support_teardown),
        cmocka_unit_test_setup_teardown(test_another_address, setup, support_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
