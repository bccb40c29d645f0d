/*
 * store.c - the database of the store: rows that are on stable storage once they were added.
 *
 * Owns SQLite's settings. Write-ahead logging, because a commit is then one append and one fsync();
 * exclusive locking, because there is no shared memory to coordinate anybody by. On littlefs, where
 * changing the middle of a file copies what follows, the log is cut to nothing after each
 * checkpoint, so that it is only ever appended to. Read store.h first.
 */
#include "store.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "log.h"
#include "sqlite3.h"

#define CHECKPOINT_PAGES 500

static sqlite3 *db;
static sqlite3_stmt *insert, *select_one, *select_count;

static int store_error(const char *what, int code)
{
    log_error("store: %s: %s", what, db ? sqlite3_errmsg(db) : sqlite3_errstr(code));
    switch (code & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_READONLY:
        return -EROFS;
    default:
        return -EIO;
    }
}

static int checkpoint_and_cut(void *argument, sqlite3 *of, const char *name, int pages)
{
    (void)argument;
    if (pages >= CHECKPOINT_PAGES)
        sqlite3_wal_checkpoint_v2(of, name, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return SQLITE_OK;
}

static int prepare(void)
{
    static const char settings[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                                   "PRAGMA synchronous=FULL; CREATE TABLE IF NOT EXISTS"
                                   " rows(id INTEGER PRIMARY KEY, body BLOB NOT NULL)";
    int code = sqlite3_exec(db, settings, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(db, "INSERT INTO rows(body) VALUES(?)", -1, &insert, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(db, "SELECT body FROM rows WHERE id=?", -1, &select_one, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(db, "SELECT count(*), ifnull(max(id), 0) FROM rows", -1,
                                  &select_count, NULL);
    return code;
}

int store_open(const char *path)
{
    const char *type = fs_type(path);
    int code = type ? sqlite3_open(path, &db) : SQLITE_CANTOPEN;
    if (code == SQLITE_OK)
        code = prepare();
    if (code != SQLITE_OK) {
        int error = store_error(path, code);
        store_close();
        return error;
    }
    if (!strcmp(type, "littlefs"))
        sqlite3_wal_hook(db, checkpoint_and_cut, NULL);
    else
        sqlite3_wal_autocheckpoint(db, CHECKPOINT_PAGES);
    log_info("store: %s on %s, SQLite %s", path, type, sqlite3_libversion());
    return 0;
}

static int add_row(struct store_row *row)
{
    sqlite3_bind_blob64(insert, 1, row->len ? row->body : "", row->len, SQLITE_STATIC);
    int code = sqlite3_step(insert);
    sqlite3_reset(insert);
    sqlite3_clear_bindings(insert);
    row->id = sqlite3_last_insert_rowid(db);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int store_add(struct store_row *rows, unsigned count)
{
    int code = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (unsigned i = 0; i < count && code == SQLITE_OK; i++)
        code = add_row(&rows[i]);
    if (code == SQLITE_OK)
        code = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        return 0;
    int error = store_error("rows could not be added", code);
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return error;
}

int store_get(int64_t id, void **body, size_t *len)
{
    int error = 0;
    sqlite3_bind_int64(select_one, 1, id);
    int code = sqlite3_step(select_one);
    if (code == SQLITE_ROW) {
        const void *data = sqlite3_column_blob(select_one, 0);
        *len = (size_t)sqlite3_column_bytes(select_one, 0);
        *body = malloc(*len + 1);
        if (*body && *len)
            memcpy(*body, data, *len);
        error = *body ? 0 : -ENOMEM;
    } else {
        error = code == SQLITE_DONE ? -ENOENT : store_error("a row could not be read", code);
    }
    sqlite3_reset(select_one);
    return error;
}

int store_count(int64_t *count, int64_t *last)
{
    int code = sqlite3_step(select_count);
    int error = code == SQLITE_ROW ? 0 : store_error("rows could not be counted", code);
    *count = error ? 0 : sqlite3_column_int64(select_count, 0);
    *last = error ? 0 : sqlite3_column_int64(select_count, 1);
    sqlite3_reset(select_count);
    return error;
}

static int first_text(void *text, int columns, char **values, char **names)
{
    (void)columns;
    (void)names;
    strcpy(text, ""); /* there is room for a byte in any case */
    strncat(text, values[0] ? values[0] : "", 199);
    return 0;
}

void store_check(char *text, size_t size)
{
    char answer[200] = "";
    char *message = NULL;
    sqlite3_exec(db, "PRAGMA integrity_check(1)", first_text, answer, &message);
    strncpy(text, message ? message : answer, size - 1);
    text[size - 1] = '\0';
    sqlite3_free(message);
}

void store_close(void)
{
    sqlite3_finalize(insert);
    sqlite3_finalize(select_one);
    sqlite3_finalize(select_count);
    insert = select_one = select_count = NULL;
    if (sqlite3_close(db) != SQLITE_OK)
        log_error("store: the database could not be closed in order");
    db = NULL;
}
