/*
 * chacha20.h - the ChaCha20 block function (RFC 8439, 2.3): 64 bytes that nobody without the key
 * can tell from random ones.
 */
#ifndef FERRULE_RNG_CHACHA20_H
#define FERRULE_RNG_CHACHA20_H

#include <stdint.h>

void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3],
                    uint32_t out[16]);

#endif
