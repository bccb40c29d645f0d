/*
 * kept.c - a small table of whole responses: see kept.h.
 *
 * A new one takes the place of the one that was put in longest ago, and of more of them when all
 * would take too much memory. A response that leaves the table stays in memory until the last
 * connection has sent it and the last byte of it has arrived. Read content.c next.
 */
#include "kept.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "platform.h"

#define KEPT_COUNT 16u

/* All of them may have one part in this many of the memory that was free when the first was kept. */
#define MEMORY_SHARE 8u

static struct {
    struct kept *kept; /* NULL: free */
    char *target;
    uint32_t hash;
    bool keeps_open;
    uint64_t changes; /* fs_changes() when it was read */
} table[KEPT_COUNT];
static unsigned next;
static size_t bytes, bytes_max; /* of all responses that are in memory, and what they may be */

static uint32_t hash_of(const char *text)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

bool kept_is_allowed(const char *path)
{
    return !fs_is_shared(path);
}

/* A connection ended its part, or TCP, and it was the last one. */
static void on_ended(struct lwip_loan *loan)
{
    bytes -= loan->len;
    free((struct kept *)loan);
}

static void forget(unsigned i)
{
    kept_release(table[i].kept);
    table[i].kept = NULL;
    free(table[i].target);
    table[i].target = NULL;
}

/* Lets go of the oldest ones until there is room for so many bytes. */
static bool make_room(size_t len)
{
    uint64_t total, available;
    if (bytes_max == 0) {
        platform_memory(&total, &available);
        bytes_max = (size_t)(available / MEMORY_SHARE);
    }
    for (unsigned i = 0; i < KEPT_COUNT && len <= bytes_max && bytes > bytes_max - len; i++)
        forget((next + i) % KEPT_COUNT);
    return len <= bytes_max && bytes <= bytes_max - len;
}

struct kept *kept_new(size_t len)
{
    struct kept *kept = make_room(len) ? malloc(sizeof(*kept) + len) : NULL;
    if (kept == NULL)
        return NULL;
    kept->loan = (struct lwip_loan){.data = kept->data, .len = len, .ended = on_ended};
    lwip_loan_begin(&kept->loan);
    bytes += len;
    return kept;
}

struct kept *kept_find(const char *target, bool keeps_open)
{
    uint32_t hash = hash_of(target);
    for (unsigned i = 0; i < KEPT_COUNT; i++) {
        if (table[i].hash == hash && table[i].kept != NULL && table[i].keeps_open == keeps_open &&
            table[i].changes == fs_changes() && strcmp(table[i].target, target) == 0) {
            lwip_loan_use(&table[i].kept->loan);
            return table[i].kept;
        }
    }
    return NULL;
}

void kept_add(struct kept *kept, const char *target, bool keeps_open)
{
    char *copy = strdup(target);
    if (copy == NULL)
        return;
    forget(next);
    lwip_loan_use(&kept->loan);
    table[next].kept = kept;
    table[next].target = copy;
    table[next].hash = hash_of(copy);
    table[next].keeps_open = keeps_open;
    table[next].changes = fs_changes();
    next = (next + 1) % KEPT_COUNT;
}

void kept_release(struct kept *kept)
{
    if (kept != NULL)
        lwip_loan_drop(&kept->loan);
}
