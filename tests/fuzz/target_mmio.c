/*
 * target_mmio.c - the probe of virtio over MMIO (4.2) and the words that say where devices are, with
 * registers made of input. Also mmio.h as this target sees it.
 */
#include "mmio.h"

#include "fuzz.h"
#include "plain_user.h"
#include "virtio/spec.h"
#include "virtio/virtio_mmio.h"

#define ADDRESS UINT64_C(0xfeb00000)

static char words[128];

unsigned mmio_virtio_places(struct mmio_place *place, unsigned max)
{
    (void)max;
    *place = (struct mmio_place){ADDRESS, PLAIN_REGISTERS, 5, false};
    return 1;
}

const char *mmio_hypervisor_words(void)
{
    return words;
}

volatile void *mmio_map(uint64_t address, uint64_t length)
{
    bool inside = address >= ADDRESS && length <= PLAIN_REGISTERS &&
                  address - ADDRESS <= PLAIN_REGISTERS - length;

    return inside ? (volatile void *)(uintptr_t)address : NULL;
}

void fuzz_mmio(struct input *input, bool packed)
{
    struct plain_registers *r = plain_start(input);
    struct hosted_registers registers = plain_as_registers(r);
    uint8_t legacy = input_u8(input);
    size_t length = input_u8(input) % sizeof(words);

    (void)packed;
    memset(words, 0, sizeof(words));
    input_bytes(input, words, length);
    plain_set(r, VIRTIO_MMIO_MAGIC_VALUE, VIRTIO_MMIO_MAGIC, 4);
    plain_set(r, VIRTIO_MMIO_DEVICE_VERSION, legacy & 1 ? 1 : 2, 4);
    plain_set(r, VIRTIO_MMIO_DEVICE_ID, PLAIN_ID, 4);
    plain_set(r, VIRTIO_MMIO_DEVICE_FEATURES, 1, 4);
    plain_set(r, VIRTIO_MMIO_QUEUE_SIZE_MAX, 16, 4);
    plain_set(r, VIRTIO_MMIO_INTERRUPT_STATUS, 3, 4);
    registers.address = ADDRESS;
    registers.size = PLAIN_REGISTERS;
    hosted_registers_add(&registers);
    virtio_mmio_scan();
    plain_use(input);
    plain_end();
}
