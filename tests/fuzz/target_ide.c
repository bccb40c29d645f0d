/*
 * target_ide.c - the IDE driver (blk/ide.h) and the block layer above it under a controller whose
 * registers, disks and bus master are the input's.
 *
 * Without input it is a good one: a disk at the first place of the first channel, which has a
 * command done at once. Read disk_user.h for who uses it.
 */
#include "blk/ide.h"

#include "blk/ide_impl.h"
#include "disk_user.h"
#include "fuzz.h"
#include "hosted/fake_pci.h"
#include "hostile.h"
#include "lies.h"
#include "lines.h"
#include "loop.h"

/* The first and the longest pause between two looks of a driver that waits. */
#define NAP_MIN_NS 1000u
#define NAP_MAX_NS 1000000000u
#define TURNS 48u
#define OP_ACT 0x80u
#define READY 0x40u

/* How the controller is made, by the first byte of the input. */
enum { POLLED = 1, WITHOUT_DMA = 2, NATIVE = 4, WITHOUT_MASTER = 8, OTHER_IDENTITY = 16 };

static struct channel {
    struct fake_function *pci;
    struct lies lies;
    uint16_t identity[IDE_IDENTIFY_WORDS];
    uint8_t reg[8], status, error, control, master_command, master_status;
    uint32_t table;
    uint32_t words;  /* of data, until the device looks up again */
    unsigned blocks; /* of data after these */
    bool identifies;
    bool writes, held; /* to the disk; nothing is done for now */
    unsigned multiple;
} channel;

static uint64_t nap_ns;

static void interrupt(void)
{
    channel.master_status |= IDE_BM_INTERRUPT;
    if (channel.control & IDE_CONTROL_NO_INTERRUPT)
        return;
    fake_pci_set_intx(channel.pci, true);
    lines_raise(14);
}

static void end_command(uint8_t error)
{
    channel.words = channel.blocks = 0;
    channel.identifies = false;
    channel.error = error;
    channel.status = error ? READY | IDE_STATUS_ERR : READY;
    interrupt();
}

/* ---- data ---- */

/* The bus master moves the same byte everywhere, and less than it should if the input says so. */
static void move_by_dma(uint8_t value, unsigned most)
{
    const struct ide_prd *prd =
        hosted_dma_device_pointer(channel.table, IDE_PRD_MAX * sizeof(*prd), false);

    for (unsigned i = 0; prd && i < most && i < IDE_PRD_MAX; i++) {
        uint32_t len = prd[i].length ? prd[i].length : 0x10000;
        uint8_t *memory = hosted_dma_device_pointer(prd[i].address, len,
                                                    channel.master_command & IDE_BM_TO_MEMORY);

        if (!memory)
            hosted_fail("the bus master was sent to memory that is not mapped");
        if (channel.master_command & IDE_BM_TO_MEMORY)
            memset(memory, value, len);
        if (prd[i].flags & IDE_PRD_LAST) {
            channel.master_status &= (uint8_t)~IDE_BM_ACTIVE;
            break;
        }
    }
    end_command(0);
}

static void offer_block(unsigned sectors)
{
    channel.words = sectors * BLK_SECTOR_SIZE / 2;
    channel.status = READY | IDE_STATUS_DRQ;
}

static void moved_word(void)
{
    if (channel.words == 0 || --channel.words > 0)
        return;
    channel.status = READY;
    if (channel.blocks > 0) {
        channel.blocks--;
        offer_block(channel.multiple);
        interrupt();
    } else if (channel.writes) {
        end_command(0);
    }
}

static void start(uint8_t command)
{
    unsigned sectors = channel.reg[IDE_COUNT] ? channel.reg[IDE_COUNT] : 256;

    channel.writes = command & 0x10;
    switch (command) {
    case 0xec:
    case 0xa1:
        channel.identifies = true;
        channel.writes = false;
        channel.blocks = 0;
        offer_block(1);
        break;
    case 0xc8:
    case 0x25:
    case 0xca:
    case 0x35: /* the bus master begins */
        break;
    case 0x20:
    case 0x24:
    case 0x30:
    case 0x34:
    case 0xc4:
    case 0x29:
    case 0xc5:
    case 0x39:
        channel.blocks = (sectors - 1) / channel.multiple;
        offer_block(channel.blocks ? channel.multiple : sectors);
        interrupt();
        break;
    case 0xc6:
        channel.multiple = sectors <= 16 ? sectors : 1;
        end_command(0);
        break;
    default:
        end_command(0);
    }
}

/* ---- registers ---- */

/* Whoever looks has heard the interrupt; a line that is held for ever is the kernel's to mask. */
static void let_line_go(void)
{
    fake_pci_set_intx(channel.pci, false);
}

static uint64_t read_command_block(void *arg, uint64_t offset, unsigned width)
{
    uint16_t word = 0;

    (void)arg;
    if (width == 2) {
        if (channel.identifies)
            word = channel.identity[(IDE_IDENTIFY_WORDS - channel.words) % IDE_IDENTIFY_WORDS];
        moved_word();
        return word;
    }
    if (offset == IDE_STATUS)
        let_line_go();
    if (channel.reg[IDE_DEVICE] & IDE_DEVICE_1)
        return lies_answer(&channel.lies, 0) & 0xff;
    return lies_answer(&channel.lies, offset == IDE_STATUS  ? channel.status
                                      : offset == IDE_ERROR ? channel.error
                                                            : channel.reg[offset]) &
           0xff;
}

static void write_command_block(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    (void)arg;
    if (width == 2) {
        moved_word();
        return;
    }
    channel.reg[offset % 8] = (uint8_t)value;
    if (offset == IDE_COMMAND && !channel.held)
        start((uint8_t)value);
}

static uint64_t read_control(void *arg, uint64_t offset, unsigned width)
{
    (void)arg;
    (void)offset;
    (void)width;
    return lies_answer(&channel.lies, channel.reg[IDE_DEVICE] & IDE_DEVICE_1 ? 0 : channel.status) &
           0xff;
}

static void write_control(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    (void)arg;
    (void)offset;
    (void)width;
    if (value & IDE_CONTROL_RESET) {
        channel.words = channel.blocks = 0;
        channel.multiple = 1;
        channel.status = READY;
    }
    channel.control = (uint8_t)value;
}

static uint64_t read_master(void *arg, uint64_t offset, unsigned width)
{
    (void)arg;
    (void)width;
    if (offset == IDE_BM_STATUS)
        let_line_go();
    return lies_answer(&channel.lies, offset == IDE_BM_STATUS ? channel.master_status : 0) & 0xff;
}

static void write_master(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    (void)arg;
    (void)width;
    if (offset == IDE_BM_TABLE)
        channel.table = (uint32_t)value;
    else if (offset == IDE_BM_STATUS)
        channel.master_status &= (uint8_t) ~(value & (IDE_BM_ERROR | IDE_BM_INTERRUPT));
    else if (offset == IDE_BM_COMMAND) {
        channel.master_command = (uint8_t)value;
        if (value & IDE_BM_START && !channel.held) {
            channel.master_status |= IDE_BM_ACTIVE;
            move_by_dma(0, IDE_PRD_MAX);
        }
    }
}

/* Nobody drives the bus of the second channel. */
static uint64_t read_floating(void *arg, uint64_t offset, unsigned width)
{
    (void)arg;
    (void)offset;
    return width == 1 ? 0xff : 0xffff;
}

static void write_floating(void *arg, uint64_t offset, unsigned width, uint64_t value)
{
    (void)arg;
    (void)offset;
    (void)width;
    (void)value;
}

/* ---- what the controller does ---- */

static void act(struct input *input)
{
    switch (input_u8(input) % 8) {
    case 0:
        end_command(input_u8(input));
        break;
    case 1:
        channel.status = input_u8(input);
        interrupt();
        break;
    case 2:
        channel.master_status = input_u8(input);
        break;
    case 3:
        channel.held = !channel.held;
        break;
    case 4:
        if (channel.master_command & IDE_BM_START)
            move_by_dma(input_u8(input), input_u8(input));
        break;
    case 5:
        hosted_clock_advance(input_u16(input) * UINT64_C(1000000));
        break;
    case 6:
        offer_block(input_u8(input) % 16);
        interrupt();
        break;
    default:
        lies_begin(&channel.lies);
    }
}

/* ---- a run ---- */

static void identify(struct input *input, bool other)
{
    channel.identity[47] = 0x8010;
    channel.identity[49] = 0x0300;
    channel.identity[60] = 256;
    channel.identity[83] = 0x4000 | 0x0400 | 0x1000 | 0x2000;
    channel.identity[100] = 256;
    for (unsigned n = other ? input_u8(input) % 16 : 0; n; n--) {
        uint8_t at = input_u8(input);

        channel.identity[at] = input_u16(input);
    }
}

static void add_ports(uint16_t port, uint64_t size, const struct hosted_registers *like)
{
    struct hosted_registers registers = *like;

    registers.address = HOSTED_PORT_BASE + port;
    registers.size = size;
    hosted_registers_add(&registers);
}

static void add_controller(uint8_t shape)
{
    static const struct hosted_registers command = {
        .name = "command", .read = read_command_block, .write = write_command_block};
    static const struct hosted_registers control = {
        .name = "control", .read = read_control, .write = write_control};
    static const struct hosted_registers master = {
        .name = "master", .read = read_master, .write = write_master};
    static const struct hosted_registers floating = {
        .name = "floating", .read = read_floating, .write = write_floating};

    fake_pci_reset();
    channel.pci = fake_pci_add(0x8086, 0x7010);
    channel.pci->fn.class_code =
        0x010100 | (shape & WITHOUT_MASTER ? 0 : 0x80) | (shape & NATIVE ? 1 : 0);
    fake_pci_set_io_bar(channel.pci, 4, 16, &master);
    if (shape & NATIVE) {
        fake_pci_set_io_bar(channel.pci, 0, 8, &command);
        fake_pci_set_io_bar(channel.pci, 1, 4, &control);
    } else {
        add_ports(0x1f0, 8, &command);
        add_ports(0x3f6, 1, &control);
    }
    add_ports(0x170, 8, &floating);
    add_ports(0x376, 1, &floating);
}

/* The driver waits. Longer and longer pauses let its time-outs pass within a few looks. */
static void nap(void *arg)
{
    (void)arg;
    hosted_clock_advance(nap_ns);
    if (nap_ns < NAP_MAX_NS)
        nap_ns *= 2;
}

static void use(struct input *input)
{
    for (unsigned turn = 0; turn < TURNS && !input_is_empty(input); turn++) {
        uint8_t op = input_u8(input);

        nap_ns = NAP_MIN_NS;
        if (op & OP_ACT)
            act(input);
        else
            disk_user_use(op, input);
        hosted_interrupts_deliver();
        loop_turn();
    }
}

void fuzz_ide(struct input *input, bool packed)
{
    uint8_t *memory = hostile_memory();
    unsigned allocations = hosted_dma_allocations();
    bool behaves = input_is_empty(input);
    uint8_t shape = input_u8(input);

    (void)packed;
    hosted_rewind();
    hosted_world_add(nap, NULL);
    nap_ns = NAP_MIN_NS;
    loop_set_polling(false);
    channel = (struct channel){.lies = {.input = input}, .status = READY, .multiple = 1};
    channel.reg[IDE_COUNT] = channel.reg[IDE_LBA_LOW] = 1;
    identify(input, shape & OTHER_IDENTITY);
    add_controller(shape);
    lies_begin(&channel.lies);
    ide_scan(shape & WITHOUT_DMA ? "pio" : NULL, !(shape & POLLED));
    if (behaves && !disk_user_found())
        hosted_fail("a good disk was not found");
    disk_user_start(memory);
    use(input);
    ide_shutdown();
    disk_user_check();
    if (hosted_dma_allocations() != allocations || hosted_dma_mappings())
        hosted_fail("%u allocations, %u mappings are left", hosted_dma_allocations(),
                    hosted_dma_mappings());
    fake_pci_reset();
}
