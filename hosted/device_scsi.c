/*
 * device_scsi.c - the model SCSI host (5.6) and the disks behind it.
 *
 * Each command is checked against 5.6.6.1, the limits of the configuration and its own CDB before
 * it is done on a disk in memory. What goes wrong on purpose is in struct device_scsi. Read
 * device.c first.
 */
#include "hosted/device_scsi_impl.h"

#include <stdlib.h>
#include <string.h>

#include "hosted/violation.h"

#define SENSE_AT 12u

enum { GOOD = 0, CHECK_CONDITION = 2 };
enum { OK = 0, BAD_TARGET = 3 };

static const struct device_field fields[] = {
    {SCSI_CONFIG_NUM_QUEUES, 4, 7, DEVICE_NO_FEATURE},
    {SCSI_CONFIG_MAX_CHANNEL, 2, 2, DEVICE_NO_FEATURE},
    {SCSI_CONFIG_MAX_LUN, 4, 1, DEVICE_NO_FEATURE},
};

const struct device_scsi_setup device_scsi_ordinary = {.num_queues = 1,
                                                       .seg_max = 126,
                                                       .max_sectors = 0xffff,
                                                       .cmd_per_lun = 128,
                                                       .event_info_size = 16,
                                                       .sense_size = 96,
                                                       .cdb_size = 32,
                                                       .max_target = 255,
                                                       .max_lun = 16383,
                                                       .features = UINT64_C(1) << SCSI_F_HOTPLUG |
                                                                   UINT64_C(1) << SCSI_F_CHANGE,
                                                       .queue_size = 128,
                                                       .msix_vectors = 3};

uint64_t device_scsi_get_be(const uint8_t *from, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | *from++;
    return value;
}

void device_scsi_put_be(uint8_t *to, unsigned bytes, uint64_t value)
{
    while (bytes-- > 0) {
        to[bytes] = (uint8_t)value;
        value >>= 8;
    }
}

static struct device_scsi_unit *find(struct device_scsi *scsi, unsigned target, unsigned lun)
{
    for (unsigned i = 0; i < DEVICE_SCSI_UNITS; i++) {
        struct device_scsi_unit *unit = &scsi->unit[i];
        if (unit->present && unit->target == target && (lun == DEVICE_SCSI_ANY || unit->lun == lun))
            return unit;
    }
    return NULL;
}

struct device_scsi_unit *device_scsi_add(struct device_scsi_unit *units, unsigned target,
                                         unsigned lun, uint64_t blocks)
{
    for (unsigned i = 0; i < DEVICE_SCSI_UNITS; i++) {
        uint8_t *disk = units[i].disk;
        if (units[i].present)
            continue;
        units[i] = (struct device_scsi_unit){.present = true,
                                             .target = (uint8_t)target,
                                             .lun = (uint16_t)lun,
                                             .blocks = blocks,
                                             .block_size = 512,
                                             .write_cache = true,
                                             .product = "MODEL DISK",
                                             .disk = disk};
        return &units[i];
    }
    hosted_fail("too many SCSI units");
}

/* ---- answers ---- */

void device_scsi_set_sense(struct device_scsi_command *command, bool descriptor, uint8_t key,
                           uint8_t asc, uint8_t ascq)
{
    uint8_t *sense = command->response + SENSE_AT;
    uint32_t length = descriptor ? 8 : 18;

    memset(sense, 0, DEVICE_SCSI_RESPONSE - SENSE_AT);
    sense[0] = descriptor ? 0x72 : 0x70;
    sense[descriptor ? 1 : 2] = key;
    sense[descriptor ? 2 : 12] = asc;
    sense[descriptor ? 3 : 13] = ascq;
    memcpy(command->response, &length, 4);
    command->response[10] = CHECK_CONDITION;
}

static void set_residual(struct device_scsi_command *command, uint32_t residual)
{
    memcpy(command->response + 4, &residual, 4);
}

static void push(struct device_scsi *scsi, struct device_scsi_command *command)
{
    ring_chain_write(command->chain, 0, command->response, DEVICE_SCSI_RESPONSE);
    /* As QEMU has it: data that was read counts as well. */
    ring_device_push(&scsi->device.queue[SCSI_QUEUE_REQUEST].ring, command->chain,
                     DEVICE_SCSI_RESPONSE + command->moved);
}

void device_scsi_give(struct device_scsi_command *command, const void *data, uint32_t length)
{
    if (length > command->in)
        length = command->in;
    ring_chain_write(command->chain, DEVICE_SCSI_RESPONSE, data, length);
    command->moved = length;
    set_residual(command, command->in - length);
}

/* ---- commands ---- */

static void report_luns(struct device_scsi *scsi, struct device_scsi_command *command)
{
    uint8_t list[8 + 8 * DEVICE_SCSI_UNITS] = {0};
    unsigned n = 0;

    scsi->scanned++;
    for (unsigned i = 0; i < DEVICE_SCSI_UNITS; i++) {
        struct device_scsi_unit *unit = &scsi->unit[i];
        if (!unit->present || unit->target != command->target)
            continue;
        device_scsi_put_be(list + 8 + 8 * n, 2, unit->lun > 255 ? 0x4000u | unit->lun : unit->lun);
        n++;
    }
    device_scsi_put_be(list, 4, 8 * n);
    device_scsi_give(command, list, 8 + 8 * n);
}

static void inquiry(struct device_scsi_command *command)
{
    uint8_t data[36] = {0x7f, 0, 6, 2, 31};

    if ((command->cdb[1] & 1) && command->unit) {
        device_scsi_page(command);
        return;
    }
    memset(data + 8, ' ', 28);
    if (command->unit) {
        data[0] = (uint8_t)(command->unit->qualifier << 5 | command->unit->type);
        memcpy(data + 8, "FERRULE", 7);
        memcpy(data + 16, command->unit->product, strlen(command->unit->product));
    }
    device_scsi_give(command, data, sizeof(data));
}

static void read_capacity(struct device_scsi_command *command, unsigned width)
{
    uint8_t data[32] = {0};
    uint64_t last = command->unit->blocks - 1;

    if (width == 4 && last > UINT32_MAX)
        last = UINT32_MAX;
    device_scsi_put_be(data, width, last);
    device_scsi_put_be(data + width, 4, command->unit->block_size);
    data[14] = command->unit->provisioned ? 0x80 : 0;
    device_scsi_give(command, data, width == 8 ? 32 : 8);
}

static void mode_sense(struct device_scsi_command *command)
{
    /* A block descriptor, a page of another kind, one with subpages, and the caching page. */
    uint8_t data[64] = {0, 0, 0, 8};

    data[2] = command->unit->read_only ? 0x80 : 0;
    data[12] = 0x01;
    data[13] = 10;
    data[24] = 0x40 | 0x0a;
    data[25] = 1;
    data[27] = 4;
    data[32] = 0x08;
    data[33] = 18;
    data[34] = command->unit->write_cache ? 0x04 : 0;
    data[0] = 51;
    device_scsi_give(command, data, 52);
}

static void check_transfer(struct device_scsi *scsi, const struct device_scsi_command *command,
                           uint64_t block, uint64_t blocks, uint32_t bytes, bool write)
{
    const struct device_scsi_unit *unit = command->unit;
    unsigned pieces = write ? command->chain->out - 1 : command->chain->in - 1;

    if (blocks * unit->block_size != bytes)
        violation("SCSI-T-REQ-1", "%llu blocks in the CDB, %u bytes of data",
                  (unsigned long long)blocks, bytes);
    if (block > unit->blocks || blocks > unit->blocks - block)
        violation("SCSI-T-REQ-1", "%llu blocks at %llu of %llu", (unsigned long long)blocks,
                  (unsigned long long)block, (unsigned long long)unit->blocks);
    if (pieces > scsi->setup.seg_max || bytes / 512 > scsi->setup.max_sectors)
        violation("SCSI-CFG-2", "%u segments, %u sectors", pieces, bytes / 512);
}

static void transfer(struct device_scsi *scsi, struct device_scsi_command *command, bool write)
{
    bool wide = command->cdb[0] >= 0x80;
    uint64_t block = device_scsi_get_be(command->cdb + 2, wide ? 8 : 4);
    uint64_t blocks =
        wide ? device_scsi_get_be(command->cdb + 10, 4) : device_scsi_get_be(command->cdb + 7, 2);
    uint32_t bytes = write ? command->out : command->in;
    uint64_t at = block * command->unit->block_size;

    check_transfer(scsi, command, block, blocks, bytes, write);
    if (write && command->unit->read_only) {
        device_scsi_set_sense(command, false, 0x7, 0x27, 0);
        return;
    }
    if (block > command->unit->blocks || blocks > command->unit->blocks - block) {
        device_scsi_set_sense(command, false, 0x5, 0x21, 0);
        return;
    }
    command->moved = bytes;
    if (at + bytes > DEVICE_SCSI_DISK)
        return;
    if (write)
        ring_chain_read(command->chain, DEVICE_SCSI_REQUEST, command->unit->disk + at, bytes);
    else
        ring_chain_write(command->chain, DEVICE_SCSI_RESPONSE, command->unit->disk + at, bytes);
}

static bool is_known(const struct device_scsi_unit *unit, uint8_t opcode)
{
    if (opcode == 0x9e)
        return !unit->no_16;
    if (opcode >= 0x80 && opcode < 0xa0)
        return !unit->no_16 && !unit->refuses_rw_16;
    return !(opcode == 0x1a && unit->no_mode_sense) && !(opcode == 0xa0 && unit->no_report_luns);
}

static void test_ready(struct device_scsi_command *command)
{
    if (!command->unit->not_ready)
        return;
    command->unit->not_ready--;
    device_scsi_set_sense(command, false, 0x2, 0x04, 0x01);
}

static void do_on_unit(struct device_scsi *scsi, struct device_scsi_command *command)
{
    struct device_scsi_unit *unit = command->unit;

    if (unit->attentions) {
        uint16_t code = unit->attention[--unit->attentions];
        device_scsi_set_sense(command, false, 0x6, (uint8_t)(code >> 8), (uint8_t)code);
        return;
    }
    switch (command->cdb[0]) {
    case 0x00:
        test_ready(command);
        break;
    case 0x1a:
        mode_sense(command);
        break;
    case 0x25:
        read_capacity(command, 4);
        break;
    case 0x9e:
        read_capacity(command, 8);
        break;
    case 0x28:
    case 0x88:
        transfer(scsi, command, false);
        break;
    case 0x2a:
    case 0x8a:
        transfer(scsi, command, true);
        break;
    case 0x35:
    case 0x91:
        unit->flushes++;
        break;
    case 0x42:
        device_scsi_unmap(command);
        break;
    case 0x93:
        device_scsi_write_same(command);
        break;
    default:
        violation("SCSI-T-REQ-1", "operation code %#x", command->cdb[0]);
        device_scsi_set_sense(command, false, 0x5, 0x20, 0);
    }
}

static void execute(struct device_scsi *scsi, struct device_scsi_command *command)
{
    uint8_t opcode = command->cdb[0];

    if (!find(scsi, command->target, DEVICE_SCSI_ANY)) {
        command->response[11] = BAD_TARGET;
        set_residual(command, command->in + command->out);
    } else if (command->unit && !is_known(command->unit, opcode)) {
        device_scsi_set_sense(command, false, 0x5, 0x20, 0);
        set_residual(command, command->in + command->out);
    } else if (opcode == 0xa0) {
        report_luns(scsi, command);
    } else if (opcode == 0x12) {
        inquiry(command);
    } else if (!command->unit) {
        device_scsi_set_sense(command, false, 0x5, 0x25, 0);
    } else {
        do_on_unit(scsi, command);
    }
}

/* ---- what goes wrong ---- */

static struct device_scsi_fault *next_fault(struct device_scsi *scsi,
                                            const struct device_scsi_command *command)
{
    for (unsigned i = 0; i < DEVICE_SCSI_FAULTS; i++) {
        struct device_scsi_fault *fault = &scsi->fault[i];
        if (!fault->count ||
            (fault->opcode != DEVICE_SCSI_ANY && fault->opcode != command->cdb[0]) ||
            (fault->target != DEVICE_SCSI_ANY && fault->target != command->target))
            continue;
        if (fault->skip) {
            fault->skip--;
            continue;
        }
        fault->count--;
        return fault;
    }
    return NULL;
}

static void go_wrong(struct device_scsi *scsi, struct device_scsi_command *command,
                     const struct device_scsi_fault *fault)
{
    if (fault->silent)
        return;
    if (fault->untouched) {
        ring_device_push(&scsi->device.queue[SCSI_QUEUE_REQUEST].ring, command->chain, 0);
        return;
    }
    if (fault->executes)
        execute(scsi, command);
    if (fault->key)
        device_scsi_set_sense(command, fault->descriptor, fault->key, fault->asc, fault->ascq);
    if (fault->sense_code)
        command->response[SENSE_AT] = fault->sense_code;
    if (fault->sense_len)
        memcpy(command->response, &fault->sense_len, 4);
    if (fault->status)
        command->response[10] = fault->status;
    command->response[11] = fault->response;
    set_residual(command, fault->residual);
    push(scsi, command);
}

/* ---- queues ---- */

static bool parse(struct device_scsi *scsi, struct ring_chain *chain,
                  struct device_scsi_command *command)
{
    uint8_t request[DEVICE_SCSI_REQUEST];

    memset(command, 0, sizeof(*command));
    command->chain = chain;
    if (device_is_legacy(&scsi->device) && chain->out && chain->piece[0].len != DEVICE_SCSI_REQUEST)
        violation("LEG-SCSI-FRAME-1", "header and CDB in a descriptor of %u bytes",
                  chain->piece[0].len);
    if (device_is_legacy(&scsi->device) && chain->in &&
        chain->piece[chain->out].len != DEVICE_SCSI_RESPONSE)
        violation("LEG-SCSI-FRAME-2", "response and sense in a descriptor of %u bytes",
                  chain->piece[chain->out].len);
    if (chain->readable < DEVICE_SCSI_REQUEST || chain->writable < DEVICE_SCSI_RESPONSE) {
        violation("SCSI-T-REQ-1", "a command of %u readable and %u writable bytes", chain->readable,
                  chain->writable);
        return false;
    }
    ring_chain_read(chain, 0, request, DEVICE_SCSI_REQUEST);
    if (request[0] != 1 || request[4] || request[5] || request[6] || request[7])
        violation("SCSI-T-REQ-1", "the address is no single-level LUN");
    if (request[16] || request[17] || request[18])
        violation("SCSI-REQ-1", "task_attr %u prio %u crn %u", request[16], request[17],
                  request[18]);
    command->target = request[1];
    command->lun = (unsigned)device_scsi_get_be(request + 2, 2) & 0x3fff;
    if (command->target > scsi->setup.max_target || command->lun > scsi->setup.max_lun)
        violation("SCSI-T-REQ-1", "target %u LUN %u do not exist", command->target, command->lun);
    memcpy(command->cdb, request + 19, sizeof(command->cdb));
    command->out = chain->readable - DEVICE_SCSI_REQUEST;
    command->in = chain->writable - DEVICE_SCSI_RESPONSE;
    command->unit = find(scsi, command->target, command->lun);
    return true;
}

static bool is_transfer(uint8_t opcode)
{
    return opcode == 0x28 || opcode == 0x2a || opcode == 0x35 || opcode == 0x88 || opcode == 0x8a ||
           opcode == 0x91 || opcode == 0x42 || opcode == 0x93;
}

static void hold(struct device_scsi *scsi, struct device_scsi_command *command)
{
    scsi->held[scsi->held_count++] = command->chain;
    if (!command->unit)
        return;
    command->unit->held++;
    if (command->unit->held > command->unit->held_most)
        command->unit->held_most = command->unit->held;
    if (command->unit->held > scsi->setup.cmd_per_lun)
        violation("SCSI-CFG-2", "%u commands to one unit", command->unit->held);
}

static void take(struct device_scsi *scsi, struct ring_chain *chain)
{
    struct device_scsi_fault *fault;
    struct device_scsi_command command;

    if (!parse(scsi, chain, &command))
        return;
    scsi->commands++;
    if (command.unit)
        command.unit->commands++;
    if (is_transfer(command.cdb[0]))
        memcpy(scsi->last_cdb, command.cdb, sizeof(scsi->last_cdb));
    fault = next_fault(scsi, &command);
    if (fault) {
        go_wrong(scsi, &command, fault);
    } else if (scsi->hold && is_transfer(command.cdb[0])) {
        hold(scsi, &command);
    } else {
        execute(scsi, &command);
        push(scsi, &command);
    }
}

static void take_event_buffer(struct device_scsi *scsi, struct ring_chain *chain)
{
    if (chain->out)
        violation("SCSI-EVT-2", "an event buffer that the device reads");
    if (chain->writable < 16)
        violation("SCSI-EVT-4", "an event buffer of %u bytes", chain->writable);
    if (chain->writable < scsi->setup.event_info_size)
        violation("SCSI-EVT-3", "an event buffer of %u bytes", chain->writable);
    if (scsi->events < DEVICE_SCSI_EVENTS)
        scsi->event[scsi->events++] = chain;
}

static void serve(struct device *device, unsigned queue)
{
    struct device_scsi *scsi = device->state;
    struct ring_device *ring = &device->queue[queue].ring;
    struct ring_chain *chain;
    unsigned batch = 0;

    do {
        ring_device_want_notify(ring, false);
        while ((chain = ring_device_pop(ring))) {
            batch++;
            if (queue == SCSI_QUEUE_EVENT)
                take_event_buffer(scsi, chain);
            else if (queue >= SCSI_QUEUE_REQUEST)
                take(scsi, chain);
        }
        ring_device_want_notify(ring, true);
    } while (ring_device_pending(ring));
    if (batch > scsi->batch_most && queue == SCSI_QUEUE_REQUEST)
        scsi->batch_most = batch;
    device_signal(device, queue);
}

static void forget(struct device *device)
{
    struct device_scsi *scsi = device->state;

    scsi->held_count = scsi->events = 0;
    for (unsigned i = 0; i < DEVICE_SCSI_UNITS; i++)
        scsi->unit[i].held = 0;
}

static const struct device_type scsi_type = {
    .name = "scsi",
    .id = 8,
    .field = fields,
    .fields = sizeof(fields) / sizeof(fields[0]),
    .serve = serve,
    .reset = forget,
};

/* ---- for tests ---- */

void device_scsi_init(struct device_scsi *scsi, const struct device_scsi_setup *setup)
{
    uint32_t words[7] = {setup->num_queues,  setup->seg_max,         setup->max_sectors,
                         setup->cmd_per_lun, setup->event_info_size, setup->sense_size,
                         setup->cdb_size};
    uint8_t config[SCSI_CONFIG_LENGTH] = {0};

    memset(scsi, 0, sizeof(*scsi));
    scsi->setup = *setup;
    scsi->unit = scsi->setup.unit;
    for (unsigned i = 0; i < DEVICE_SCSI_UNITS; i++) {
        scsi->unit[i].disk = calloc(1, DEVICE_SCSI_DISK);
        if (!scsi->unit[i].disk)
            hosted_fail("out of memory for a disk");
    }
    memcpy(config, words, sizeof(words));
    memcpy(config + SCSI_CONFIG_MAX_TARGET, &setup->max_target, 2);
    memcpy(config + SCSI_CONFIG_MAX_LUN, &setup->max_lun, 4);
    device_init(&scsi->device, &(struct device_setup){.type = &scsi_type,
                                                      .features = setup->features,
                                                      .queues = 2 + setup->num_queues,
                                                      .queue_size = setup->queue_size,
                                                      .msix_vectors = setup->msix_vectors,
                                                      .config = config,
                                                      .config_length = sizeof(config),
                                                      .state = scsi});
}

void device_scsi_finish(struct device_scsi *scsi)
{
    device_finish(&scsi->device);
    for (unsigned i = 0; i < DEVICE_SCSI_UNITS; i++)
        free(scsi->unit[i].disk);
}

void device_scsi_event(struct device_scsi *scsi, uint32_t event, unsigned target, unsigned lun,
                       uint32_t reason)
{
    uint8_t data[16] = {0};
    struct ring_chain *chain;

    device_run(&scsi->device);
    if (!scsi->events) {
        scsi->missed = true;
        return;
    }
    chain = scsi->event[--scsi->events];
    if (scsi->missed)
        event |= 0x80000000u;
    scsi->missed = false;
    memcpy(data, &event, 4);
    data[4] = 1;
    data[5] = (uint8_t)target;
    device_scsi_put_be(data + 6, 2, 0x4000u | lun);
    memcpy(data + 12, &reason, 4);
    ring_chain_write(chain, 0, data, sizeof(data));
    ring_device_push(&scsi->device.queue[SCSI_QUEUE_EVENT].ring, chain, sizeof(data));
    device_signal(&scsi->device, SCSI_QUEUE_EVENT);
}

void device_scsi_release(struct device_scsi *scsi, unsigned count)
{
    struct device_scsi_command command;

    if (count > scsi->held_count)
        count = scsi->held_count;
    for (unsigned i = 0; i < count; i++) {
        parse(scsi, scsi->held[i], &command);
        if (command.unit && command.unit->held)
            command.unit->held--;
        execute(scsi, &command);
        push(scsi, &command);
    }
    scsi->held_count -= count;
    memmove(scsi->held, scsi->held + count, scsi->held_count * sizeof(scsi->held[0]));
    device_signal(&scsi->device, SCSI_QUEUE_REQUEST);
}
