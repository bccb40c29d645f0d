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

/* Physical memory is the input; its first bytes say which kind of information lies where in it. */
void fuzz_bootinfo(struct input *input, bool packed)
{
    static const uint32_t magic[] = {BOOTINFO_MAGIC_MULTIBOOT1, BOOTINFO_MAGIC_MULTIBOOT2,
                                     BOOTINFO_MAGIC_PVH, 0};
    static struct bootinfo info;
    uint8_t kind = input_u8(input), at = input_u8(input);
    size_t size = (size_t)(input->end - input->at);
    uint8_t *memory = malloc(size + 1);
    struct bootinfo_memory view = {(uintptr_t)memory, size};
    struct bootinfo_range kernel = {0x100000, 0x200000};

    (void)packed;
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
    free(memory);
}
