/*
 * tls.h - blocks of thread-local data, one for each thread. For arch/x86_64/ only.
 */
#ifndef FERRULE_TLS_H
#define FERRULE_TLS_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of a block; it is to be aligned to 64. */
size_t tls_block_size(void);

/* Fills a block with the initial values; returns the thread pointer for MSR_FS_BASE. */
uint64_t tls_block_init(void *block);

#endif
