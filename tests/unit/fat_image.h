/*
 * fat_image.h - a disk in memory for tests of file systems, and for FAT the tools to fill and judge it.
 *
 * Owns the fake block device (blk_read() and its kin), log_line(), the console and the wall clock
 * of those tests. One disk at a time; its state is here for tests to look at and to spoil.
 */
#ifndef FERRULE_TESTS_FAT_IMAGE_H
#define FERRULE_TESTS_FAT_IMAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "blk/block.h"

#define MIB (1024u * 1024u)
#define CACHE_MEMORY (16u * MIB)
#define NOW 1700000000u /* what the wall clock says: 2023-11-14 22:13:20 UTC */

#define LONG_NAME                                        \
    "A name that is much longer than eight and three - " \
    "\xc3\xbcn\xc3\xaf\xe2\x82\xac\xe4\xb8\xad.txt"

/* The disk. It is there once disk_present is set; its geometry is the device's. */
extern uint8_t *disk;
extern size_t disk_size;
extern struct blk_device device;
extern bool disk_present;
extern uint64_t cache_memory;                          /* what platform_memory() says is free */
extern unsigned disk_reads, disk_writes, disk_flushes; /* requests so far */
extern int read_error, write_error;                    /* what every request ends with, if not 0 */
extern const char *buffer_start, *buffer_end;          /* a caller's buffer ... */
extern size_t bytes_direct;                            /* ... and what was read straight into it */

/* The sectors written since undo_count was set to 0; kept while undo_room is not 0. */
extern uint32_t *undo;
extern size_t undo_count, undo_room;

/*
 * A power cut: cut_arm() lets the n-th write or flush from now on fail, and all after it. cut_apply()
 * leaves on the disk what was flushed before, and of the rest any sectors; false when there were
 * fewer writes and flushes. In between nothing else may use the undo list.
 */
void cut_arm(unsigned n);
bool cut_apply(void);

/* Told of each write, and with `data` NULL of each flush, that the disk does. May be NULL. */
extern void (*disk_watch)(uint64_t sector, const void *data, uint32_t count);

/* Numbers that depend on dice_state only. */
extern uint32_t dice_state;
uint32_t dice(uint32_t sides);

extern const char *kernel_words; /* the kernel command line */

/* Lets the time pass until what waits to be written back is. False: nothing waits. */
bool fat_image_wait(void);

/* All log lines, and how many. */
extern char logged[8192];
extern unsigned log_lines;

/* The shapes of volume that content tests run on, smallest first. */
#define SHAPES 5
extern const struct shape {
    const char *name, *mkfs;
    unsigned mib, block_size;
} shapes[SHAPES];

/* Runs a command in the tests' folder, where the images are; its status. */
int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Makes an empty volume in disk.img; puts an image into memory; writes memory to an image. */
void format(const struct shape *shape);
void load(const char *name);
void save(const char *name);

/* Mounts what is in memory at "/", or fails the test. */
void mount_loaded(void);

/* The disk leaves, or is there again. */
void fat_image_plug(bool in);

/* Fails the test when fsck.fat finds anything wrong; leaves the image as judged.img. */
void judge(void);

/* A file's content follows from a seed: a byte of it; such a file on the host, on the volume. */
unsigned char content(unsigned seed, size_t at);
void make_host_file(const char *name, unsigned seed, size_t size);
void write_file(const char *path, unsigned seed, size_t size, size_t chunk);
void read_exactly(const char *path, unsigned seed, size_t size, size_t chunk);

/* Around each test, and around all of a program. */
int fat_setup(void **state);
int fat_teardown(void **state);
int fat_begin(void **state);
int fat_end(void **state);

#define FAT_TEST(name) cmocka_unit_test_setup_teardown(name, fat_setup, fat_teardown)

#endif
