/*
 * ninep_server.h - a 9P2000.L server over a small tree in memory, for tests of the client.
 *
 * Strict with its client: a message that breaks the protocol fails the test. Answers can be spoiled
 * on purpose. Knows the protocol from its own numbers, and nothing of how messages travel.
 */
#ifndef FERRULE_TESTS_NINEP_SERVER_H
#define FERRULE_TESTS_NINEP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RLERROR = 7,
    TLOPEN = 12,
    TLCREATE = 14,
    TREADLINK = 22,
    TGETATTR = 24,
    TSETATTR = 26,
    TREADDIR = 40,
    TFSYNC = 50,
    TMKDIR = 72,
    TRENAMEAT = 74,
    TUNLINKAT = 76,
    TVERSION = 100,
    TATTACH = 104,
    TWALK = 110,
    TREAD = 116,
    TWRITE = 118,
    TCLUNK = 120
};

#define SERVER_NODES 2500
#define SERVER_FIDS 600
#define SERVER_ROOT 0

struct server_node {
    char *name; /* NULL: free */
    int parent;
    uint32_t mode; /* S_IFDIR, S_IFREG or S_IFLNK and permissions */
    uint8_t *data; /* of a file; the target of a link */
    size_t size;
};

struct server_fid {
    bool used, open;
    uint32_t number;
    int node;
};

struct ninep_server {
    struct server_node node[SERVER_NODES];
    struct server_fid fid[SERVER_FIDS];
    uint32_t msize;  /* what the server offers */
    uint32_t agreed; /* what the session has */
    uint32_t iounit;
    const char *version;
    bool read_only;
    uint8_t root_type;   /* the qid type that Rattach gives */
    unsigned count[256]; /* requests, by type */
    unsigned bytes_read, bytes_written;

    /* What is in a directory's answer, instead of what is there. */
    const uint8_t *entries;
    size_t entries_len;
    bool entries_again; /* whatever offset was asked for */

    /* Spoils the answers to one type of request, or to all (0), from the `spoil_after`th on. */
    uint8_t spoil_type;
    unsigned spoil_after;
    uint32_t error;                                         /* this error instead of an answer */
    size_t (*spoil)(uint8_t *reply, size_t len, void *arg); /* returns the length it now has */
    void *spoil_arg;
};

void server_init(struct ninep_server *server);
void server_finish(struct ninep_server *server);

/* The answer to one message, as many bytes as it has; `room` is how many there is place for. */
size_t server_answer(struct ninep_server *server, const uint8_t *request, size_t len,
                     uint8_t *reply, size_t room);

/* Forgets all fids, as after a reset. */
void server_reset(struct ninep_server *server);
unsigned server_fids(const struct ninep_server *server);

/* Adds to the tree; returns the node. */
int server_add(struct ninep_server *server, int parent, const char *name, uint32_t mode,
               const void *data, size_t size);
/* The node of an absolute path, links not followed, or -1. */
int server_find(const struct ninep_server *server, const char *path);

#endif
