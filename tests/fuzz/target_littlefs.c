/*
 * target_littlefs.c - mounting a littlefs volume and using it, from a disk made of input, through the
 * block layer and its cache.
 *
 * What the input does not patch is a good volume (volumes.h). Every checksum of littlefs is right
 * here (the linker puts a function before lfs2_crc()), or nothing behind the first patched byte
 * would be looked at.
 */
#include "lfs2_util.h"

#include "fs/littlefs.h"
#include "fuzz.h"
#include "volume_user.h"
#include "volumes.h"

uint32_t __wrap_lfs2_crc(uint32_t crc, const void *buffer, size_t size);
uint32_t __wrap_lfs2_crc(uint32_t crc, const void *buffer, size_t size)
{
    (void)crc;
    (void)buffer;
    (void)size;
    return 0; /* what littlefs expects of a checksum that includes itself */
}

void fuzz_littlefs(struct input *input, bool packed)
{
    (void)packed;
    volume_run(littlefs_mount, &littlefs_ops, VOLUME_LITTLEFS_STRUCTURES, input);
}
