/*
 * store.h - the database of the store: rows that are on stable storage once they were added.
 *
 * Owns the one table, the choice of SQLite's settings, and transactions. Nothing here knows HTTP. A
 * call waits for the disk. Read store.c next.
 */
#ifndef FERRULE_APPS_STORE_STORE_H
#define FERRULE_APPS_STORE_STORE_H

#include <stddef.h>
#include <stdint.h>

/* One row to add; `id` is set. */
struct store_row {
    const void *body;
    size_t len;
    int64_t id;
};

/* Opens or makes the database. 0, or a negative errno and a log line. */
int store_open(const char *path);

/*
 * Adds rows in one transaction. 0: all of them are on stable storage; -ENOSPC, -EIO, -ENOMEM: none
 * was added, and a log line says why.
 */
int store_add(struct store_row *rows, unsigned count);

/* A copy of one row in *body, to be freed by the caller. -ENOENT, -EIO, -ENOMEM. */
int store_get(int64_t id, void **body, size_t *len);

/* How many rows there are, and the highest id. 0 or a negative errno. */
int store_count(int64_t *count, int64_t *last);

/* SQLite's own check of the whole file: "ok", or what is wrong. */
void store_check(char *text, size_t size);

void store_close(void);

#endif
