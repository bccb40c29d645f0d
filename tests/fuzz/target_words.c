/*
 * target_words.c - what people and boot loaders write: kernel words, `ip=` and `ip6=`, paths, device
 * places, and the information of multiboot 1, multiboot 2 and PVH.
 */
#include <stdlib.h>

#include "boot/bootinfo.h"
#include "cmdline.h"
#include "fs/fs.h"
#include "fuzz.h"
#include "hosted/hosted.h"
#include "mmio.h"
#include "net/net_config.h"
#include "virtio/virtio_mmio.h"

#define WORDS 1024u

void fuzz_words(struct input *input, bool packed)
{
    static char words[WORDS + 1];
    char value[32], storage[64], plain[FS_PATH_MAX], *argv[8];
    struct net_config config;
    struct mmio_place place;
    const char *at = words;

    (void)packed;
    words[input_bytes(input, words, WORDS)] = '\0';
    cmdline_get(words, "ip", value, sizeof(value));
    while (cmdline_next(&at, "root", value, sizeof(value)))
        continue;
    cmdline_args(words, "app", argv, 8, storage, sizeof(storage));
    net_config_parse(words, "eth0", &config, storage, sizeof(storage));
    net_config_mac(words, "eth0", config.address6, storage, sizeof(storage));
    virtio_mmio_parse(words, &place);
    if (fs_normalise(words, plain) == 0 && (plain[0] != '/' || strlen(plain) >= FS_PATH_MAX))
        hosted_fail("\"%s\" was made \"%s\"", words, plain);
}

/* Memory up to where a BIOS keeps its root pointer of ACPI, for BIOS. */
#define WHOLE (1u << 20)
#define EBDA_SEGMENT_AT 0x40eu
#define RSDP_AT 0xe0000u
#define RSDP_SIZE 20u

enum { BIOS = 8, RSDP_SUMMED = 16, RSDP_IN_EBDA = 32 };

/* The same memory in every run, of which only what the last one wrote is cleared. */
static uint8_t *bios_memory(struct input *input, uint8_t kind)
{
    static uint8_t whole[WHOLE];
    static uint8_t *rsdp = whole;
    uint16_t segment = input_u16(input);
    size_t at = (size_t)input_u8(input) * 16;
    uint8_t sum = 0;

    memset(whole, 0, WORDS);
    memset(rsdp, 0, RSDP_SIZE);
    rsdp = whole + (kind & RSDP_IN_EBDA ? (size_t)segment * 16 : RSDP_AT) + at;
    if (rsdp > whole + WHOLE - RSDP_SIZE)
        rsdp = whole + RSDP_AT;
    input_bytes(input, rsdp, RSDP_SIZE);
    for (unsigned i = 0; i < RSDP_SIZE; i++)
        sum = (uint8_t)(sum + rsdp[i]);
    if (kind & RSDP_SUMMED)
        rsdp[8] = (uint8_t)(rsdp[8] - sum);
    input_bytes(input, whole, EBDA_SEGMENT_AT);
    memcpy(whole + EBDA_SEGMENT_AT, &segment, sizeof(segment));
    return whole;
}

/* Physical memory is the input; its first bytes say which kind of information lies where in it. */
void fuzz_bootinfo(struct input *input, bool packed)
{
    static const uint32_t magic[] = {BOOTINFO_MAGIC_MULTIBOOT1, BOOTINFO_MAGIC_MULTIBOOT2,
                                     BOOTINFO_MAGIC_PVH, 0};
    static struct bootinfo info;
    uint8_t kind = input_u8(input), at = input_u8(input);
    size_t size = (size_t)(input->end - input->at);
    uint8_t *own = malloc(size + 1), *memory = kind & BIOS ? bios_memory(input, kind) : own;
    struct bootinfo_memory view = {(uintptr_t)memory, kind & BIOS ? WHOLE : size};
    struct bootinfo_range kernel = {0x100000, 0x200000};

    (void)packed;
    if (memory == own)
        input_bytes(input, memory, size);
    bootinfo_parse(&info, &view, magic[kind % 4], at, kernel);
    for (unsigned i = 0; i < info.ram_count; i++) {
        const struct bootinfo_range *ram = &info.ram[i];

        if (ram->start >= ram->end || ram->start % BOOTINFO_PAGE || ram->end % BOOTINFO_PAGE ||
            (i && ram->start < info.ram[i - 1].end) ||
            (ram->start < kernel.end && kernel.start < ram->end))
            hosted_fail("free memory from %#llx to %#llx", (unsigned long long)ram->start,
                        (unsigned long long)ram->end);
    }
    free(own);
}
