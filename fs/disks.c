/*
 * disks.c - which disk is mounted where, by the words of the kernel command line.
 *
 * Owns the types of volume that are looked for on a disk, the ways to name a disk, and the check
 * that keeps `format=` away from data. It knows no format. Read littlefs.c or fat.c next.
 */
#include "fs/disks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blk/partition.h"
#include "cmdline.h"
#include "fs/fat.h"
#include "fs/littlefs.h"
#include "log.h"
#include "platform.h"

#define WORD_SIZE 160u
#define LABEL_WORD "LABEL="
#define NO_ROOT "none"

/* A disk is blank when this much of its start and end is zero: no format leaves both free. */
#define BLANK_BYTES 65536u

/* Looked for in this order: a type that is surest of itself comes first. */
static const struct volume_type {
    const struct fs_ops *ops;
    int (*mount)(struct blk_device *device, void **volume);
} types[] = {
    {&littlefs_ops, littlefs_mount},
    {&fat_ops, fat_mount},
};

/* --- Naming a disk ---------------------------------------------------------------------------- */

/* A disk that is divided is used by its partitions. */
static bool is_divided(const struct blk_device *device)
{
    const struct blk_device *other;
    for (unsigned i = 0; (other = blk_device_at(i)); i++) {
        if (other->parent == device)
            return true;
    }
    return false;
}

static struct blk_device *find_by_label(const char *wanted)
{
    struct blk_device *device;
    char label[FAT_LABEL_SIZE];
    for (unsigned i = 0; (device = blk_device_at(i)); i++) {
        if (!is_divided(device) && !fat_label(device, label) && !strcmp(label, wanted))
            return device;
    }
    return NULL;
}

static struct blk_device *find(const char *name)
{
    size_t prefix = strlen(LABEL_WORD);
    return strncmp(name, LABEL_WORD, prefix) ? partition_find(name) : find_by_label(name + prefix);
}

struct blk_device *disks_find(const char *name)
{
    struct blk_device *device = find(name);
    if (!device)
        log_error("fs: there is no disk %s", name);
    return device;
}

/* Splits DISK:REST; the colon ends the name of the disk. */
static char *split_word(char *word)
{
    char *colon = strchr(word, ':');
    if (!colon)
        return NULL;
    *colon = '\0';
    return colon + 1;
}

/* Every file system here writes in place. */
static bool is_for_zones(const struct blk_device *device)
{
    if (device->zoning.model != BLK_ZONES_HOST_MANAGED)
        return false;
    log_error("fs: %s: has host-managed zones, which no file system here can write; not used",
              device->name);
    return true;
}

/* --- Mounting --------------------------------------------------------------------------------- */

int disks_mount(struct blk_device *device, const char *prefix)
{
    char plain[FS_PATH_MAX];
    void *volume = NULL;
    int error = prefix[0] == '/' ? fs_normalise(prefix, plain) : -EINVAL;
    if (error) {
        log_error("fs: %s: \"%s\" is not an absolute path; not mounted", device->name, prefix);
        return error;
    }
    if (is_for_zones(device))
        return -ENOTSUP;
    if (blk_holder(device)) {
        log_error("fs: %s: in use (%s); not mounted again", device->name, blk_holder(device));
        return -EBUSY;
    }
    const struct volume_type *type = types;
    error = -ENODEV;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && error == -ENODEV; i++) {
        type = &types[i];
        error = type->mount(device, &volume);
    }
    if (error)
        return error;
    error = fs_mount(plain, type->ops, volume);
    if (!error) {
        log_info("fs: %s: mounted at %s", device->name, plain);
        return 0;
    }
    log_error("fs: %s: not mounted at %s: %s", device->name, plain,
              error == -EBUSY ? "something else is" : "no room");
    type->ops->unmount(volume);
    return error;
}

static bool is_named_by_mount_word(const struct blk_device *device)
{
    const char *at = platform_cmdline();
    char word[WORD_SIZE];
    while (cmdline_next(&at, "mount", word, sizeof(word))) {
        if (split_word(word) && find(word) == device)
            return true;
    }
    return false;
}

static int mount_first(void)
{
    struct blk_device *device;
    unsigned i;
    for (i = 0; (device = blk_device_at(i)); i++) {
        if (!is_divided(device) && !blk_holder(device) && !is_named_by_mount_word(device) &&
            !disks_mount(device, "/"))
            return 0;
    }
    if (i)
        log_warn("fs: none of %u disks could be mounted: there are no files", i);
    else
        log_info("fs: no disk: there are no files");
    return -ENODEV;
}

static void mount_by_words(bool *at_root)
{
    const char *at = platform_cmdline();
    char word[WORD_SIZE];
    while (cmdline_next(&at, "mount", word, sizeof(word))) {
        char *path = split_word(word);
        if (!path) {
            log_warn("mount=%s: not understood (mount=DISK:/path is), ignored", word);
            continue;
        }
        struct blk_device *device = disks_find(word);
        if (device && !disks_mount(device, path))
            *at_root |= !strcmp(path, "/");
    }
}

int disks_mount_all(const char *root, bool at_root)
{
    mount_by_words(&at_root);
    if (at_root)
        return 0;
    if (!root)
        return mount_first();
    if (!strcmp(root, NO_ROOT))
        return -ENODEV;
    struct blk_device *device = disks_find(root);
    return device ? disks_mount(device, "/") : -ENODEV;
}

void disks_mount_plugged(struct blk_device *device, const char *root, bool elsewhere)
{
    const char *at = platform_cmdline();
    char word[WORD_SIZE];
    while (cmdline_next(&at, "mount", word, sizeof(word))) {
        char *path = split_word(word);
        if (!path || find(word) != device)
            continue;
        disks_mount(device, path);
        return;
    }
    if (!elsewhere && !fs_is_mount("/") && (!root || find(root) == device))
        disks_mount(device, "/");
}

/* --- Making volumes --------------------------------------------------------------------------- */

/* 1, 0, or an error. */
static int is_zero(struct blk_device *device, uint64_t sector, uint8_t *buffer)
{
    int error = blk_read(device, sector, buffer, BLANK_BYTES / BLK_SECTOR_SIZE);
    if (error)
        return error;
    for (size_t i = 0; i < BLANK_BYTES; i++) {
        if (buffer[i])
            return 0;
    }
    return 1;
}

static int is_blank(struct blk_device *device)
{
    uint64_t sectors = BLANK_BYTES / BLK_SECTOR_SIZE;
    uint8_t *buffer = malloc(BLANK_BYTES);
    if (!buffer)
        return -ENOMEM;
    int blank = device->capacity < sectors ? -ENOSPC : is_zero(device, 0, buffer);
    if (blank == 1)
        blank = is_zero(device, device->capacity - sectors, buffer);
    free(buffer);
    return blank;
}

void disks_format(void)
{
    const char *at = platform_cmdline();
    char word[WORD_SIZE];
    while (cmdline_next(&at, "format", word, sizeof(word))) {
        char *type = split_word(word);
        if (!type || strcmp(type, "littlefs")) {
            log_warn("format=%s%s%s: not understood (format=DISK:littlefs is), ignored", word,
                     type ? ":" : "", type ? type : "");
            continue;
        }
        struct blk_device *device = disks_find(word);
        if (!device || is_for_zones(device))
            continue;
        int blank = is_divided(device) || blk_holder(device) ? 0 : is_blank(device);
        if (blank == 1)
            littlefs_format(device, 0);
        else if (blank == 0)
            log_info("fs: %s: is not blank, so it is not formatted", device->name);
        else
            log_error("fs: %s: cannot be formatted: error %d", device->name, -blank);
    }
}
