/*
 * spec_storage.h - the part of the VIRTIO specification about block devices and SCSI hosts (5.2, 5.6): constants and
 * wire structures, as spec.h has them. Read that first.
 */
#ifndef FERRULE_VIRTIO_SPEC_STORAGE_H
#define FERRULE_VIRTIO_SPEC_STORAGE_H

#include "virtio/spec.h"

/* ---- 5.2: block ---- */
#define VIRTIO_BLK_F_BARRIER 0 /* legacy */
#define VIRTIO_BLK_F_SIZE_MAX 1
#define VIRTIO_BLK_F_SEG_MAX 2
#define VIRTIO_BLK_F_GEOMETRY 4
#define VIRTIO_BLK_F_RO 5
#define VIRTIO_BLK_F_BLK_SIZE 6
#define VIRTIO_BLK_F_SCSI 7 /* legacy */
#define VIRTIO_BLK_F_FLUSH 9
#define VIRTIO_BLK_F_TOPOLOGY 10
#define VIRTIO_BLK_F_CONFIG_WCE 11
#define VIRTIO_BLK_F_MQ 12
#define VIRTIO_BLK_F_DISCARD 13
#define VIRTIO_BLK_F_WRITE_ZEROES 14
#define VIRTIO_BLK_F_LIFETIME 15
#define VIRTIO_BLK_F_SECURE_ERASE 16
#define VIRTIO_BLK_F_ZONED 17

/* 5.2.4, up to the fields that a driver of reads, writes and flushes looks at. */
struct virtio_blk_config {
    le64 capacity; /* 512-byte sectors */
    le32 size_max;
    le32 seg_max;
    le16 cylinders;
    uint8_t heads;
    uint8_t sectors;
    le32 blk_size;
    uint8_t physical_block_exp;
    uint8_t alignment_offset;
    le16 min_io_size;
    le32 opt_io_size;
    uint8_t writeback;
    uint8_t unused0;
    le16 num_queues;
    le32 max_discard_sectors;
    le32 max_discard_seg;
    le32 discard_sector_alignment;
    le32 max_write_zeroes_sectors;
    le32 max_write_zeroes_seg;
    uint8_t write_zeroes_may_unmap;
    uint8_t unused1[3];
    le32 max_secure_erase_sectors;
    le32 max_secure_erase_seg;
    le32 secure_erase_sector_alignment;
    struct {
        le32 zone_sectors;
        le32 max_open_zones;
        le32 max_active_zones;
        le32 max_append_sectors;
        le32 write_granularity; /* bytes */
        uint8_t model;
        uint8_t unused2[3];
    } zoned;
};
_Static_assert(offsetof(struct virtio_blk_config, zoned.model) == 92, "5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, secure_erase_sector_alignment) == 68, "5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, writeback) == 32, "5.2.4");
_Static_assert(offsetof(struct virtio_blk_config, num_queues) == 34, "5.2.4");

#define VIRTIO_BLK_T_IN 0
#define VIRTIO_BLK_T_OUT 1
#define VIRTIO_BLK_T_FLUSH 4
#define VIRTIO_BLK_T_GET_ID 8
#define VIRTIO_BLK_T_GET_LIFETIME 10
#define VIRTIO_BLK_T_DISCARD 11
#define VIRTIO_BLK_T_WRITE_ZEROES 13
#define VIRTIO_BLK_T_SECURE_ERASE 14
#define VIRTIO_BLK_T_ZONE_APPEND 15
#define VIRTIO_BLK_T_ZONE_REPORT 16
#define VIRTIO_BLK_T_ZONE_OPEN 18
#define VIRTIO_BLK_T_ZONE_CLOSE 20
#define VIRTIO_BLK_T_ZONE_FINISH 22
#define VIRTIO_BLK_T_ZONE_RESET 24
#define VIRTIO_BLK_T_ZONE_RESET_ALL 26

/* 5.2.4: zoned.model. */
#define VIRTIO_BLK_Z_NONE 0
#define VIRTIO_BLK_Z_HM 1
#define VIRTIO_BLK_Z_HA 2

/* 5.2.6: the length of the data of GET_ID. */
#define VIRTIO_BLK_ID_BYTES 20

#define VIRTIO_BLK_S_OK 0
#define VIRTIO_BLK_S_IOERR 1
#define VIRTIO_BLK_S_UNSUPP 2
#define VIRTIO_BLK_S_ZONE_INVALID_CMD 3
#define VIRTIO_BLK_S_ZONE_UNALIGNED_WP 4
#define VIRTIO_BLK_S_ZONE_OPEN_RESOURCE 5
#define VIRTIO_BLK_S_ZONE_ACTIVE_RESOURCE 6

/* 5.2.6: what precedes the data; a status byte follows it. */
struct virtio_blk_req_header {
    le32 type;
    le32 reserved;
    le64 sector;
};
_Static_assert(sizeof(struct virtio_blk_req_header) == 16, "5.2.6");

/* 5.2.6: the data of DISCARD, WRITE_ZEROES and SECURE_ERASE. */
struct virtio_blk_range {
    le64 sector;
    le32 num_sectors;
    le32 flags;
};
_Static_assert(sizeof(struct virtio_blk_range) == 16, "5.2.6");
#define VIRTIO_BLK_RANGE_UNMAP 1u

/* 5.2.6: the data of ZONE_REPORT: this, and zones. */
struct virtio_blk_zone_report {
    le64 nr_zones;
    uint8_t reserved[56];
};
_Static_assert(sizeof(struct virtio_blk_zone_report) == 64, "5.2.6");

struct virtio_blk_zone_descriptor {
    le64 z_cap;
    le64 z_start;
    le64 z_wp;
    uint8_t z_type;
    uint8_t z_state;
    uint8_t reserved[38];
};
_Static_assert(sizeof(struct virtio_blk_zone_descriptor) == 64, "5.2.6");

/* 5.2.6: the data of GET_LIFETIME. */
struct virtio_blk_lifetime {
    le16 pre_eol_info;
    le16 device_lifetime_est_typ_a;
    le16 device_lifetime_est_typ_b;
};
_Static_assert(sizeof(struct virtio_blk_lifetime) == 6, "5.2.6");

/* ---- 5.6: SCSI host ---- */
#define VIRTIO_SCSI_F_INOUT 0
#define VIRTIO_SCSI_F_HOTPLUG 1
#define VIRTIO_SCSI_F_CHANGE 2
#define VIRTIO_SCSI_F_T10_PI 3

/* 5.6.2; the control queue is number 0. */
#define VIRTIO_SCSI_QUEUE_EVENT 1
#define VIRTIO_SCSI_QUEUE_REQUEST 2

/* 5.6.4 */
struct virtio_scsi_config {
    le32 num_queues;
    le32 seg_max;
    le32 max_sectors;
    le32 cmd_per_lun;
    le32 event_info_size;
    le32 sense_size;
    le32 cdb_size;
    le16 max_channel;
    le16 max_target;
    le32 max_lun;
};
_Static_assert(sizeof(struct virtio_scsi_config) == 36, "5.6.4");

/* 5.6.4: what sense_size and cdb_size are after a reset. */
#define VIRTIO_SCSI_SENSE_SIZE 96
#define VIRTIO_SCSI_CDB_SIZE 32

/* 5.6.6.1: what the device reads before the data that it reads. */
struct virtio_scsi_req_cmd {
    uint8_t lun[8];
    le64 id;
    uint8_t task_attr;
    uint8_t prio;
    uint8_t crn;
    uint8_t cdb[VIRTIO_SCSI_CDB_SIZE];
} __attribute__((packed));
_Static_assert(sizeof(struct virtio_scsi_req_cmd) == 51, "5.6.6.1");

/* 5.6.6.1: what the device writes before the data that it writes. */
struct virtio_scsi_resp_cmd {
    le32 sense_len;
    le32 residual;
    le16 status_qualifier;
    uint8_t status;
    uint8_t response;
    uint8_t sense[VIRTIO_SCSI_SENSE_SIZE];
};
_Static_assert(sizeof(struct virtio_scsi_resp_cmd) == 108, "5.6.6.1");

#define VIRTIO_SCSI_S_SIMPLE 0

#define VIRTIO_SCSI_S_OK 0
#define VIRTIO_SCSI_S_OVERRUN 1
#define VIRTIO_SCSI_S_ABORTED 2
#define VIRTIO_SCSI_S_BAD_TARGET 3
#define VIRTIO_SCSI_S_RESET 4
#define VIRTIO_SCSI_S_BUSY 5
#define VIRTIO_SCSI_S_TRANSPORT_FAILURE 6
#define VIRTIO_SCSI_S_TARGET_FAILURE 7
#define VIRTIO_SCSI_S_NEXUS_FAILURE 8
#define VIRTIO_SCSI_S_FAILURE 9
#define VIRTIO_SCSI_S_INCORRECT_LUN 12

/* 5.6.6.3 */
struct virtio_scsi_event {
    le32 event;
    uint8_t lun[8];
    le32 reason;
};
_Static_assert(sizeof(struct virtio_scsi_event) == 16, "5.6.6.3");

#define VIRTIO_SCSI_T_EVENTS_MISSED 0x80000000u
#define VIRTIO_SCSI_T_NO_EVENT 0
#define VIRTIO_SCSI_T_TRANSPORT_RESET 1
#define VIRTIO_SCSI_T_ASYNC_NOTIFY 2
#define VIRTIO_SCSI_T_PARAM_CHANGE 3
#define VIRTIO_SCSI_EVT_RESET_HARD 0
#define VIRTIO_SCSI_EVT_RESET_RESCAN 1
#define VIRTIO_SCSI_EVT_RESET_REMOVED 2

#endif
