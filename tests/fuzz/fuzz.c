// sources: virtio/*.c blk/*.c net/*.c console/*.c rng/*.c balloon/*.c input/*.c vsock/*.c
// sources: fs/virtio_*.c fs/ninep*.c fs/fuse*.c fs/share_file.c fs/fat*.c fs/littlefs*.c fs/mount.c fs/fs.c fs/disks.c libc/files.c libc/console.c boot/loop.c boot/format.c boot/pci_caps.c boot/cmdline.c
// sources: apps/httpd/content.c apps/httpd/kept.c apps/httpd/listing.c apps/httpd/path.c apps/httpd/request.c apps/nbd/*.c
// sources: boot/bootinfo.c hosted/platform_linux.c hosted/dma_arena.c hosted/registers.c
// sources: hosted/fake_pci.c hosted/pages.c hosted/violation.c tests/fuzz/*.c tests/unit/fuse_server.c
/*
 * fuzz.c - the fuzzer's entry points (libFuzzer), and the table of targets.
 *
 * One program holds all targets and is called by the name of one, through a link. A finding is what
 * a sanitizer reports, a failure of the hosted platform (hosted_fail), or a run without end. Read
 * hostile.h for what the targets of drivers share.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

#include "hosted/hosted.h"
#include "volumes.h"

static const struct fuzz_target targets[] = {
    {"net-split", fuzz_net_prepare, fuzz_net, false},
    {"net-packed", fuzz_net_prepare, fuzz_net, true},
    {"blk-split", NULL, fuzz_blk, false},
    {"blk-packed", NULL, fuzz_blk, true},
    {"scsi-split", NULL, fuzz_scsi, false},
    {"scsi-packed", NULL, fuzz_scsi, true},
    {"console-split", NULL, fuzz_console, false},
    {"console-packed", NULL, fuzz_console, true},
    {"rng-split", NULL, fuzz_rng, false},
    {"rng-packed", NULL, fuzz_rng, true},
    {"balloon-split", fuzz_balloon_prepare, fuzz_balloon, false},
    {"balloon-packed", fuzz_balloon_prepare, fuzz_balloon, true},
    {"9p-split", NULL, fuzz_9p, false},
    {"9p-packed", NULL, fuzz_9p, true},
    {"virtiofs-split", NULL, fuzz_virtiofs, false},
    {"virtiofs-packed", NULL, fuzz_virtiofs, true},
    {"input-split", NULL, fuzz_input, false},
    {"input-packed", NULL, fuzz_input, true},
    {"vsock-split", NULL, fuzz_vsock, false},
    {"vsock-packed", NULL, fuzz_vsock, true},
    {"e1000", NULL, fuzz_e1000, false},
    {"ide", NULL, fuzz_ide, false},
    {"pci", NULL, fuzz_pci, false},
    {"mmio", NULL, fuzz_mmio, false},
    {"config", NULL, fuzz_config, false},
    {"partitions", NULL, fuzz_partitions, false},
    {"fat", volume_make_fat, fuzz_fat, false},
    {"littlefs", volume_make_littlefs, fuzz_littlefs, false},
    {"lwip", fuzz_lwip_prepare, fuzz_lwip, false},
    {"http", fuzz_http_prepare, fuzz_http, false},
    {"nbd", fuzz_nbd_prepare, fuzz_nbd, false},
    {"words", NULL, fuzz_words, false},
    {"bootinfo", NULL, fuzz_bootinfo, false},
};

static const struct fuzz_target *target;

/* Freed memory in a quarantine of a page size that stays in the cache, and no more of a stack than
 * says who allocated: both are most of what an allocation costs. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "quarantine_size_mb=2:malloc_context_size=4";
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *name = strrchr((*argv)[0], '/');

    (void)argc;
    name = name ? name + 1 : (*argv)[0];
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
        if (strcmp(targets[i].name, name) == 0)
            target = &targets[i];
    if (!target) {
        fprintf(stderr, "%s: there is no such target\n", name);
        exit(2);
    }
    hosted_reset();
    if (target->prepare)
        target->prepare();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};

    target->run(&input, target->packed);
    return 0;
}
