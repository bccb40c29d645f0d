/*
 * random.c - the generator: ChaCha20 with fast key erasure.
 *
 * The state is a key of 256 bits. Each block of 64 bytes that ChaCha20 makes from it is half next
 * key and half output, so the numbers given out do not tell the state, and a state that leaks does
 * not tell the numbers of before (Bernstein, "Fast-key-erasure random-number generators", 2017).
 * Input is added to the key, 32 bytes at a time, and a block is made: who knew the key but not the
 * input knows nothing any more, and who chose the input but does not know the key gains nothing.
 * One primitive, a few lines, published test vectors: the simplest thing known to do both. Sources:
 * the CPU's own generator and clocks at the beginning and for each batch of numbers, and the
 * entropy device (virtio_rng.c) when it answers.
 */
#include "rng/random.h"

#include <string.h>

#include "platform.h"
#include "rng/chacha20.h"

#define KEY_WORDS 8
/* Numbers between two looks at the sources, and between two requests to the one that answers later. */
#define OUTPUTS_PER_STIR 64
#define OUTPUTS_PER_REQUEST 8192

static struct {
    uint32_t key[KEY_WORDS];
    uint64_t pool[4]; /* output not given out yet */
    unsigned left;
    unsigned until_stir, until_request;
    bool seeded;
    void (*request)(void *arg);
    void *request_arg;
} generator;

/* One block: its first half replaces the key, its second half is output. */
static void advance(void)
{
    static const uint32_t no_nonce[3];
    uint32_t block[16];

    chacha20_block(generator.key, 0, no_nonce, block);
    memcpy(generator.key, block, sizeof(generator.key));
    memcpy(generator.pool, block + KEY_WORDS, sizeof(generator.pool));
    memset(block, 0, sizeof(block));
    __asm__ volatile("" ::"r"(block) : "memory"); /* the compiler may not leave the erasure out */
    generator.left = sizeof(generator.pool) / sizeof(generator.pool[0]);
}

void random_mix(const void *data, size_t len)
{
    const uint8_t *input = data;

    while (len > 0) {
        uint8_t padded[sizeof(generator.key)] = {0};
        size_t n = len < sizeof(padded) ? len : sizeof(padded);

        memcpy(padded, input, n);
        for (unsigned i = 0; i < KEY_WORDS; i++) {
            uint32_t word;

            memcpy(&word, padded + 4 * i, sizeof(word));
            generator.key[i] ^= word;
        }
        advance();
        input += n;
        len -= n;
    }
}

/* What is at hand at once: times, and the CPU's generator where there is one. */
static void stir(void)
{
    uint64_t input[6] = {platform_now_ns(), platform_wall_ns()};
    unsigned n = 0;

    while (n < 4 && platform_cpu_random(&input[2 + n]))
        n++;
    if (n == 4)
        generator.seeded = true;
    random_mix(input, sizeof(input));
    generator.until_stir = OUTPUTS_PER_STIR;
}

uint64_t random_u64(void)
{
    uint64_t value;

    if (generator.until_request == 0 && generator.request) {
        generator.until_request = OUTPUTS_PER_REQUEST;
        generator.request(generator.request_arg);
    }
    if (generator.until_stir == 0)
        stir();
    if (generator.left == 0)
        advance();
    if (generator.until_request > 0)
        generator.until_request--;
    generator.until_stir--;
    value = generator.pool[--generator.left];
    generator.pool[generator.left] = 0;
    return value;
}

void random_bytes(void *data, size_t len)
{
    uint8_t *out = data;

    while (len > 0) {
        uint64_t word = random_u64();
        size_t n = len < sizeof(word) ? len : sizeof(word);

        memcpy(out, &word, n);
        out += n;
        len -= n;
    }
}

void random_set_source(void (*request)(void *arg), void *arg)
{
    generator.request = request;
    generator.request_arg = arg;
    generator.until_request = OUTPUTS_PER_REQUEST;
}

bool random_is_seeded(void)
{
    if (generator.until_stir == 0)
        stir();
    return generator.seeded;
}

void random_set_seeded(void)
{
    generator.seeded = true;
}
