/*
 * ninep_share.h - what the tests of the 9P2000.L client share: a server, the way to it, a start and
 * an end.
 *
 * The way is a transport without a device, which can fall silent. Each test ends with every fid
 * given back. Read ninep_server.h for what the server can be told.
 */
#ifndef FERRULE_TESTS_NINEP_SHARE_H
#define FERRULE_TESTS_NINEP_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/fs.h"
#include "fs/ninep.h"
#include "libc/files.h"
#include "ninep_server.h"

extern struct ninep_server server;
extern struct ninep_transport transport; /* its driver is the server */
extern bool silent;                      /* no answer comes: the other side is reset instead */
extern uint8_t unsent;              /* requests of this type lie where no device reaches them */
extern unsigned exchanges, longest; /* requests so far, and bytes of the longest */

#define LISTED_MAX 2100u
extern char listed[LISTED_MAX][64]; /* the names that list() found last */

/* Around each test. */
int share_begin(void **state);
int share_end(void **state);
#define NINEP_TEST(function) cmocka_unit_test_setup_teardown(function, share_begin, share_end)

/* Mounts the server. */
void attach(const char *place);

/* Adds to the server's root; returns the node. */
int add(const char *name, uint32_t mode, const char *text);
int add_file(const char *name, const char *text);

/* What stands in a file, read by its path. */
void assert_text(const char *path, const char *text);

/* Lists a folder, twice as far as the first name is concerned; returns how many there are. */
unsigned list(const char *path);

#endif
