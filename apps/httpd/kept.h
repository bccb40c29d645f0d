/*
 * kept.h - responses of files that are kept in memory, so that the next one who asks for the
 * same costs no look-up, no read and no header.
 *
 * One is good as long as nothing on this machine has changed a file (fs_changes()); of volumes that
 * others change, nothing may be kept.
 */
#ifndef FERRULE_HTTPD_KEPT_H
#define FERRULE_HTTPD_KEPT_H

#include <stdbool.h>
#include <stddef.h>

#include "net/lwip_loan.h"

#define KEPT_FILE_MAX (256u << 10) /* bytes of a file that is worth it */

/* Its users: connections that send it, what TCP has of it under way, and the table. */
struct kept {
    struct lwip_loan loan;
    char data[]; /* header and body, loan.len bytes */
};

/* May what comes from this path be kept? */
bool kept_is_allowed(const char *path);

/* One with room for `len` bytes, which belongs to the caller. NULL: no memory, or too much of it is
 * kept already. */
struct kept *kept_new(size_t len);

/* The response to this target, lent until kept_release(), or NULL. */
struct kept *kept_find(const char *target, bool keeps_open);

/* Keeps it, as far as there is memory; the caller's part of it stays. */
void kept_add(struct kept *kept, const char *target, bool keeps_open);

/* NULL is allowed. */
void kept_release(struct kept *kept);

#endif
