/*
 * balloon_pages.h - the pages in a balloon: a stack of page numbers (5.5.6), in the form that the
 * device reads them in.
 *
 * The numbers cannot lie in the pages themselves, because those are the hypervisor's. Owns memory,
 * not the protocol: which of the pages the device knows of is virtio_balloon.c's. Everything runs
 * in loop context.
 */
#ifndef FERRULE_BALLOON_BALLOON_PAGES_H
#define FERRULE_BALLOON_BALLOON_PAGES_H

#include <stdint.h>

#include "virtio/spec.h"

struct balloon_pages {
    struct balloon_chunk *top;
    uint32_t count;
};

/*
 * Takes up to `wanted` free pages of the machine. The page numbers are at `*numbers`, in memory
 * that a device can read and that stays in place until they are freed. Returns how many; fewer, or
 * 0, when memory is short or a new chunk begins.
 */
uint32_t balloon_pages_take(struct balloon_pages *pages, uint32_t wanted, le32 **numbers);

/* The last pages taken, up to `wanted`, without freeing them: their numbers, and how many. */
uint32_t balloon_pages_last(const struct balloon_pages *pages, uint32_t wanted, le32 **numbers);

/* Frees the last `count` pages, which balloon_pages_last() has shown. */
void balloon_pages_free(struct balloon_pages *pages, uint32_t count);

#endif
