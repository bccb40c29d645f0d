/*
 * pages.h - memory.h for a Linux program: a small machine's pages, whose numbers fit 32 bits, and
 * large blocks of device memory that can be reported as free.
 */
#ifndef FERRULE_HOSTED_PAGES_H
#define FERRULE_HOSTED_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOSTED_PAGES 8192u
#define HOSTED_BLOCKS 24u

/* All pages and blocks free, nothing reported; platform_memory() counts the pages from here on. */
void hosted_pages_reset(void);
/* A machine with fewer of both, from here on. */
void hosted_pages_limit(unsigned pages, unsigned blocks);
/* The end: all must be free again. */
void hosted_pages_finish(void);

unsigned hosted_pages_taken(void);
unsigned hosted_blocks_taken(void);
unsigned hosted_blocks_reported(void);

/* As if blocks had been used: they may be reported again. */
void hosted_blocks_use(unsigned count);

/* A page by its number, or NULL: not one of ours, or not taken. */
uint8_t *hosted_page(uint32_t number);

#endif
