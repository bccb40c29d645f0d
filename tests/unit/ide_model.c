/*
 * ide_model.c - see ide_model.h. The model of a channel: task file, bus master, commands, and the
 * machine around it.
 */
#include "ide_model.h"

struct ide_model model;
uint8_t *data;
struct blk_device *disk;

/* ---- the interrupt line ---- */

unsigned irq_isa_line(unsigned isa_irq)
{
    return isa_irq;
}

int irq_line_add(unsigned gsi, bool active_low, bool (*handler)(void *arg), void *arg,
                 const char *name)
{
    (void)active_low;
    (void)name;
    if (gsi == 14) {
        model.handler = handler;
        model.handler_arg = arg;
    }
    return 0;
}

void irq_line_remove(unsigned gsi, bool (*handler)(void *arg), void *arg)
{
    (void)arg;
    if (gsi == 14 && handler == model.handler)
        model.handler = NULL;
}

static void on_interrupt(void *arg)
{
    (void)arg;
    if (model.native && model.pci->intx_handler)
        model.pci->intx_handler(model.pci->intx_arg);
    else if (model.handler)
        model.handler(model.handler_arg);
}

static void raise_line(void)
{
    if (model.drops_interrupts || (model.control & IDE_CONTROL_NO_INTERRUPT))
        return;
    model.bm_status |= IDE_BM_INTERRUPT;
    hosted_interrupt_raise(on_interrupt, NULL);
}

/* ---- the device ---- */

static void finish(uint8_t error)
{
    model.status = error ? 0x40 | IDE_STATUS_ERR : 0x40;
    model.error = error;
    model.command = 0;
    raise_line();
}

uint8_t *at_sector(uint64_t sector)
{
    return &model.image[sector % SECTORS * BLK_SECTOR_SIZE];
}

static bool one_of(const char *commands, uint8_t command)
{
    return command != 0 && strchr(commands, command) != NULL;
}

static bool is_write(void)
{
    return one_of("\x30\x34\xc5\x39\xca\x35", model.command);
}

static void offer_block(void)
{
    bool multiple = one_of("\xc4\x29\xc5\x39", model.command);

    model.in_block = multiple && model.multiple < model.sectors ? model.multiple : 1;
    if (multiple && model.multiple >= model.sectors)
        model.in_block = model.sectors;
    model.offset = 0;
    model.status = 0x40 | IDE_STATUS_DRQ;
}

static void move_by_dma(void)
{
    const struct ide_prd *prd =
        hosted_dma_device_pointer(model.table, IDE_PRD_MAX * sizeof(*prd), false);
    uint64_t left = model.sectors * BLK_SECTOR_SIZE;
    bool write = is_write();
    uint8_t *at = at_sector(model.sector);

    assert_int_equal(write, !(model.bm_command & IDE_BM_TO_MEMORY));
    for (unsigned i = 0;; i++) {
        uint32_t length = prd[i].length ? prd[i].length : 0x10000;
        uint8_t *memory = hosted_dma_device_pointer(prd[i].address, length, !write);

        assert_non_null(memory);
        assert_int_equal(prd[i].address % 2, 0);
        assert_true(prd[i].address % 0x10000 + length <= 0x10000);
        assert_true(length <= left);
        if (model.short_dma) {
            model.bm_status |= IDE_BM_ACTIVE;
            break;
        }
        memcpy(write ? at : memory, write ? memory : at, length);
        at += length;
        left -= length;
        if (prd[i].flags & IDE_PRD_LAST)
            break;
    }
    assert_true(left == 0 || model.short_dma);
    if (!model.short_dma)
        model.bm_status &= (uint8_t)~IDE_BM_ACTIVE;
    finish(0);
}

/* Time passes: what the device does on its own. */
static void world(void *arg)
{
    (void)arg;
    if (!model.working || model.busy_for_ever)
        return;
    if (model.errors > 0) {
        model.errors--;
        model.working = false;
        finish(model.error_bits);
        return;
    }
    switch (model.command) {
    case 0xc8:
    case 0x25:
    case 0xca:
    case 0x35:
        if (!(model.bm_command & IDE_BM_START))
            return;
        model.working = false;
        move_by_dma();
        break;
    case 0xe7:
    case 0xea:
        model.working = false;
        finish(0);
        if (model.wants_data)
            model.status |= IDE_STATUS_DRQ;
        break;
    default:
        model.working = false;
        if (is_write() && model.sectors == 0) {
            finish(0);
        } else {
            offer_block();
            raise_line();
        }
    }
}

static void start(uint8_t command)
{
    bool lba48 = one_of("\x24\x29\x25\x34\x39\x35\xea", command);

    assert_false(model.status & (IDE_STATUS_BSY | IDE_STATUS_DRQ));
    model.commands[command]++;
    model.command = command;
    model.status = IDE_STATUS_BSY;
    model.sectors = model.now[IDE_COUNT] ? model.now[IDE_COUNT] : 256;
    model.sector = model.now[IDE_LBA_LOW] | model.now[IDE_LBA_MID] << 8 |
                   (uint64_t)model.now[IDE_LBA_HIGH] << 16;
    if (lba48) {
        model.sectors = model.now[IDE_COUNT] | (uint32_t)model.before[IDE_COUNT] << 8;
        model.sector |=
            (uint64_t)model.before[IDE_LBA_LOW] << 24 | (uint64_t)model.before[IDE_LBA_MID] << 32;
    } else {
        model.sector |= (uint64_t)(model.now[IDE_DEVICE] & 15u) << 24;
    }
    if (command == 0xec && model.packet_device) {
        model.now[IDE_LBA_MID] = 0x14;
        model.now[IDE_LBA_HIGH] = 0xeb;
        finish(IDE_ERROR_ABRT);
    } else if (command == 0xec || command == 0xa1) {
        model.answer = model.id;
        model.offset = 0;
        model.in_block = model.sectors = 1;
        model.status = 0x40 | IDE_STATUS_DRQ;
    } else if (command == 0xc6) {
        model.multiple = model.now[IDE_COUNT];
        finish(model.multiple > 16 ? IDE_ERROR_ABRT : 0);
    } else {
        model.working = true;
        if (is_write() && command != 0xca && command != 0x35 && !model.errors &&
            !model.busy_for_ever) {
            model.working = false;
            offer_block();
        }
    }
}

static void moved_word(void)
{
    model.offset += 2;
    if (model.offset < model.in_block * BLK_SECTOR_SIZE)
        return;
    model.sector += model.in_block;
    model.sectors -= model.in_block;
    if (model.answer || (model.sectors == 0 && !is_write())) {
        model.answer = NULL;
        model.status = 0x40;
        model.command = 0;
        return;
    }
    model.status = IDE_STATUS_BSY;
    model.working = true;
}

static uint64_t command_read(void *arg, uint64_t offset, unsigned width)
{
    uint16_t word;

    (void)arg;
    if (offset != IDE_DATA) {
        assert_int_equal(width, 1);
        if (model.now[IDE_DEVICE] & IDE_DEVICE_1)
            return 0; /* nobody is there */
        if (offset == IDE_STATUS) {
            hosted_interrupt_cancel(on_interrupt, NULL);
            return model.busy_for_ever ? IDE_STATUS_BSY : model.status;
        }
        return offset == IDE_ERROR ? model.error : model.now[offset];
    }
    assert_int_equal(width, 2);
    assert_true(model.status & IDE_STATUS_DRQ);
    if (model.answer)
        word = model.answer[model.offset / 2];
    else
        memcpy(&word, at_sector(model.sector) + model.offset, 2);
    moved_word();
    return word;
}

static void command_write(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    uint16_t word = (uint16_t)value;

    (void)arg;
    if (offset == IDE_DATA) {
        assert_int_equal(width, 2);
        assert_true(model.status & IDE_STATUS_DRQ);
        memcpy(at_sector(model.sector) + model.offset, &word, 2);
        moved_word();
        return;
    }
    assert_int_equal(width, 1);
    model.before[offset] = model.now[offset];
    model.now[offset] = (uint8_t)value;
    if (offset == IDE_COMMAND)
        start((uint8_t)value);
}

static uint64_t control_read(void *arg, uint64_t offset, unsigned width)
{
    (void)arg;
    (void)offset;
    assert_int_equal(width, 1);
    if (model.now[IDE_DEVICE] & IDE_DEVICE_1)
        return 0;
    return model.busy_for_ever ? IDE_STATUS_BSY : model.status;
}

static void control_write(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    (void)arg;
    (void)offset;
    assert_int_equal(width, 1);
    if ((model.control & IDE_CONTROL_RESET) && !(value & IDE_CONTROL_RESET)) {
        model.resets++;
        model.multiple = 1;
        model.working = false;
        model.busy_for_ever = model.reset_hangs;
        model.status = 0x40;
        model.command = 0;
        model.now[IDE_DEVICE] = 0;
    }
    model.control = (uint8_t)value;
}

/* The control register is the third of the four in its BAR. */
static uint64_t native_control_read(void *arg, uint64_t offset, unsigned width)
{
    assert_int_equal(offset, 2);
    return control_read(arg, 0, width);
}

static void native_control_write(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    assert_int_equal(offset, 2);
    control_write(arg, 0, width, value);
}

static uint64_t master_read(void *arg, uint64_t offset, unsigned width)
{
    (void)arg;
    assert_int_equal(width, 1);
    return offset == IDE_BM_STATUS    ? model.bm_status
           : offset == IDE_BM_COMMAND ? model.bm_command
                                      : 0;
}

static void master_write(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    (void)arg;
    if (offset == IDE_BM_TABLE) {
        assert_int_equal(width, 4);
        model.table = (uint32_t)value;
    } else if (offset == IDE_BM_STATUS) {
        model.bm_status &= (uint8_t) ~(value & (IDE_BM_ERROR | IDE_BM_INTERRUPT));
    } else if (offset == IDE_BM_COMMAND) {
        if ((value & IDE_BM_START) && !(model.bm_command & IDE_BM_START)) {
            assert_true(fake_pci_is_master(model.pci));
            model.bm_status |= IDE_BM_ACTIVE;
        }
        model.bm_command = (uint8_t)value;
    }
}

/* ---- the machine ---- */

void put_word(unsigned index, uint16_t value)
{
    model.id[index] = value;
}

static void identity(void)
{
    static const char name[] = "MODEL DISK";

    memset(&model.id[27], ' ', 40);
    for (unsigned i = 0; i < sizeof(name) - 1; i += 2)
        put_word(27 + i / 2, (uint16_t)(name[i] << 8 | name[i + 1]));
    put_word(47, 0x8010);
    put_word(49, 0x0300);
    put_word(60, 0xffff);
    put_word(61, 0x0fff);
    put_word(83, 0x4000 | 0x0400 | 0x1000 | 0x2000);
    put_word(100, 0x1000); /* 2^28 + 4096 sectors */
    put_word(101, 0x1000);
}

unsigned make_disk(const char *mode, bool interrupts)
{
    static const struct hosted_registers command = {.name = "command block",
                                                    .address = HOSTED_PORT_BASE + 0x1f0,
                                                    .size = 8,
                                                    .read = command_read,
                                                    .write = command_write};
    static const struct hosted_registers control = {.name = "control block",
                                                    .address = HOSTED_PORT_BASE + 0x3f6,
                                                    .size = 1,
                                                    .read = control_read,
                                                    .write = control_write};
    static const struct hosted_registers native_command = {
        .name = "native command block", .read = command_read, .write = command_write};
    static const struct hosted_registers native_control = {
        .name = "native control block", .read = native_control_read, .write = native_control_write};
    static const struct hosted_registers master = {
        .name = "bus master", .read = master_read, .write = master_write};
    unsigned disks;

    fake_pci_reset();
    model.pci = fake_pci_add(0x8086, 0x7010);
    model.pci->fn.class_code = 0x010180;
    model.pci->config[0x41] = model.pci->config[0x43] = 0x80; /* both channels are decoded */
    fake_pci_set_io_bar(model.pci, 4, 16, &master);
    if (model.native) {
        model.pci->fn.class_code = 0x010185;
        for (unsigned channel = 0; channel < 2; channel++) {
            fake_pci_set_io_bar(model.pci, 2 * channel, 8, &native_command);
            fake_pci_set_io_bar(model.pci, 2 * channel + 1, 4, &native_control);
        }
    } else {
        hosted_registers_add(&command);
        hosted_registers_add(&control);
    }
    pci_command(&model.pci->fn, PCI_COMMAND_IO, 0);
    for (unsigned i = 0; i < sizeof(model.image); i++)
        model.image[i] = (uint8_t)(i * 7 + i / BLK_SECTOR_SIZE);
    model.status = 0x40;
    hosted_world_add(world, NULL);
    data = platform_dma_alloc(DATA_SIZE, 4096);
    disks = ide_scan(mode, interrupts);
    disk = blk_device_at(0);
    assert_int_equal(disk != NULL, disks > 0);
    return disks;
}

void end(void)
{
    ide_shutdown();
    hosted_world_remove(world, NULL);
    assert_null(blk_device_at(0));
    platform_dma_free(data, DATA_SIZE);
    fake_pci_reset();
}

/* The second channel is empty: nothing drives its bus. */
static uint64_t floating_read(void *arg, uint64_t offset, unsigned width)
{
    (void)arg;
    (void)offset;
    return width == 1 ? 0xff : 0xffff;
}

static void floating_write(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    (void)arg;
    (void)offset;
    (void)width;
    (void)value;
}

int setup(void **state)
{
    static const struct hosted_registers command = {.name = "second command block",
                                                    .address = HOSTED_PORT_BASE + 0x170,
                                                    .size = 8,
                                                    .read = floating_read,
                                                    .write = floating_write};
    static const struct hosted_registers control = {.name = "second control block",
                                                    .address = HOSTED_PORT_BASE + 0x376,
                                                    .size = 1,
                                                    .read = floating_read,
                                                    .write = floating_write};

    support_setup(state);
    memset(&model, 0, sizeof(model));
    model.multiple = 1;
    identity();
    hosted_registers_add(&command);
    hosted_registers_add(&control);
    return 0;
}
