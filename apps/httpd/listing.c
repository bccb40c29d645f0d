/*
 * listing.c - the page for a folder without an index file: its folders and files, sorted, with
 * sizes.
 *
 * Bounded: of a folder with more than ENTRIES_MAX names the first ones are shown, and the page says
 * so. Names come from whoever made the disk and are escaped.
 */
#include "listing.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fs/fs.h"
#include "path.h"

#define ENTRIES_MAX 4096u

/* The longest an escaped name can become: each byte as "&quot;" */
#define ESCAPED_SIZE (6 * PATH_SIZE + 1)

struct entry {
    char *name;
    bool folder;
    uint64_t size;
};

struct folder {
    struct entry *entries;
    unsigned count, room;
    bool more;
};

/* A text that grows. Once memory was short it stays as it is, and `failed` says so. */
struct text {
    char *data;
    size_t len, room;
    bool failed;
};

static void text_add(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void text_add(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (need < 0 || text->failed)
        return;
    if (text->len + (size_t)need + 1 > text->room) {
        size_t room = (text->len + (size_t)need + 1) * 2;
        char *data = realloc(text->data, room);
        if (data == NULL) {
            text->failed = true;
            return;
        }
        text->data = data;
        text->room = room;
    }
    va_start(args, format);
    vsnprintf(text->data + text->len, (size_t)need + 1, format, args);
    va_end(args);
    text->len += (size_t)need;
}

static int folder_add(struct folder *folder, const struct fs_entry *found)
{
    if (folder->count == folder->room) {
        unsigned room = folder->room == 0 ? 64 : folder->room * 2;
        struct entry *entries = realloc(folder->entries, room * sizeof(*entries));
        if (entries == NULL)
            return -ENOMEM;
        folder->entries = entries;
        folder->room = room;
    }
    struct entry *entry = &folder->entries[folder->count];
    entry->name = strdup(found->name);
    if (entry->name == NULL)
        return -ENOMEM;
    entry->folder = S_ISDIR(found->mode);
    entry->size = found->size;
    folder->count++;
    return 0;
}

static void folder_free(struct folder *folder)
{
    for (unsigned i = 0; i < folder->count; i++)
        free(folder->entries[i].name);
    free(folder->entries);
}

static int folder_read(struct folder *folder, const char *path)
{
    struct file_object directory;
    struct fs_entry found;
    int status = fs_open_directory(path, &directory);
    if (status != 0)
        return status;
    while ((status = directory.ops->read_entry(directory.object, &found)) > 0) {
        if (folder->count == ENTRIES_MAX) {
            folder->more = true;
            status = 0;
            break;
        }
        status = folder_add(folder, &found);
        if (status != 0)
            break;
    }
    directory.ops->close(directory.object);
    return status;
}

/* Folders first, then by name as people sort. */
static int compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->folder != b->folder)
        return a->folder ? -1 : 1;
    int order = strcasecmp(a->name, b->name);
    return order != 0 ? order : strcmp(a->name, b->name);
}

static void add_size(struct text *page, uint64_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    unsigned unit = 0, tenths = 0;
    for (; size >= 1024 && unit < 3; size /= 1024, unit++)
        tenths = (unsigned)(size % 1024 * 10 / 1024);
    if (unit == 0 || size >= 100)
        text_add(page, "%llu %s", (unsigned long long)size, units[unit]);
    else
        text_add(page, "%llu.%u %s", (unsigned long long)size, tenths, units[unit]);
}

static void add_entry(struct text *page, const struct entry *entry, char *escaped)
{
    const char *slash = entry->folder ? "/" : "";
    /* "./" keeps a name with a colon from being taken for a scheme (RFC 3986, 4.2). */
    path_escape_url(escaped, ESCAPED_SIZE, entry->name);
    text_add(page, "<tr><td><a href=\"./%s%s\">", escaped, slash);
    path_escape_html(escaped, ESCAPED_SIZE, entry->name);
    text_add(page, "%s%s</a><td>", escaped, slash);
    if (!entry->folder)
        add_size(page, entry->size);
    text_add(page, "\n");
}

static int render(const struct folder *folder, const char *path, struct text *page)
{
    char *escaped = malloc(ESCAPED_SIZE);
    if (escaped == NULL)
        return -ENOMEM;
    path_escape_html(escaped, ESCAPED_SIZE, path);
    text_add(page,
             "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>%s</title>\n"
             "<style>body{font-family:sans-serif;margin:2em}td{padding:.1em 2em .1em 0}"
             "td+td{text-align:right}</style>\n<h1>%s</h1>\n<table>\n",
             escaped, escaped);
    if (strcmp(path, "/") != 0)
        text_add(page, "<tr><td><a href=\"../\">..</a><td>\n");
    for (unsigned i = 0; i < folder->count; i++)
        add_entry(page, &folder->entries[i], escaped);
    text_add(page, "</table>\n");
    if (folder->more)
        text_add(page, "<p>There are more than these %u names.</p>\n", ENTRIES_MAX);
    text_add(page, "</html>\n");
    free(escaped);
    return page->failed ? -ENOMEM : 0;
}

int listing_build(const char *path, char **page, size_t *len)
{
    struct folder folder = {0};
    struct text text = {0};
    int status = folder_read(&folder, path);
    if (status == 0) {
        if (folder.count > 0)
            qsort(folder.entries, folder.count, sizeof(folder.entries[0]), compare);
        status = render(&folder, path, &text);
    }
    folder_free(&folder);
    if (status != 0) {
        free(text.data);
        return status;
    }
    *page = text.data;
    *len = text.len;
    return 0;
}
