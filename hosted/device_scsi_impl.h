/*
 * device_scsi_impl.h - what the two files of the model SCSI host share.
 *
 * device_scsi.c has the queues and most commands, device_scsi_range.c those on ranges without data.
 */
#ifndef FERRULE_HOSTED_DEVICE_SCSI_IMPL_H
#define FERRULE_HOSTED_DEVICE_SCSI_IMPL_H

#include "hosted/device_scsi.h"

#define DEVICE_SCSI_REQUEST 51u
#define DEVICE_SCSI_RESPONSE 108u

/* One command on its way through the model. */
struct device_scsi_command {
    struct ring_chain *chain;
    struct device_scsi_unit *unit; /* NULL: none at the address */
    unsigned target, lun;
    uint8_t cdb[32];
    uint32_t in, out; /* bytes of data */
    uint8_t response[DEVICE_SCSI_RESPONSE];
    uint32_t moved; /* bytes of data moved in either direction */
};

/* Data to the driver, as much of it as there is room for. */
void device_scsi_give(struct device_scsi_command *command, const void *data, uint32_t length);
void device_scsi_set_sense(struct device_scsi_command *command, bool descriptor, uint8_t key,
                           uint8_t asc, uint8_t ascq);

uint64_t device_scsi_get_be(const uint8_t *from, unsigned bytes);
void device_scsi_put_be(uint8_t *to, unsigned bytes, uint64_t value);

/* INQUIRY of a page of vital product data. */
void device_scsi_page(struct device_scsi_command *command);
void device_scsi_unmap(struct device_scsi_command *command);
void device_scsi_write_same(struct device_scsi_command *command);

#endif
