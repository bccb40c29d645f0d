/*
 * virtio_scsi_request.c - SCSI commands on the request queue (5.6.6.1): slots, responses, commands
 * that wait, and the reset of a device of which one unit stalls.
 *
 * Implements scsi_host.h. Knows addresses and responses, but no SCSI command: those are
 * scsi_disk.c's and scsi_scan.c's. What a device writes is copied once and checked. Read
 * virtio_scsi.c first.
 */
#include <errno.h>
#include <string.h>

#include "blk/scsi_disk.h"
#include "blk/virtio_scsi_impl.h"
#include "log.h"
#include "virtio/spec_storage.h"

/* A unit that is busy is asked so often; the pauses grow to make it about 20 seconds. */
#define PAUSES_MAX 80
#define PAUSE_NS UINT64_C(1000000)
#define PAUSE_DOUBLINGS 8
#define ATTEMPTS_MAX 8
/* Until something ended when there was no room. */
#define ROOM_PAUSE_NS UINT64_C(1000000)

/* Not a response of the specification: what a device that did not write it leaves (5.6.6.1). */
#define RESPONSE_UNTOUCHED 0xff

/* Device-visible memory of one command; the two halves never share a cache line. */
struct scsi_slot_memory {
    struct virtio_scsi_req_cmd request;
    struct virtio_scsi_resp_cmd response __attribute__((aligned(64)));
} __attribute__((aligned(64)));

/* What only the driver sees of it. */
struct scsi_slot {
    struct scsi_slot_memory *memory;
    struct scsi_command *command;
    struct scsi_slot *next_free;
};

static struct virtio_scsi *to_scsi(const struct scsi_host *host)
{
    return (struct virtio_scsi *)(uintptr_t)host;
}

int virtio_scsi_make_slots(struct virtio_scsi *scsi)
{
    unsigned i;

    scsi->slots = platform_dma_alloc(scsi->host.commands * sizeof(*scsi->slots), 64);
    scsi->slot_memory = platform_dma_alloc(scsi->host.commands * sizeof(*scsi->slot_memory), 64);
    if (!scsi->slots || !scsi->slot_memory)
        return -ENOMEM;
    for (i = 0; i < scsi->host.commands; i++) {
        scsi->slots[i].memory = &scsi->slot_memory[i];
        scsi->slots[i].next_free = scsi->free_slots;
        scsi->free_slots = &scsi->slots[i];
    }
    return 0;
}

void virtio_scsi_free_slots(struct virtio_scsi *scsi)
{
    if (scsi->slots)
        platform_dma_free(scsi->slots, scsi->host.commands * sizeof(*scsi->slots));
    if (scsi->slot_memory)
        platform_dma_free(scsi->slot_memory, scsi->host.commands * sizeof(*scsi->slot_memory));
    scsi->slots = scsi->free_slots = NULL;
    scsi->slot_memory = NULL;
}

/* ---- commands: to the device ---- */

/* 5.6.6.1: the single-level LUN structure of target and LUN. */
static void put_address(uint8_t lun[8], const struct scsi_command *command)
{
    memset(lun, 0, 8);
    lun[0] = 1;
    lun[1] = command->target;
    lun[2] = (uint8_t)(0x40 | command->lun >> 8);
    lun[3] = (uint8_t)command->lun;
}

static void fill_slot(struct virtio_scsi *scsi, struct scsi_slot *slot,
                      const struct scsi_command *command)
{
    struct scsi_slot_memory *memory = slot->memory;

    memset(&memory->request, 0, sizeof(memory->request));
    put_address(memory->request.lun, command);
    memory->request.id = cpu_to_le64((uint64_t)(slot - scsi->slots));
    memory->request.task_attr = VIRTIO_SCSI_S_SIMPLE;
    memcpy(memory->request.cdb, command->cdb, SCSI_CDB_SIZE);
    memset(&memory->response, 0, sizeof(memory->response));
    memory->response.response = RESPONSE_UNTOUCHED;
}

static unsigned fill_list(struct virtqueue_sg *sg, struct scsi_slot *slot,
                          const struct scsi_command *command)
{
    unsigned n = 0, i;

    sg[n++] = (struct virtqueue_sg){&slot->memory->request, sizeof(slot->memory->request)};
    for (i = 0; command->data == SCSI_DATA_OUT && i < command->segments; i++)
        sg[n++] = command->sg[i];
    sg[n++] = (struct virtqueue_sg){&slot->memory->response, sizeof(slot->memory->response)};
    for (i = 0; command->data == SCSI_DATA_IN && i < command->segments; i++)
        sg[n++] = command->sg[i];
    return n;
}

int scsi_host_execute(struct scsi_host *host, struct scsi_command *command)
{
    struct virtio_scsi *scsi = to_scsi(host);
    struct virtqueue_sg sg[SCSI_MAX_SEGMENTS + VIRTIO_SCSI_EXTRA_SEGMENTS];
    struct scsi_slot *slot = scsi->free_slots;
    unsigned n, out = command->data == SCSI_DATA_OUT ? 1 + command->segments : 1;
    int error;

    if (scsi->device->failed)
        return -EIO;
    if (!slot || !scsi->device->driver_ok || virtqueue_is_broken(scsi->requests))
        return -ENOSPC;
    if (command->disk && command->disk->in_flight >= host->commands_per_unit)
        return -ENOSPC;
    fill_slot(scsi, slot, command);
    n = fill_list(sg, slot, command);
    error = virtqueue_add(scsi->requests, sg, out, n - out, slot);
    if (error)
        return error;
    scsi->free_slots = slot->next_free;
    slot->command = command;
    command->slot = slot;
    command->given_ns = platform_now_ns();
    if (command->disk)
        command->disk->in_flight++;
    return 0;
}

void scsi_host_wait(struct scsi_host *host, struct scsi_command *command, uint64_t delay_ns)
{
    struct virtio_scsi *scsi = to_scsi(host);

    command->due_ns = platform_now_ns() + delay_ns;
    command->next = NULL;
    if (scsi->waiting_head)
        scsi->waiting_tail->next = command;
    else
        scsi->waiting_head = command;
    scsi->waiting_tail = command;
}

bool scsi_host_retry(struct scsi_host *host, struct scsi_command *command, bool pause)
{
    unsigned doublings = command->attempts < PAUSE_DOUBLINGS ? command->attempts : PAUSE_DOUBLINGS;

    if (command->attempts >= (pause ? PAUSES_MAX : ATTEMPTS_MAX))
        return false;
    command->attempts++;
    scsi_host_wait(host, command, pause ? PAUSE_NS << doublings : 0);
    return true;
}

void scsi_host_kick(struct scsi_host *host)
{
    virtqueue_kick(to_scsi(host)->requests);
}

/* ---- commands: back from the device ---- */

/* 5.6.6.1: what the adapter says about a command, apart from what the unit says. */
static const struct {
    int error;
    const char *what;
} responses[] = {
    [VIRTIO_SCSI_S_OK] = {0, NULL},
    [VIRTIO_SCSI_S_OVERRUN] = {-EIO, "the adapter reports an overrun"},
    [VIRTIO_SCSI_S_ABORTED] = {-EAGAIN, "aborted by the adapter"},
    [VIRTIO_SCSI_S_BAD_TARGET] = {-ENODEV, "the adapter knows no such unit"},
    [VIRTIO_SCSI_S_RESET] = {-EAGAIN, "lost in a reset of the bus"},
    [VIRTIO_SCSI_S_BUSY] = {-EBUSY, "the adapter stays busy"},
    [VIRTIO_SCSI_S_TRANSPORT_FAILURE] = {-EAGAIN, "the transport fails"},
    /* There is one path only, and no use in trying it again. */
    [VIRTIO_SCSI_S_TARGET_FAILURE] = {-EIO, "the target fails"},
    [VIRTIO_SCSI_S_NEXUS_FAILURE] = {-EIO, "the path to the unit fails"},
    [VIRTIO_SCSI_S_FAILURE] = {-EIO, "the adapter fails"},
    [VIRTIO_SCSI_S_INCORRECT_LUN] = {-ENODEV, "the adapter knows no such unit"},
};
#define RESPONSES (sizeof(responses) / sizeof(responses[0]))

static void set_error(struct scsi_result *result, int error, const char *what)
{
    result->error = error;
    result->what = what;
}

static void odd_response(struct virtio_scsi *scsi, struct scsi_result *result, const char *what)
{
    if (!scsi->odd_response_seen)
        log_error("%s: virtio-scsi: %s", scsi->device->name, what);
    scsi->odd_response_seen = true;
    set_error(result, -EIO, what);
}

/* The one look at what the device wrote: copied, then checked. */
static void read_response(struct virtio_scsi *scsi, const struct scsi_slot *slot, uint32_t length,
                          struct scsi_result *result)
{
    struct virtio_scsi_resp_cmd response;
    uint32_t sense_len;

    response = *(const volatile struct virtio_scsi_resp_cmd *)&slot->memory->response;
    sense_len = le32_to_cpu(response.sense_len);
    result->error = 0;
    result->what = NULL;
    result->status = response.status;
    result->residual = le32_to_cpu(response.residual);
    result->sense_len = 0;
    if (response.response >= RESPONSES ||
        (response.response != VIRTIO_SCSI_S_OK && !responses[response.response].what))
        odd_response(scsi, result, "a response that does not exist");
    else if (response.response != VIRTIO_SCSI_S_OK)
        set_error(result, responses[response.response].error, responses[response.response].what);
    else if (sense_len > sizeof(response.sense))
        odd_response(scsi, result, "more sense data than there is room for");
    else if (result->residual > length)
        odd_response(scsi, result, "a residual larger than the transfer");
    else
        result->sense_len = sense_len;
    if (result->error)
        result->residual = length;
    memcpy(result->sense, response.sense, result->sense_len);
}

/* Takes a command out of its slot; from here on the device has nothing to do with it. */
static struct scsi_command *empty_slot(struct virtio_scsi *scsi, struct scsi_slot *slot)
{
    struct scsi_command *command = slot->command;

    slot->command = NULL;
    slot->next_free = scsi->free_slots;
    scsi->free_slots = slot;
    command->slot = NULL;
    if (command->disk)
        command->disk->in_flight--;
    return command;
}

static void fail_command(struct scsi_command *command, int error, const char *what)
{
    struct scsi_result result = {.error = error, .what = what, .residual = command->length};

    command->done(command, &result);
}

static unsigned end_commands(struct virtio_scsi *scsi, unsigned budget)
{
    struct scsi_result result;
    struct scsi_slot *slot;
    unsigned done = 0;

    while (done < budget && (slot = virtqueue_get_buf(scsi->requests, NULL)) != NULL) {
        struct scsi_command *command = slot->command;

        read_response(scsi, slot, command->length, &result);
        empty_slot(scsi, slot);
        command->done(command, &result);
        done++;
    }
    return done;
}

/* Executes what waits and is due. Callbacks may append meanwhile, so the line is taken off first. */
static unsigned execute_waiting(struct virtio_scsi *scsi)
{
    struct scsi_command *command = scsi->waiting_head, *next;
    uint64_t now = platform_now_ns();
    unsigned done = 0;

    scsi->waiting_head = scsi->waiting_tail = NULL;
    for (; command; command = next) {
        int error = command->due_ns <= now ? scsi_host_execute(&scsi->host, command) : 0;

        next = command->next;
        if (command->due_ns > now) {
            scsi_host_wait(&scsi->host, command, command->due_ns - now);
        } else if (error == -ENOSPC) {
            scsi_host_wait(&scsi->host, command, ROOM_PAUSE_NS);
        } else {
            done++;
            if (error)
                fail_command(command, -ECONNRESET, "the adapter does not take it");
        }
    }
    if (done > 0)
        virtqueue_kick(scsi->requests);
    return done;
}

void virtio_scsi_fail_waiting(struct virtio_scsi *scsi, const struct scsi_disk *disk,
                              const char *what)
{
    struct scsi_command *command = scsi->waiting_head, *next;

    scsi->waiting_head = scsi->waiting_tail = NULL;
    for (; command; command = next) {
        next = command->next;
        if (!disk || command->owner == disk)
            fail_command(command, -ECONNRESET, what);
        else
            scsi_host_wait(&scsi->host, command, 0);
    }
}

unsigned scsi_host_poll(struct scsi_host *host, unsigned budget)
{
    struct virtio_scsi *scsi = to_scsi(host);
    unsigned done;

    virtqueue_disable_cb(scsi->requests);
    done = end_commands(scsi, budget);
    if (scsi->waiting_head)
        done += execute_waiting(scsi);
    if (virtqueue_is_broken(scsi->requests) && !scsi->device->failed && !scsi->starting) {
        virtio_recover(scsi->device, "its request queue is broken");
        done++;
    }
    return done;
}

bool scsi_host_arm(struct scsi_host *host)
{
    return virtqueue_enable_cb(to_scsi(host)->requests);
}

uint64_t scsi_host_deadline(const struct scsi_host *host)
{
    const struct scsi_command *command;
    uint64_t deadline = PLATFORM_NO_DEADLINE;

    for (command = to_scsi(host)->waiting_head; command; command = command->next)
        if (command->due_ns < deadline)
            deadline = command->due_ns;
    return deadline;
}

void virtio_scsi_take_back(struct virtio_scsi *scsi)
{
    struct scsi_slot *slot;

    while ((slot = virtqueue_detach_unused(scsi->requests)) != NULL) {
        struct scsi_command *command = empty_slot(scsi, slot);
        /* Only the unit that made it necessary pays for a reset; an end is one for all. */
        bool again = scsi->device->recovering && (!scsi->stuck || command->owner != scsi->stuck);

        fail_command(command, again ? -ECANCELED : -ECONNRESET,
                     "taken back by a reset of the adapter");
    }
}

void scsi_host_look(struct scsi_host *host)
{
    struct virtio_scsi *scsi = to_scsi(host);

    virtio_look(scsi->device);
    if (scsi->device->failed)
        virtio_scsi_fail_waiting(scsi, NULL, "the adapter was given up");
}

void scsi_host_reset(struct scsi_host *host, const struct scsi_disk *disk, const char *reason)
{
    struct virtio_scsi *scsi = to_scsi(host);

    if (disk)
        virtio_scsi_fail_waiting(scsi, disk, reason);
    scsi->stuck = disk;
    virtio_recover(scsi->device, reason);
    scsi->stuck = NULL;
    if (scsi->device->failed)
        virtio_scsi_fail_waiting(scsi, NULL, "the adapter was given up");
}
