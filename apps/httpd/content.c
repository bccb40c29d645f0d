/*
 * content.c - what lwIP's web server serves: the files of the disk, as whole responses with their
 * headers.
 *
 * Implements the "custom files" of lwIP's httpd (lwip/apps/fs.h): it asks for a name and reads
 * bytes until there are none, and does the rest of HTTP and TCP. Owns status lines, headers, index
 * files, redirection to folders and error pages. What a request target means as a path is in
 * path.c, pages for folders are in listing.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lwip/apps/fs.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/timeouts.h"

#include "kept.h"
#include "listing.h"
#include "log.h"
#include "lwip_hooks.h"
#include "path.h"
#include "request.h"

/* Reads end at multiples of this, so that the next one can go straight from the disk into the
 * buffer. */
#define READ_ALIGN 4096u

#define HEADER_SIZE 256u

/* A response that is not in memory as a whole. */
struct content {
    char *header; /* what is sent before the body, HEADER_SIZE bytes and maybe more */
    size_t header_len, header_sent;
    int fd; /* the body is a file, or -1: */
    char *page;
    uint64_t offset, left; /* of the body */
    char *path;            /* for the log */
    void *connection;      /* httpd's, from the last read */
    bool is_broken;        /* cannot be completed */
    struct content *next_broken;
};

/* Complete responses that need no memory, because some of them say that there is none. */
#define RESPONSE(status, more, text)                                                         \
    "HTTP/1.1 " status "\r\nServer: Ferrule\r\nContent-Type: text/html\r\n" more "\r\n"      \
    "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>" status "</title>\n" \
    "<h1>" status "</h1>\n<p>" text "</p>\n</html>\n"
#define CLOSE "Connection: close\r\n"

static const char bad_request[] =
    RESPONSE("400 Bad Request", CLOSE, "This is not a request that the server understands.");
static const char not_found[] =
    RESPONSE("404 Not Found", CLOSE, "There is no such file on this server's disk.");
static const char server_error[] =
    RESPONSE("500 Internal Server Error", CLOSE, "The file is there, but cannot be read.");
static const char not_implemented[] =
    RESPONSE("501 Not Implemented", CLOSE, "The server knows the method GET only.");
static const char unavailable[] =
    RESPONSE("503 Service Unavailable", CLOSE "Retry-After: 1\r\n",
             "Too many files are open, or memory is short. Try again.");
static const char no_disk[] = RESPONSE(
    "503 No Disk", CLOSE,
    "The web server runs, but there is no disk with a file system that it knows: it serves "
    "the files of the first FAT volume. Start the machine with one, for example with "
    "<code>make run WWW=folder</code>.");

/* Names by which httpd asks for the page of an error; a file of that name takes the page's place.
 */
static const struct {
    const char *name, *status, *response;
} error_pages[] = {
    {"/400.html", "400 Bad Request", bad_request},
    {"/404.html", "404 Not Found", not_found},
    {"/501.html", "501 Not Implemented", not_implemented},
};

/* ---- opening ---- */

/* Does the client whose request is being looked at keep its connection open? */
static bool keeps_open;

/* What it asks for, as httpd got it. */
static const char *asked_name;

/* httpd's question whether to keep a connection, asked just before it opens the file
 * (lwip_hooks.h). */
char *content_connection_hook(const char *request, size_t len)
{
    keeps_open = request_keeps_open(request, len);
    return keeps_open ? (char *)(uintptr_t)request : NULL;
}

/* httpd wants lengths as int, a file may be larger: it is told what is left, as far as that fits.
 */
static void set_left(struct fs_file *file)
{
    const struct content *content = file->pextension;
    uint64_t left = content->header_len - content->header_sent + content->left;
    file->len = INT_MAX;
    file->index = left < INT_MAX ? INT_MAX - (int)left : 0;
}

static int serve_response(struct fs_file *file, const char *response)
{
    file->data = response;
    file->len = (int)strlen(response);
    file->index = file->len;
    file->pextension = NULL;
    file->flags = FS_FILE_FLAGS_HEADER_INCLUDED;
    return 1;
}

static int serve_failure(struct fs_file *file, int error)
{
    bool short_of = error == ENOMEM || error == EMFILE || error == ENFILE;
    return serve_response(file, short_of ? unavailable : server_error);
}

static void content_free(struct content *content)
{
    if (content == NULL)
        return;
    if (content->fd >= 0)
        close(content->fd);
    free(content->page);
    free(content->path);
    free(content->header);
    free(content);
}

/* A response whose header is still empty, but has room for HEADER_SIZE bytes and `extra` more. */
static struct content *content_new(const char *path, size_t extra)
{
    struct content *content = calloc(1, sizeof(*content));
    if (content == NULL)
        return NULL;
    content->fd = -1;
    content->path = strdup(path);
    content->header = malloc(HEADER_SIZE + extra);
    if (content->path == NULL || content->header == NULL) {
        content_free(content);
        return NULL;
    }
    return content;
}

/*
 * Completes a response: its header from here, its body as the caller set it. The connection may
 * stay open, so the length must be right.
 */
static int serve_content(struct fs_file *file, struct content *content, const char *status,
                         const char *type, const char *location)
{
    content->header_len = (size_t)sprintf(
        content->header,
        "HTTP/1.1 %s\r\nServer: Ferrule\r\n%s%s%sContent-Type: %s\r\nContent-Length: %llu\r\n"
        "Connection: %s\r\n\r\n",
        status, location != NULL ? "Location: " : "", location != NULL ? location : "",
        location != NULL ? "\r\n" : "", type, (unsigned long long)content->left,
        keeps_open ? "keep-alive" : "close");
    file->data = NULL;
    file->pextension = content;
    file->flags = FS_FILE_FLAGS_HEADER_INCLUDED | FS_FILE_FLAGS_HEADER_PERSISTENT;
    set_left(file);
    return 1;
}

/* Sends a response that is in memory as a whole, and goes back to where it is kept. */
static int serve_kept(struct fs_file *file, struct kept *kept)
{
    serve_response(file, "");
    file->data = kept->data;
    file->len = file->index = (int)kept->loan.len;
    file->flags |= FS_FILE_FLAGS_HEADER_PERSISTENT;
    file->pextension = kept;
    return 1;
}

/*
 * Reads a small file to its end, and keeps the whole response for the next one who asks. Nothing of
 * that changes what is sent: when it cannot be done, the file is sent as any other.
 */
static int keep_and_serve(struct fs_file *file, struct content *content)
{
    struct kept *kept = kept_new(content->header_len + (size_t)content->left);
    if (kept == NULL)
        return 1;
    memcpy(kept->data, content->header, content->header_len);
    ssize_t got = read(content->fd, kept->data + content->header_len, (size_t)content->left);
    if (got < 0 || (uint64_t)got != content->left) {
        kept_release(kept);
        lseek(content->fd, 0, SEEK_SET);
        return 1;
    }
    kept_add(kept, asked_name, keeps_open);
    content_free(content);
    return serve_kept(file, kept);
}

static int serve_file(struct fs_file *file, const char *path, uint64_t size, const char *status)
{
    struct content *content = content_new(path, 0);
    if (content == NULL)
        return serve_response(file, unavailable);
    content->fd = open(path, O_RDONLY);
    if (content->fd < 0) {
        int error = errno;
        content_free(content);
        return serve_failure(file, error);
    }
    content->left = size;
    serve_content(file, content, status, path_content_type(path), NULL);
    return size <= KEPT_FILE_MAX && kept_is_allowed(path) ? keep_and_serve(file, content) : 1;
}

static int serve_redirect(struct fs_file *file, const char *path)
{
    size_t len = path_escape_url(NULL, 0, path);
    char *location = malloc(len + 2);
    struct content *content = content_new(path, len + 2);
    int served;
    if (location != NULL && content != NULL) {
        path_escape_url(location, len + 1, path);
        strcpy(location + len, "/");
        served = serve_content(file, content, "301 Moved Permanently", "text/plain", location);
    } else {
        content_free(content);
        served = serve_response(file, unavailable);
    }
    free(location);
    return served;
}

static int serve_listing(struct fs_file *file, const char *path)
{
    size_t len;
    struct content *content = content_new(path, 0);
    if (content == NULL)
        return serve_response(file, unavailable);
    int status = listing_build(path, &content->page, &len);
    if (status != 0) {
        content_free(content);
        return serve_failure(file, -status);
    }
    content->left = len;
    return serve_content(file, content, "200 OK", "text/html; charset=utf-8", NULL);
}

static int serve_folder(struct fs_file *file, const char *path)
{
    static const char *const index_names[] = {"index.html", "index.htm"};
    char name[PATH_SIZE + 16];
    struct stat found;
    if (!path_is_folder(path))
        return serve_redirect(file, path);
    for (size_t i = 0; i < sizeof(index_names) / sizeof(index_names[0]); i++) {
        snprintf(name, sizeof(name), "%s%s", path, index_names[i]);
        if (stat(name, &found) == 0 && S_ISREG(found.st_mode))
            return serve_file(file, name, (uint64_t)found.st_size, "200 OK");
    }
    return serve_listing(file, path);
}

/* What a path leads to. Returns 0 when there is nothing, and httpd asks for the page that says so.
 */
static int serve_path(struct fs_file *file, const char *path, const char *status)
{
    struct stat found;
    if (stat(path, &found) != 0) {
        if (errno == EIO || errno == ENOMEM)
            return serve_failure(file, errno);
        /* The root is always there, unless nothing is. */
        return strcmp(path, "/") == 0 ? serve_response(file, no_disk) : 0;
    }
    if (S_ISDIR(found.st_mode))
        return serve_folder(file, path);
    if (path_is_folder(path))
        return 0;
    return serve_file(file, path, (uint64_t)found.st_size, status);
}

int fs_open_custom(struct fs_file *file, const char *name)
{
    char path[PATH_SIZE];
    struct kept *kept = kept_find(name, keeps_open);
    if (kept != NULL)
        return serve_kept(file, kept);
    asked_name = name;
    for (size_t i = 0; i < sizeof(error_pages) / sizeof(error_pages[0]); i++)
        if (strcmp(name, error_pages[i].name) == 0)
            return serve_path(file, name, error_pages[i].status) ||
                   serve_response(file, error_pages[i].response);
    if (path_decode(name, path) != 0)
        return serve_response(file, bad_request);
    return serve_path(file, path, "200 OK");
}

/* ---- reading ---- */

/* Responses that cannot be completed. Their connections are reset by a timer, since httpd is using
 * them now. */
static struct content *broken;

static void reset_connection(const void *connection)
{
    for (struct tcp_pcb *pcb = tcp_active_pcbs; pcb != NULL; pcb = pcb->next)
        if (pcb->callback_arg == connection) {
            tcp_abort(pcb); /* httpd closes the file then */
            return;
        }
}

static void on_broken(void *arg)
{
    (void)arg;
    while (broken != NULL) {
        struct content *content = broken;
        broken = content->next_broken;
        reset_connection(content->connection);
    }
}

/* A client that gets fewer bytes than promised must see the connection break, or it would take the
 * file for complete. */
static int break_off(struct content *content, const char *reason)
{
    log_error("httpd: %s: cannot be read at byte %llu: %s", content->path,
              (unsigned long long)content->offset, reason);
    if (broken == NULL)
        sys_timeout(0, on_broken, NULL);
    content->is_broken = true;
    content->next_broken = broken;
    broken = content;
    return FS_READ_DELAYED;
}

void fs_close_custom(struct fs_file *file)
{
    struct content *content = file->pextension;
    if (file->data != NULL) {
        kept_release(file->pextension);
        file->pextension = NULL;
        return;
    }
    for (struct content **at = &broken; *at != NULL; at = &(*at)->next_broken)
        if (*at == content) {
            *at = content->next_broken;
            break;
        }
    content_free(content);
    file->pextension = NULL;
}

static size_t read_header(struct content *content, char *buffer, size_t room)
{
    size_t count = content->header_len - content->header_sent;
    if (count > room)
        count = room;
    memcpy(buffer, content->header + content->header_sent, count);
    content->header_sent += count;
    return count;
}

/* The next bytes of the body; a file's in amounts that leave the next read aligned. 0 or less: an
 * error. */
static ssize_t read_body(struct content *content, char *buffer, size_t room)
{
    size_t count = content->left < room ? (size_t)content->left : room;
    if (content->fd < 0) {
        memcpy(buffer, content->page + content->offset, count);
        return (ssize_t)count;
    }
    uint64_t end = (content->offset + count) / READ_ALIGN * READ_ALIGN;
    if (count < content->left && end > content->offset)
        count = (size_t)(end - content->offset);
    return read(content->fd, buffer, count);
}

int fs_read_async_custom(struct fs_file *file, char *buffer, int count, fs_wait_cb callback_fn,
                         void *callback_arg)
{
    struct content *content = file->pextension;
    (void)callback_fn; /* nothing is ever waited for: a file is read at once */
    content->connection = callback_arg;
    if (content->is_broken)
        return FS_READ_DELAYED;
    size_t done = read_header(content, buffer, (size_t)count);
    if (done < (size_t)count && content->left > 0) {
        ssize_t got = read_body(content, buffer + done, (size_t)count - done);
        if (got <= 0)
            return break_off(content, got < 0 ? strerror(errno) : "it ends here");
        content->offset += (uint64_t)got;
        content->left -= (uint64_t)got;
        done += (size_t)got;
    }
    set_left(file);
    return (int)done;
}

/* A response whose file failed waits for its connection's end; every other one can be read. */
u8_t fs_canread_custom(struct fs_file *file)
{
    const struct content *content = file->pextension;
    return file->data != NULL || content == NULL || !content->is_broken;
}

u8_t fs_wait_read_custom(struct fs_file *file, fs_wait_cb callback_fn, void *callback_arg)
{
    (void)file;
    (void)callback_fn;
    (void)callback_arg;
    return 1;
}
