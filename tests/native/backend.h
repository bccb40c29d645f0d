/*
 * backend.h - other projects' programs as the device's side of a test: started, killed, and gone
 * with the test at the latest.
 *
 * Owns a process and a folder for its sockets and files, and waiting for a condition while the
 * event loop runs. Knows no protocol. Read test_vhost_blk.c for the use of it.
 */
#ifndef FERRULE_TESTS_NATIVE_BACKEND_H
#define FERRULE_TESTS_NATIVE_BACKEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Generous: the machine may be loaded. Real back ends answer in well under a second. */
#define BACKEND_TIMEOUT_MS 20000u

struct backend {
    char folder[40]; /* under /tmp, removed by backend_finish() */
    char socket[64]; /* a path in it */
    char log[64];    /* what the program printed */
    pid_t pid;       /* 0: not running */
    struct backend *next;
};

/* Makes the folder. */
void backend_init(struct backend *backend);

/* Starts a program, found by PATH; `argv` ends in NULL. Files that `keep` (ends in -1) names are
 * inherited; may be NULL. Fails the test when there is no such program. */
void backend_start(struct backend *backend, const char *const argv[], const int *keep);

/* SIGKILL, and its end; a no-op when it is not running. The socket's file is removed, too. */
void backend_kill(struct backend *backend);

/* Kills it and removes the folder. */
void backend_finish(struct backend *backend);

/* The same for whatever a failed test left behind. */
void backend_finish_all(void);

/*
 * Runs the event loop, with all that it does about interrupts, until `done` says true, at most
 * BACKEND_TIMEOUT_MS; false then. `done` is asked once a turn, and every millisecond.
 */
bool backend_wait(bool (*done)(void *arg), void *arg);

#endif
