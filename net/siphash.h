/*
 * siphash.h - SipHash-2-4: a 64-bit keyed hash that an outsider without the key cannot predict.
 *
 * After Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012). Used for TCP's initial
 * sequence numbers as RFC 6528 asks.
 */
#ifndef FERRULE_NET_SIPHASH_H
#define FERRULE_NET_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint64_t key[2], const void *data, size_t len);

#endif
