/*
 * spec.h - the numbers and wire structures of the VIRTIO specification, version 1.4, under the
 * names it gives them.
 *
 * No logic but byte order. Feature constants are bit numbers. Multi-byte fields have the types
 * le16, le32 and le64: little-endian as on the modern interface (1.4); read and write them through
 * the conversions at the top. What belongs to one type of device is in spec_net.h, spec_storage.h and
 * spec_devices.h. Read virtio.h next.
 */
#ifndef FERRULE_VIRTIO_SPEC_H
#define FERRULE_VIRTIO_SPEC_H

#include <stddef.h>
#include <stdint.h>

/* Both the kernel's and the hosted build's CPUs are little-endian, so the conversions only mark
 * where one belongs. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "byte-order conversions assume little-endian");
typedef uint16_t le16;
typedef uint32_t le32;
typedef uint64_t le64;

static inline uint16_t le16_to_cpu(le16 value)
{
    return value;
}

static inline uint32_t le32_to_cpu(le32 value)
{
    return value;
}

static inline uint64_t le64_to_cpu(le64 value)
{
    return value;
}

static inline le16 cpu_to_le16(uint16_t value)
{
    return value;
}

static inline le32 cpu_to_le32(uint32_t value)
{
    return value;
}

static inline le64 cpu_to_le64(uint64_t value)
{
    return value;
}

/* ---- 5: device types ---- */
#define VIRTIO_ID_NET 1
#define VIRTIO_ID_BLOCK 2
#define VIRTIO_ID_CONSOLE 3
#define VIRTIO_ID_ENTROPY 4
#define VIRTIO_ID_BALLOON 5
#define VIRTIO_ID_SCSI 8
#define VIRTIO_ID_9P 9
#define VIRTIO_ID_GPU 16
#define VIRTIO_ID_CLOCK 17
#define VIRTIO_ID_INPUT 18
#define VIRTIO_ID_VSOCK 19
#define VIRTIO_ID_CRYPTO 20
#define VIRTIO_ID_IOMMU 23
#define VIRTIO_ID_MEM 24
#define VIRTIO_ID_SOUND 25
#define VIRTIO_ID_FS 26
#define VIRTIO_ID_PMEM 27
#define VIRTIO_ID_RPMB 28

/* ---- 2.1: device status ---- */
#define VIRTIO_STATUS_ACKNOWLEDGE 1
#define VIRTIO_STATUS_DRIVER 2
#define VIRTIO_STATUS_DRIVER_OK 4
#define VIRTIO_STATUS_FEATURES_OK 8
#define VIRTIO_STATUS_DEVICE_NEEDS_RESET 64
#define VIRTIO_STATUS_FAILED 128

/* ---- 6: device-independent features ---- */
#define VIRTIO_F_NOTIFY_ON_EMPTY 24 /* legacy */
#define VIRTIO_F_ANY_LAYOUT 27      /* legacy */
#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX 29
#define VIRTIO_F_VERSION_1 32
#define VIRTIO_F_ACCESS_PLATFORM 33
#define VIRTIO_F_RING_PACKED 34
#define VIRTIO_F_IN_ORDER 35
#define VIRTIO_F_ORDER_PLATFORM 36
#define VIRTIO_F_SR_IOV 37
#define VIRTIO_F_NOTIFICATION_DATA 38
#define VIRTIO_F_NOTIF_CONFIG_DATA 39
#define VIRTIO_F_RING_RESET 40
#define VIRTIO_F_ADMIN_VQ 41
#define VIRTIO_F_SUSPEND 43

/* ---- 2.7: split virtqueues ---- */
#define VIRTQ_DESC_F_NEXT 1
#define VIRTQ_DESC_F_WRITE 2
#define VIRTQ_DESC_F_INDIRECT 4
#define VIRTQ_AVAIL_F_NO_INTERRUPT 1
#define VIRTQ_USED_F_NO_NOTIFY 1
#define VIRTQ_MAX_SIZE 32768
/* 2.7.2, 4.1.5.1.3.1: of a legacy ring and of the used ring in it; also the unit of its address. */
#define VIRTQ_LEGACY_ALIGNMENT 4096

/* 2.7.5: one entry of the descriptor table or of an indirect table. */
struct virtq_desc {
    le64 addr;
    le32 len;
    le16 flags;
    le16 next;
};
_Static_assert(sizeof(struct virtq_desc) == 16, "2.7.5");

/* 2.7.6; ring[size] is followed by used_event. */
struct virtq_avail {
    le16 flags;
    le16 idx;
    le16 ring[];
};
_Static_assert(offsetof(struct virtq_avail, ring) == 4, "2.7.6");

/* 2.7.8; ring[size] is followed by avail_event. */
struct virtq_used_elem {
    le32 id;
    le32 len;
};
struct virtq_used {
    le16 flags;
    le16 idx;
    struct virtq_used_elem ring[];
};
_Static_assert(offsetof(struct virtq_used, ring) == 4, "2.7.8");

/* ---- 2.8: packed virtqueues ---- */
#define VIRTQ_DESC_F_AVAIL (1 << 7)
#define VIRTQ_DESC_F_USED (1 << 15)

/* 2.8.13: one entry of the ring or of an indirect table. */
struct pvirtq_desc {
    le64 addr;
    le32 len;
    le16 id;
    le16 flags;
};
_Static_assert(sizeof(struct pvirtq_desc) == sizeof(struct virtq_desc), "2.8.13");

/* 2.8.14: where notifications are wanted. Bits 0-14 of off_wrap are an offset, bit 15 a wrap
 * counter. */
struct pvirtq_event_suppress {
    le16 off_wrap;
    le16 flags;
};
_Static_assert(sizeof(struct pvirtq_event_suppress) == 4, "2.8.14");
#define RING_EVENT_FLAGS_ENABLE 0
#define RING_EVENT_FLAGS_DISABLE 1
#define RING_EVENT_FLAGS_DESC 2
#define RING_EVENT_FLAGS_MASK 3
#define RING_EVENT_WRAP_SHIFT 15

/* ---- 4.1: PCI ---- */
#define VIRTIO_PCI_VENDOR_ID 0x1af4
#define VIRTIO_PCI_DEVICE_ID_FIRST 0x1000
#define VIRTIO_PCI_DEVICE_ID_TRANSITIONAL_LAST 0x103f
#define VIRTIO_PCI_DEVICE_ID_MODERN 0x1040 /* plus the device type */
#define VIRTIO_PCI_DEVICE_ID_LAST 0x107f

#define VIRTIO_PCI_CAP_COMMON_CFG 1
#define VIRTIO_PCI_CAP_NOTIFY_CFG 2
#define VIRTIO_PCI_CAP_ISR_CFG 3
#define VIRTIO_PCI_CAP_DEVICE_CFG 4
#define VIRTIO_PCI_CAP_PCI_CFG 5
#define VIRTIO_PCI_CAP_SHARED_MEMORY_CFG 8
#define VIRTIO_PCI_CAP_VENDOR_CFG 9

/* 4.1.4: a vendor-specific capability in configuration space. */
struct virtio_pci_cap {
    uint8_t cap_vndr;
    uint8_t cap_next;
    uint8_t cap_len;
    uint8_t cfg_type;
    uint8_t bar;
    uint8_t id;
    uint8_t padding[2];
    le32 offset;
    le32 length;
};
_Static_assert(sizeof(struct virtio_pci_cap) == 16, "4.1.4");

/* 4.1.4.4 */
struct virtio_pci_notify_cap {
    struct virtio_pci_cap cap;
    le32 notify_off_multiplier;
};
_Static_assert(sizeof(struct virtio_pci_notify_cap) == 20, "4.1.4.4");

/* 4.1.4.9 */
struct virtio_pci_cfg_cap {
    struct virtio_pci_cap cap;
    uint8_t pci_cfg_data[4];
};
_Static_assert(sizeof(struct virtio_pci_cfg_cap) == 20, "4.1.4.9");

/* 4.1.4.3 */
struct virtio_pci_common_cfg {
    le32 device_feature_select;
    le32 device_feature;
    le32 driver_feature_select;
    le32 driver_feature;
    le16 config_msix_vector;
    le16 num_queues;
    uint8_t device_status;
    uint8_t config_generation;
    le16 queue_select;
    le16 queue_size;
    le16 queue_msix_vector;
    le16 queue_enable;
    le16 queue_notify_off;
    le64 queue_desc;
    le64 queue_driver;
    le64 queue_device;
    le16 queue_notif_config_data;
    le16 queue_reset;
    le16 admin_queue_index;
    le16 admin_queue_num;
};
_Static_assert(offsetof(struct virtio_pci_common_cfg, queue_desc) == 0x20, "4.1.4.3");
_Static_assert(sizeof(struct virtio_pci_common_cfg) == 0x40, "4.1.4.3");
/* What every device has: all up to queue_notif_config_data. */
#define VIRTIO_PCI_COMMON_CFG_MIN offsetof(struct virtio_pci_common_cfg, queue_notif_config_data)

#define VIRTIO_MSI_NO_VECTOR 0xffff
#define VIRTIO_PCI_ISR_QUEUE 1
#define VIRTIO_PCI_ISR_CONFIG 2

/* 4.1.4.10: registers of the legacy interface, at the start of the I/O BAR 0. */
#define VIRTIO_PCI_LEGACY_DEVICE_FEATURES 0x00
#define VIRTIO_PCI_LEGACY_DRIVER_FEATURES 0x04
#define VIRTIO_PCI_LEGACY_QUEUE_ADDRESS 0x08 /* in units of VIRTQ_LEGACY_ALIGNMENT */
#define VIRTIO_PCI_LEGACY_QUEUE_SIZE 0x0c
#define VIRTIO_PCI_LEGACY_QUEUE_SELECT 0x0e
#define VIRTIO_PCI_LEGACY_QUEUE_NOTIFY 0x10
#define VIRTIO_PCI_LEGACY_DEVICE_STATUS 0x12
#define VIRTIO_PCI_LEGACY_ISR_STATUS 0x13
#define VIRTIO_PCI_LEGACY_CONFIG_MSIX_VECTOR 0x14 /* this and the next: only with MSI-X on */
#define VIRTIO_PCI_LEGACY_QUEUE_MSIX_VECTOR 0x16
#define VIRTIO_PCI_LEGACY_CONFIG 0x14      /* the device configuration without MSI-X ... */
#define VIRTIO_PCI_LEGACY_CONFIG_MSIX 0x18 /* ... and with it */

/* ---- 4.2: MMIO ---- */
#define VIRTIO_MMIO_MAGIC 0x74726976u
#define VIRTIO_MMIO_VERSION_LEGACY 1
#define VIRTIO_MMIO_VERSION 2

/* 4.2.2, and 4.2.4 for the legacy interface. Registers are 32 bits wide. */
#define VIRTIO_MMIO_MAGIC_VALUE 0x000
#define VIRTIO_MMIO_DEVICE_VERSION 0x004
#define VIRTIO_MMIO_DEVICE_ID 0x008
#define VIRTIO_MMIO_DEVICE_FEATURES 0x010
#define VIRTIO_MMIO_DEVICE_FEATURES_SEL 0x014
#define VIRTIO_MMIO_DRIVER_FEATURES 0x020
#define VIRTIO_MMIO_DRIVER_FEATURES_SEL 0x024
#define VIRTIO_MMIO_GUEST_PAGE_SIZE 0x028 /* legacy */
#define VIRTIO_MMIO_QUEUE_SEL 0x030
#define VIRTIO_MMIO_QUEUE_SIZE_MAX 0x034
#define VIRTIO_MMIO_QUEUE_SIZE 0x038
#define VIRTIO_MMIO_QUEUE_ALIGN 0x03c /* legacy */
#define VIRTIO_MMIO_QUEUE_PFN 0x040   /* legacy */
#define VIRTIO_MMIO_QUEUE_READY 0x044
#define VIRTIO_MMIO_QUEUE_NOTIFY 0x050
#define VIRTIO_MMIO_INTERRUPT_STATUS 0x060
#define VIRTIO_MMIO_INTERRUPT_ACK 0x064
#define VIRTIO_MMIO_STATUS 0x070
#define VIRTIO_MMIO_QUEUE_DESC 0x080 /* low half; the high one follows, here and below */
#define VIRTIO_MMIO_QUEUE_DRIVER 0x090
#define VIRTIO_MMIO_QUEUE_DEVICE 0x0a0
#define VIRTIO_MMIO_QUEUE_RESET 0x0c0
#define VIRTIO_MMIO_CONFIG_GENERATION 0x0fc
#define VIRTIO_MMIO_CONFIG 0x100

#define VIRTIO_MMIO_INTERRUPT_QUEUE 1
#define VIRTIO_MMIO_INTERRUPT_CONFIG 2

#endif
