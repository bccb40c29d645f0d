/*
 * proof_scsi_response.c - any response of a SCSI host (5.6.6.1): what is said of it to the disk lies
 * within bounds, and only the response OK is without an error.
 */
// share
// unwind: 3
// control: blk/virtio_scsi_request.c: response.response >= RESPONSES || => 0 ||
// control: blk/virtio_scsi_request.c: sense_len > sizeof(response.sense) => 0
// control: blk/virtio_scsi_request.c: result->residual > length => 0
#include "any_queue.h"

#include "blk/virtio_scsi_request.c"

int main(void)
{
    struct virtio_scsi *scsi = malloc(sizeof(*scsi));
    struct scsi_slot_memory *memory = malloc(sizeof(*memory));
    struct scsi_slot lent = {.memory = memory}, *slot = &lent;
    struct virtio_device device;
    struct scsi_result result;
    uint32_t length = any_u32();

    scsi->device = &device;
    read_response(scsi, slot, length, &result);
    claim(result.sense_len <= sizeof(result.sense) && result.residual <= length);
    claim(result.error <= 0 && (result.error == 0 || result.what));
    claim(result.error != 0 || slot->memory->response.response == VIRTIO_SCSI_S_OK);
    claim(result.error == 0 || result.sense_len == 0);
    return 0;
}
