/*
 * fuzz.h - the targets of the fuzzer: one line each in fuzz.c, and where they are.
 */
#ifndef FERRULE_TESTS_FUZZ_FUZZ_H
#define FERRULE_TESTS_FUZZ_FUZZ_H

#include "input.h"

struct fuzz_target {
    const char *name; /* what the program is called by: fuzz.c looks at argv[0] */
    /* Once, before the first run; may be NULL. */
    void (*prepare)(void);
    void (*run)(struct input *input, bool packed);
    bool packed;
};

void fuzz_net(struct input *input, bool packed);
void fuzz_blk(struct input *input, bool packed);
void fuzz_scsi(struct input *input, bool packed);
void fuzz_console(struct input *input, bool packed);
void fuzz_rng(struct input *input, bool packed);
void fuzz_balloon(struct input *input, bool packed);
void fuzz_9p(struct input *input, bool packed);
void fuzz_virtiofs(struct input *input, bool packed);
void fuzz_input(struct input *input, bool packed);
void fuzz_vsock(struct input *input, bool packed);
void fuzz_e1000(struct input *input, bool packed);
void fuzz_ide(struct input *input, bool packed);
void fuzz_pci(struct input *input, bool packed);
void fuzz_mmio(struct input *input, bool packed);
void fuzz_config(struct input *input, bool packed);
void fuzz_partitions(struct input *input, bool packed);
void fuzz_fat(struct input *input, bool packed);
void fuzz_littlefs(struct input *input, bool packed);
void fuzz_lwip(struct input *input, bool packed);
void fuzz_http(struct input *input, bool packed);
void fuzz_nbd(struct input *input, bool packed);
void fuzz_words(struct input *input, bool packed);
void fuzz_bootinfo(struct input *input, bool packed);

void fuzz_net_prepare(void);
void fuzz_balloon_prepare(void);
void fuzz_lwip_prepare(void);
void fuzz_http_prepare(void);
void fuzz_nbd_prepare(void);

#endif
