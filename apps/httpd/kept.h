/*
 * kept.h - responses of small files that are kept in memory, so that the next one who asks for the
 * same costs no look-up, no read and no header.
 *
 * One is good as long as nothing on this machine has changed a file (fs_changes()); of volumes that
 * others change, nothing may be kept.
 */
#ifndef FERRULE_HTTPD_KEPT_H
#define FERRULE_HTTPD_KEPT_H

#include <stdbool.h>
#include <stddef.h>

#define KEPT_FILE_MAX 4096u /* bytes of a file that is worth it */

struct kept {
    size_t len;
    unsigned users; /* connections that send it, and the table */
    char data[];    /* header and body */
};

/* May what comes from this path be kept? */
bool kept_is_allowed(const char *path);

/* One with room for `len` bytes, which belongs to the caller. NULL: no memory. */
struct kept *kept_new(size_t len);

/* The response to this target, lent until kept_release(), or NULL. */
struct kept *kept_find(const char *target, bool keeps_open);

/* Keeps it, as far as there is memory; the caller's part of it stays. */
void kept_add(struct kept *kept, const char *target, bool keeps_open);

/* NULL is allowed. */
void kept_release(struct kept *kept);

#endif
