/*
 * backend.c - processes at the other end of a test, and the event loop while they work.
 *
 * A started program dies with the test (PR_SET_PDEATHSIG), even when that is killed. Its folder
 * holds plain files only. Read backend.h first.
 */
#include "backend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hosted/hosted.h"
#include "loop.h"
#include "platform.h"

#define TURN_NS 1000000u

static struct backend *backends;

void backend_init(struct backend *backend)
{
    *backend = (struct backend){.folder = "/tmp/ferrule-native.XXXXXX", .next = backends};
    backends = backend;
    if (!mkdtemp(backend->folder))
        hosted_fail("mkdtemp: %s", strerror(errno));
    snprintf(backend->socket, sizeof(backend->socket), "%s/socket", backend->folder);
    snprintf(backend->log, sizeof(backend->log), "%s/log", backend->folder);
}

/* In the child; never returns. */
static void become(const struct backend *backend, const char *const argv[], const int *keep)
{
    int null = open("/dev/null", O_RDONLY);
    int log = open(backend->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    for (; keep && *keep >= 0; keep++)
        fcntl(*keep, F_SETFD, 0);
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

void backend_start(struct backend *backend, const char *const argv[], const int *keep)
{
    pid_t pid = fork();

    if (pid < 0)
        hosted_fail("fork: %s", strerror(errno));
    if (pid == 0)
        become(backend, argv, keep);
    backend->pid = pid;
}

void backend_kill(struct backend *backend)
{
    if (!backend->pid)
        return;
    kill(backend->pid, SIGKILL);
    waitpid(backend->pid, NULL, 0);
    backend->pid = 0;
    unlink(backend->socket);
}

void backend_finish(struct backend *backend)
{
    DIR *folder;
    struct dirent *entry;

    backend_kill(backend);
    folder = opendir(backend->folder);
    while (folder && (entry = readdir(folder)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    rmdir(backend->folder);
    for (struct backend **link = &backends; *link; link = &(*link)->next)
        if (*link == backend) {
            *link = backend->next;
            break;
        }
}

void backend_finish_all(void)
{
    while (backends)
        backend_finish(backends);
}

/* A source of the event loop that ends it. */
struct waiter {
    bool (*done)(void *arg);
    void *arg;
    bool is_done;
    uint64_t end_ns;
};

static unsigned waiter_poll(void *arg, unsigned budget)
{
    struct waiter *waiter = arg;

    (void)budget;
    waiter->is_done = waiter->done(waiter->arg);
    if (waiter->is_done || platform_now_ns() > waiter->end_ns)
        platform_request_stop();
    return 0;
}

static uint64_t waiter_deadline(void *arg)
{
    (void)arg;
    return platform_now_ns() + TURN_NS;
}

bool backend_wait(bool (*done)(void *arg), void *arg)
{
    struct waiter waiter = {.done = done,
                            .arg = arg,
                            .end_ns = platform_now_ns() + BACKEND_TIMEOUT_MS * UINT64_C(1000000)};
    struct loop_source source = {
        .name = "waiter", .poll = waiter_poll, .deadline = waiter_deadline, .arg = &waiter};

    loop_add(&source);
    loop_run();
    loop_remove(&source);
    hosted_clear_stop();
    return waiter.is_done;
}
