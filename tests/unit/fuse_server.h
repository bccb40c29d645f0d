/*
 * fuse_server.h - a FUSE server of a few lines, as the host of a share: every name leads to a file,
 * or to a folder if it is "folder", begins with "d" or has one letter. Names that begin with "x" lead
 * nowhere, with "l" to a link to "d/file", with "ll" to a link to itself.
 *
 * For what is not about answers themselves (tests/fuzz, tests/faults); test_fuse.c has a host with
 * files in it.
 */
#ifndef FERRULE_TESTS_FUSE_SERVER_H
#define FERRULE_TESTS_FUSE_SERVER_H

#include <stdint.h>

#define FUSE_SERVER_MESSAGE 256u

/*
 * Answers the request that begins with these `len` bytes. Returns the bytes of the answer, which is
 * never longer than FUSE_SERVER_MESSAGE.
 */
uint32_t fuse_server_answer(const void *request, uint32_t len, void *reply);

#endif
