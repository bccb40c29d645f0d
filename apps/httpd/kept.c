/*
 * kept.c - a small table of whole responses: see kept.h.
 *
 * A new one takes the place of the one that was put in longest ago. A response that leaves the table
 * stays in memory until the last connection has sent it. Read content.c next.
 */
#include "kept.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"

#define KEPT_COUNT 16u

static struct {
    struct kept *kept; /* NULL: free */
    char *target;
    uint32_t hash;
    bool keeps_open;
    uint64_t changes; /* fs_changes() when it was read */
} table[KEPT_COUNT];
static unsigned next;

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

struct kept *kept_new(size_t len)
{
    struct kept *kept = malloc(sizeof(*kept) + len);
    if (kept != NULL)
        *kept = (struct kept){.len = len, .users = 1};
    return kept;
}

struct kept *kept_find(const char *target, bool keeps_open)
{
    uint32_t hash = hash_of(target);
    for (unsigned i = 0; i < KEPT_COUNT; i++) {
        if (table[i].hash == hash && table[i].kept != NULL && table[i].keeps_open == keeps_open &&
            table[i].changes == fs_changes() && strcmp(table[i].target, target) == 0) {
            table[i].kept->users++;
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
    kept_release(table[next].kept);
    free(table[next].target);
    kept->users++;
    table[next].kept = kept;
    table[next].target = copy;
    table[next].hash = hash_of(copy);
    table[next].keeps_open = keeps_open;
    table[next].changes = fs_changes();
    next = (next + 1) % KEPT_COUNT;
}

void kept_release(struct kept *kept)
{
    if (kept != NULL && --kept->users == 0)
        free(kept);
}
