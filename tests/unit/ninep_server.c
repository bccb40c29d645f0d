/*
 * ninep_server.c - a 9P2000.L server over a small tree in memory.
 *
 * The tree behaves as a Linux directory does under QEMU's server: links are not followed, errors
 * have Linux's numbers. Read ninep_server.h first.
 */
#include "ninep_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum {
    E_NOENT = 2,
    E_BADF = 9,
    E_EXIST = 17,
    E_NOTDIR = 20,
    E_ISDIR = 21,
    E_INVAL = 22,
    E_FBIG = 27,
    E_ROFS = 30,
    E_NAMETOOLONG = 36,
    E_NOTEMPTY = 39,
    E_LOOP = 40
};
enum { O_DOTL_ACCESS = 3, O_DOTL_CREAT = 0100, O_DOTL_EXCL = 0200, O_DOTL_TRUNC = 01000 };

#define NOTAG 0xffffu
#define NOFID 0xffffffffu
#define IO_HEADER 24u

/* One request being read and its answer being written. */
struct message {
    struct ninep_server *server;
    const uint8_t *in, *in_end;
    uint8_t *out, *out_end;
};

static uint64_t get(struct message *m, unsigned bytes)
{
    uint64_t value = 0;

    if ((size_t)(m->in_end - m->in) < bytes)
        fail_msg("a request is too short");
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)*m->in++ << 8 * i;
    return value;
}

static void set(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (; bytes--; value >>= 8)
        *at++ = (uint8_t)value;
}

static void give(struct message *m, uint64_t value, unsigned bytes)
{
    if ((size_t)(m->out_end - m->out) < bytes)
        fail_msg("there is no room for the answer");
    set(m->out, value, bytes);
    m->out += bytes;
}

static void give_bytes(struct message *m, const void *data, size_t len)
{
    if ((size_t)(m->out_end - m->out) < len)
        fail_msg("there is no room for the answer");
    memcpy(m->out, data, len);
    m->out += len;
}

/* A name that is part of a path; the caller frees it. */
static char *get_name(struct message *m)
{
    size_t len = get(m, 2);
    char *name = calloc(1, len + 1);

    if ((size_t)(m->in_end - m->in) < len)
        fail_msg("half a name in a request");
    memcpy(name, m->in, len);
    m->in += len;
    if (!len || strlen(name) != len || strchr(name, '/') || !strcmp(name, ".") ||
        !strcmp(name, ".."))
        fail_msg("a request with the name \"%s\"", name);
    return name;
}

/* ---- the tree ---- */

static uint8_t qid_type(const struct server_node *node)
{
    return S_ISDIR(node->mode) ? 0x80 : S_ISLNK(node->mode) ? 2 : 0;
}

static int child(const struct ninep_server *server, int parent, const char *name)
{
    for (int i = 0; i < SERVER_NODES; i++)
        if (server->node[i].name && i != SERVER_ROOT && server->node[i].parent == parent &&
            !strcmp(server->node[i].name, name))
            return i;
    return -1;
}

int server_find(const struct ninep_server *server, const char *path)
{
    char copy[2048], *save = NULL;
    int node = SERVER_ROOT;

    strcpy(copy, path);
    for (char *part = strtok_r(copy, "/", &save); part && node >= 0;
         part = strtok_r(NULL, "/", &save))
        node = child(server, node, part);
    return node;
}

int server_add(struct ninep_server *server, int parent, const char *name, uint32_t mode,
               const void *data, size_t size)
{
    for (int i = 0; i < SERVER_NODES; i++) {
        if (server->node[i].name)
            continue;
        server->node[i] = (struct server_node){.name = strdup(name),
                                               .parent = parent,
                                               .mode = mode,
                                               .data = malloc(size + 1),
                                               .size = size};
        if (size)
            memcpy(server->node[i].data, data, size);
        return i;
    }
    fail_msg("the tree is full");
    return -1;
}

static void drop_node(struct server_node *node)
{
    free(node->name);
    free(node->data);
    *node = (struct server_node){0};
}

static bool has_children(const struct ninep_server *server, int node)
{
    for (int i = 0; i < SERVER_NODES; i++)
        if (i != SERVER_ROOT && server->node[i].name && server->node[i].parent == node)
            return true;
    return false;
}

void server_init(struct ninep_server *server)
{
    memset(server, 0, sizeof(*server));
    server->msize = 1 << 20;
    server->version = "9P2000.L";
    server->root_type = 0x80;
    server_add(server, SERVER_ROOT, "", S_IFDIR | 0755, NULL, 0);
}

void server_finish(struct ninep_server *server)
{
    for (int i = 0; i < SERVER_NODES; i++)
        drop_node(&server->node[i]);
}

/* ---- fids ---- */

void server_reset(struct ninep_server *server)
{
    memset(server->fid, 0, sizeof(server->fid));
}

unsigned server_fids(const struct ninep_server *server)
{
    unsigned count = 0;

    for (unsigned i = 0; i < SERVER_FIDS; i++)
        count += server->fid[i].used;
    return count;
}

static struct server_fid *fid_find(struct ninep_server *server, uint32_t number)
{
    for (unsigned i = 0; i < SERVER_FIDS; i++)
        if (server->fid[i].used && server->fid[i].number == number)
            return &server->fid[i];
    return NULL;
}

static struct server_fid *get_fid(struct message *m)
{
    uint32_t number = (uint32_t)get(m, 4);
    struct server_fid *fid = fid_find(m->server, number);

    if (!fid)
        fail_msg("fid %u is not there", number);
    return fid;
}

static struct server_fid *fid_add(struct ninep_server *server, uint32_t number, int node)
{
    if (fid_find(server, number))
        fail_msg("fid %u is there already", number);
    for (unsigned i = 0; i < SERVER_FIDS; i++) {
        if (server->fid[i].used)
            continue;
        server->fid[i] = (struct server_fid){.used = true, .number = number, .node = node};
        return &server->fid[i];
    }
    fail_msg("more than %d fids", SERVER_FIDS);
    return NULL;
}

static void give_qid(struct message *m, int node)
{
    give(m, qid_type(&m->server->node[node]), 1);
    give(m, 0, 4);
    give(m, (uint64_t)node, 8);
}

/* ---- requests: 0 or an error ---- */

static uint32_t do_version(struct message *m)
{
    struct ninep_server *server = m->server;
    uint32_t msize = (uint32_t)get(m, 4);

    assert_int_equal(get(m, 2), 8);
    assert_memory_equal(m->in, "9P2000.L", 8);
    m->in += 8;
    server_reset(server);
    server->agreed = msize < server->msize ? msize : server->msize;
    give(m, server->agreed, 4);
    give(m, strlen(server->version), 2);
    give_bytes(m, server->version, strlen(server->version));
    return 0;
}

static uint32_t do_attach(struct message *m)
{
    uint32_t number = (uint32_t)get(m, 4);

    assert_int_equal(get(m, 4), NOFID);
    free(get_name(m));
    assert_int_equal(get(m, 2), 0);
    get(m, 4);
    fid_add(m->server, number, SERVER_ROOT);
    give_qid(m, SERVER_ROOT);
    m->out[-13] = m->server->root_type;
    return 0;
}

static uint32_t do_walk(struct message *m)
{
    struct server_fid *fid = get_fid(m);
    uint32_t number = (uint32_t)get(m, 4);
    unsigned names = (unsigned)get(m, 2), walked = 0;
    uint8_t *count = m->out;
    uint32_t error = 0;
    int node = fid->node;

    if (fid->open || names > 16)
        fail_msg("a walk of %u names from an open fid or a closed one", names);
    give(m, 0, 2);
    for (unsigned i = 0; i < names; i++) {
        char *name = get_name(m);
        const struct server_node *from = &m->server->node[node];

        if (!error && !S_ISDIR(from->mode))
            error = S_ISLNK(from->mode) ? E_LOOP : E_NOTDIR;
        int next = error ? -1 : child(m->server, node, name);
        if (!error && next < 0)
            error = strlen(name) > 255 ? E_NAMETOOLONG : E_NOENT;
        free(name);
        if (error)
            continue;
        node = next;
        walked++;
        give_qid(m, node);
    }
    if (error && !walked)
        return error;
    set(count, walked, 2);
    if (walked < names)
        return 0;
    if (number == fid->number)
        fid->node = node;
    else
        fid_add(m->server, number, node);
    return 0;
}

static uint32_t do_lopen(struct message *m)
{
    struct server_fid *fid = get_fid(m);
    struct server_node *node = &m->server->node[fid->node];
    uint32_t flags = (uint32_t)get(m, 4);

    assert_false(fid->open);
    if (flags & (O_DOTL_CREAT | O_DOTL_EXCL))
        fail_msg("Tlopen with flags 0%o", flags);
    if (S_ISLNK(node->mode))
        return E_LOOP;
    if ((flags & O_DOTL_ACCESS) && m->server->read_only)
        return E_ROFS;
    if (flags & O_DOTL_TRUNC)
        node->size = 0;
    fid->open = true;
    give_qid(m, fid->node);
    give(m, m->server->iounit, 4);
    return 0;
}

static uint32_t do_lcreate(struct message *m)
{
    struct server_fid *fid = get_fid(m);
    char *name = get_name(m);
    uint32_t flags = (uint32_t)get(m, 4);
    uint32_t mode = (uint32_t)get(m, 4), error = 0;

    get(m, 4);
    assert_false(fid->open);
    assert_true(flags & O_DOTL_CREAT);
    if (m->server->read_only)
        error = E_ROFS;
    else if (child(m->server, fid->node, name) >= 0)
        error = E_EXIST;
    else if (strlen(name) > 255)
        error = E_NAMETOOLONG;
    if (!error) {
        fid->node = server_add(m->server, fid->node, name, S_IFREG | mode, NULL, 0);
        fid->open = true;
        give_qid(m, fid->node);
        give(m, m->server->iounit, 4);
    }
    free(name);
    return error;
}

static uint32_t do_read(struct message *m)
{
    struct server_fid *fid = get_fid(m);
    const struct server_node *node = &m->server->node[fid->node];
    uint64_t offset = get(m, 8);
    uint32_t count = (uint32_t)get(m, 4);

    assert_true(fid->open && count && count <= m->server->agreed - IO_HEADER);
    uint64_t left = offset < node->size ? node->size - offset : 0;
    count = left < count ? (uint32_t)left : count;
    give(m, count, 4);
    if (count)
        give_bytes(m, node->data + offset, count);
    m->server->bytes_read += count;
    return 0;
}

/* False: too large. */
static bool resize(struct server_node *node, uint64_t size)
{
    if (size >> 28)
        return false;
    node->data = realloc(node->data, size + 1);
    if (size > node->size)
        memset(node->data + node->size, 0, size - node->size);
    node->size = size;
    return true;
}

static uint32_t do_write(struct message *m)
{
    struct server_fid *fid = get_fid(m);
    struct server_node *node = &m->server->node[fid->node];
    uint64_t offset = get(m, 8);
    uint32_t count = (uint32_t)get(m, 4);

    assert_true(fid->open && count && count <= m->server->agreed - IO_HEADER);
    assert_int_equal(m->in_end - m->in, count);
    if (offset + count > node->size && !resize(node, offset + count))
        return E_FBIG;
    memcpy(node->data + offset, m->in, count);
    m->in += count;
    m->server->bytes_written += count;
    give(m, count, 4);
    return 0;
}

static uint32_t do_readdir(struct message *m)
{
    struct ninep_server *server = m->server;
    struct server_fid *fid = get_fid(m);
    uint64_t offset = get(m, 8);
    uint32_t count = (uint32_t)get(m, 4);
    uint8_t *len = m->out;

    assert_true(fid->open && S_ISDIR(server->node[fid->node].mode));
    assert_true(count <= server->agreed - IO_HEADER);
    give(m, 0, 4);
    if (server->entries && (!offset || server->entries_again))
        give_bytes(m, server->entries, server->entries_len);
    for (int i = (int)offset; !server->entries && i < SERVER_NODES; i++) {
        const struct server_node *node = &server->node[i];
        bool self = i == SERVER_ROOT; /* stands for "." */
        const char *name = self ? "." : node->name;

        if (!name || (!self && node->parent != fid->node))
            continue;
        if ((size_t)(m->out - len) - 4 + 24 + strlen(name) > count)
            break;
        give_qid(m, i);
        give(m, (uint64_t)i + 1, 8);
        give(m,
             S_ISDIR(node->mode)   ? 4
             : S_ISLNK(node->mode) ? 10
             : S_ISREG(node->mode) ? 8
                                   : 1,
             1);
        give(m, strlen(name), 2);
        give_bytes(m, name, strlen(name));
    }
    set(len, (uint64_t)(m->out - len) - 4, 4);
    return 0;
}

static uint32_t do_readlink(struct message *m)
{
    const struct server_node *node = &m->server->node[get_fid(m)->node];

    if (!S_ISLNK(node->mode))
        return E_INVAL;
    give(m, node->size, 2);
    give_bytes(m, node->data, node->size);
    return 0;
}

static uint32_t do_getattr(struct message *m)
{
    struct server_fid *fid = get_fid(m);
    const struct server_node *node = &m->server->node[fid->node];

    assert_int_equal(get(m, 8) & ~UINT64_C(0x3fff), 0);
    give(m, 0x7ff, 8);
    give_qid(m, fid->node);
    give(m, node->mode, 4);
    give(m, 1000, 4);
    give(m, 1000, 4);
    give(m, 1, 8);
    give(m, 0, 8);
    give(m, node->size, 8);
    give(m, 4096, 8);
    give(m, (node->size + 511) / 512, 8);
    for (unsigned i = 0; i < 4; i++) { /* atime, mtime, ctime, btime */
        give(m, 1700000000 + i, 8);
        give(m, 999999999, 8);
    }
    give(m, 0, 8);
    give(m, 0, 8);
    return 0;
}

static uint32_t do_setattr(struct message *m)
{
    struct server_node *node = &m->server->node[get_fid(m)->node];

    assert_int_equal(get(m, 4), 8);
    get(m, 4 + 4);
    get(m, 4);
    bool fits = resize(node, get(m, 8));
    for (unsigned i = 0; i < 4; i++)
        get(m, 8);
    return fits ? 0 : E_FBIG;
}

static uint32_t do_fsync(struct message *m)
{
    assert_true(get_fid(m)->open);
    assert_int_equal(get(m, 4), 0);
    return 0;
}

static uint32_t do_mkdir(struct message *m)
{
    struct server_fid *fid = get_fid(m);
    char *name = get_name(m);
    uint32_t mode = (uint32_t)get(m, 4), error = 0;

    get(m, 4);
    if (child(m->server, fid->node, name) >= 0)
        error = E_EXIST;
    else
        give_qid(m, server_add(m->server, fid->node, name, S_IFDIR | mode, NULL, 0));
    free(name);
    return error;
}

static uint32_t unlink_node(struct ninep_server *server, int node, bool directory)
{
    if (node < 0)
        return E_NOENT;
    if (directory != !!S_ISDIR(server->node[node].mode))
        return directory ? E_NOTDIR : E_ISDIR;
    if (has_children(server, node))
        return E_NOTEMPTY;
    drop_node(&server->node[node]);
    return 0;
}

static uint32_t do_unlinkat(struct message *m)
{
    struct server_fid *fid = get_fid(m);
    char *name = get_name(m);
    uint32_t flags = (uint32_t)get(m, 4);

    assert_int_equal(flags & ~0x200u, 0);
    uint32_t error = unlink_node(m->server, child(m->server, fid->node, name), flags);
    free(name);
    return error;
}

static uint32_t do_renameat(struct message *m)
{
    struct ninep_server *server = m->server;
    struct server_fid *from_fid = get_fid(m);
    char *from = get_name(m);
    struct server_fid *to_fid = get_fid(m);
    char *to = get_name(m);
    int node = child(server, from_fid->node, from), there = child(server, to_fid->node, to);
    uint32_t error = node < 0 ? E_NOENT : 0;

    if (!error && there >= 0 && there != node)
        error = unlink_node(server, there, S_ISDIR(server->node[node].mode));
    if (!error) {
        free(server->node[node].name);
        server->node[node].name = strdup(to);
        server->node[node].parent = to_fid->node;
    }
    free(from);
    free(to);
    return error;
}

static uint32_t do_clunk(struct message *m)
{
    get_fid(m)->used = false;
    return 0;
}

static uint32_t (*const handlers[128])(struct message *) = {
    [TLOPEN] = do_lopen,       [TLCREATE] = do_lcreate, [TREADLINK] = do_readlink,
    [TGETATTR] = do_getattr,   [TSETATTR] = do_setattr, [TREADDIR] = do_readdir,
    [TFSYNC] = do_fsync,       [TMKDIR] = do_mkdir,     [TRENAMEAT] = do_renameat,
    [TUNLINKAT] = do_unlinkat, [TVERSION] = do_version, [TATTACH] = do_attach,
    [TWALK] = do_walk,         [TREAD] = do_read,       [TWRITE] = do_write,
    [TCLUNK] = do_clunk,
};

static bool is_spoiled(struct ninep_server *server, uint8_t type)
{
    if ((server->spoil_type && server->spoil_type != type) || !(server->spoil || server->error))
        return false;
    if (!server->spoil_after)
        return true;
    server->spoil_after--;
    return false;
}

size_t server_answer(struct ninep_server *server, const uint8_t *request, size_t len,
                     uint8_t *reply, size_t room)
{
    struct message m = {server, request, request + len, reply + 7, reply + room};
    uint64_t size = get(&m, 4);
    uint8_t type = (uint8_t)get(&m, 1);
    uint16_t tag = (uint16_t)get(&m, 2);

    assert_true(room >= 11);
    if (size != len || type >= 128 || !handlers[type] || (type == TVERSION) != (tag == NOTAG) ||
        (server->agreed && type != TVERSION && len > server->agreed))
        fail_msg("a message of %zu bytes, size %u, type %u, tag %u", len, (unsigned)size, type,
                 tag);
    server->count[type]++;
    bool spoiled = is_spoiled(server, type);
    uint32_t error = spoiled && server->error ? server->error : handlers[type](&m);
    if (spoiled && server->error && type == TCLUNK)
        handlers[type](&m); /* the fid is gone all the same */
    else if (!error)
        assert_ptr_equal(m.in, m.in_end);
    if (error) {
        m.out = reply + 7;
        give(&m, error, 4);
    }
    set(reply, (uint64_t)(m.out - reply), 4);
    reply[4] = error ? RLERROR : (uint8_t)(type + 1);
    set(reply + 5, tag, 2);
    len = (size_t)(m.out - reply);
    return spoiled && server->spoil ? server->spoil(reply, len, server->spoil_arg) : len;
}
