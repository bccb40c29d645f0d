/*
 * main.c - an NBD server: makes the machine's disks usable over the network.
 *
 * Arguments name the disks or partitions to export, each with `:ro` behind it to export it read-only;
 * without arguments all that nobody else uses. The first one is also the export without a name.
 * The kernel word `port=` chooses the port (10809), `root=none` keeps file systems off the disks.
 * Read nbd.h next.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blk/partition.h"
#include "cmdline.h"
#include "log.h"
#include "loop.h"
#include "nbd.h"
#include "platform.h"
#include "wire.h"

static struct nbd_export exports[NBD_EXPORTS_MAX];
static unsigned export_count;

const struct nbd_export *nbd_export_at(unsigned index)
{
    return index < export_count ? &exports[index] : NULL;
}

const struct nbd_export *nbd_export_find(const uint8_t *name, size_t len)
{
    for (unsigned i = 0; i < export_count; i++) {
        const char *own = exports[i].disk->name;
        if (!len || (strlen(own) == len && !memcmp(own, name, len)))
            return &exports[i];
    }
    return NULL;
}

/* Every connection sees what was flushed by any of them, since the disk is one. */
unsigned nbd_export_flags(const struct nbd_export *export)
{
    unsigned flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
                     NBD_FLAG_SEND_DF | NBD_FLAG_CAN_MULTI_CONN;
    if (export->read_only || export->disk->read_only)
        return flags | NBD_FLAG_READ_ONLY;
    return flags | NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES;
}

static int add_export(struct blk_device *disk, bool read_only)
{
    /* Clients write anywhere, which such zones do not take. */
    read_only |= disk->zoning.model == BLK_ZONES_HOST_MANAGED;
    int error = export_count < NBD_EXPORTS_MAX ? blk_claim(disk, "NBD export") : -ENOSPC;
    if (error) {
        log_error("nbd: %s: not exported: %s", disk->name,
                  error == -EBUSY ? "in use (root=none leaves disks alone)" : "too many");
        return error;
    }
    exports[export_count++] = (struct nbd_export){disk, read_only};
    log_info("nbd: exports %s, %llu MiB%s%s", disk->name,
             (unsigned long long)(disk->capacity >> 11),
             read_only || disk->read_only ? ", read-only" : "",
             disk->zoning.model == BLK_ZONES_HOST_MANAGED ? " (host-managed zones)" : "");
    return 0;
}

static int add_named(char *word)
{
    char *colon = strrchr(word, ':');
    bool read_only = colon && !strcmp(colon, ":ro");
    if (read_only)
        *colon = '\0';
    struct blk_device *disk = partition_find(word);
    if (!disk) {
        log_error("nbd: there is no disk %s", word);
        return -ENODEV;
    }
    return add_export(disk, read_only);
}

static void add_all(void)
{
    struct blk_device *disk;
    for (unsigned i = 0; (disk = blk_device_at(i)); i++) {
        if (!disk->parent && !blk_holder(disk))
            add_export(disk, false);
    }
}

static int listen_port(void)
{
    char word[16];
    unsigned port = NBD_PORT;
    if (cmdline_get(platform_cmdline(), "port", word, sizeof(word)))
        port = (unsigned)atoi(word);
    int error = port < 1 || port > 65535 ? -EINVAL : nbd_listen((uint16_t)port);
    if (error)
        log_error("nbd: cannot listen on port %u: error %d", port, -error);
    else
        printf("ready: nbd://*:%u/%s\n", port, exports[0].disk->name);
    fflush(stdout);
    return error;
}

int app_main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (add_named(argv[i]))
            return 1;
    }
    if (argc < 2)
        add_all();
    if (!export_count) {
        log_error("nbd: nothing to export");
        return 1;
    }
    if (nbd_transmit_init()) {
        log_error("nbd: too little memory");
        return 1;
    }
    if (listen_port())
        return 1;
    int status = loop_run();
    for (unsigned i = 0; i < export_count; i++)
        blk_flush(exports[i].disk);
    return status;
}
