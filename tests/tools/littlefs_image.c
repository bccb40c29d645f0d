/*
 * littlefs_image.c - a look into a littlefs image from the host, for tests and for anybody's disks.
 *
 * `littlefs-image IMAGE` mounts the image, checks that no block is used twice, reads every file and
 * prints a line for each: its path, size and CRC-32. `littlefs-image IMAGE PATH` writes one file to
 * standard output. Uses littlefs itself and nothing of the kernel; never writes to the image. Ends
 * with 1 and a line on standard error when something is wrong.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lfs2.h"

#define SUPERBLOCK_SIZE_FIELD 24
#define PATH_SIZE 1024

static FILE *image;
static lfs2_t fs;
static uint8_t *used;
static unsigned used_twice, directories;

static void fail(const char *what, const char *name)
{
    fprintf(stderr, "littlefs-image: %s: %s\n", name, what);
    exit(1);
}

static int image_read(const struct lfs2_config *config, lfs2_block_t block, lfs2_off_t offset,
                      void *data, lfs2_size_t size)
{
    long at = (long)block * config->block_size + offset;
    return fseek(image, at, SEEK_SET) || fread(data, 1, size, image) != size ? LFS2_ERR_IO : 0;
}

static int image_prog(const struct lfs2_config *config, lfs2_block_t block, lfs2_off_t offset,
                      const void *data, lfs2_size_t size)
{
    (void)config, (void)block, (void)offset, (void)data, (void)size;
    return LFS2_ERR_IO;
}

static int image_erase(const struct lfs2_config *config, lfs2_block_t block)
{
    (void)config, (void)block;
    return LFS2_ERR_IO;
}

static int image_sync(const struct lfs2_config *config)
{
    (void)config;
    return 0;
}

/* The block size of the superblock in block 0, or in block 1 of the size it names. */
static uint32_t find_block_size(void)
{
    uint8_t head[SUPERBLOCK_SIZE_FIELD + 4];
    for (uint32_t at = 0; at <= 65536; at = at ? at * 2 : 512) {
        if (fseek(image, at, SEEK_SET) || fread(head, 1, sizeof(head), image) != sizeof(head))
            continue;
        uint32_t size = (uint32_t)head[24] | (uint32_t)head[25] << 8 | (uint32_t)head[26] << 16;
        if (!memcmp(head + 8, "littlefs", 8) && (!at || size == at))
            return size;
    }
    return 0;
}

/* A directory's two blocks are met twice: as its own, and in the entry of its parent. */
static int mark_block(void *context, lfs2_block_t block)
{
    (void)context;
    if (block >= fs.block_count || used[block] == 2)
        return LFS2_ERR_CORRUPT;
    used_twice += ++used[block] == 2;
    return 0;
}

static void read_file(const char *path, FILE *copy)
{
    static uint8_t data[65536];
    lfs2_file_t file;
    lfs2_ssize_t got;
    uint32_t crc = 0xffffffff;
    unsigned long size = 0;
    if (lfs2_file_open(&fs, &file, path, LFS2_O_RDONLY))
        fail("cannot be opened", path);
    while ((got = lfs2_file_read(&fs, &file, data, sizeof(data))) > 0) {
        crc = lfs2_crc(crc, data, (size_t)got);
        size += (unsigned long)got;
        if (copy)
            fwrite(data, 1, (size_t)got, copy);
    }
    if (got < 0 || size != (unsigned long)lfs2_file_size(&fs, &file))
        fail("cannot be read", path);
    lfs2_file_close(&fs, &file);
    if (!copy)
        printf("%s %lu %08x\n", path, size, (unsigned)~crc);
}

static void read_directory(const char *path)
{
    lfs2_dir_t dir;
    struct lfs2_info info;
    char inner[PATH_SIZE];
    int found;
    if (lfs2_dir_open(&fs, &dir, path))
        fail("cannot be opened", path);
    while ((found = lfs2_dir_read(&fs, &dir, &info)) > 0) {
        if (!strcmp(info.name, ".") || !strcmp(info.name, ".."))
            continue;
        if (snprintf(inner, sizeof(inner), "%s/%s", path, info.name) >= (int)sizeof(inner))
            fail("is nested too deeply", path);
        if (info.type == LFS2_TYPE_DIR) {
            directories++;
            read_directory(inner);
        } else {
            read_file(inner, NULL);
        }
    }
    if (found)
        fail("cannot be read", path);
    lfs2_dir_close(&fs, &dir);
}

int main(int argc, char **argv)
{
    struct lfs2_config config = {
        .read = image_read,
        .prog = image_prog,
        .erase = image_erase,
        .sync = image_sync,
        .read_size = 512,
        .prog_size = 512,
        .block_cycles = -1,
        .lookahead_size = 512,
    };
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: littlefs-image IMAGE [PATH]\n");
        return 2;
    }
    image = fopen(argv[1], "rb");
    if (!image)
        fail("cannot be opened", argv[1]);
    config.block_size = find_block_size();
    config.cache_size = config.block_size;
    if (!config.block_size || config.block_size % 512 || lfs2_mount(&fs, &config))
        fail("is not a littlefs image that can be mounted", argv[1]);
    if (argc == 3) {
        read_file(argv[2], stdout);
        return 0;
    }
    used = calloc(fs.block_count, 1);
    if (!used || lfs2_fs_traverse(&fs, mark_block, NULL))
        fail("blocks lie outside or are used too often", argv[1]);
    read_directory("");
    if (used_twice != 2 * directories)
        fail("blocks are used twice", argv[1]);
    return 0;
}
