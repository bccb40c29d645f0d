/*
 * exits.c - ends in the way that its first argument names, so that test_apps.py sees what comes out
 * at the other side.
 *
 * Owns nothing. Read libc/syscalls.c and boot/main.c for the ways themselves.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loop.h"

static void goodbye(void)
{
    printf("goodbye\n");
}

int app_main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";
    int status = argc > 2 ? atoi(argv[2]) : 0;

    for (int i = 0; i < argc; i++)
        printf("argument %d: <%s>\n", i, argv[i]);
    atexit(goodbye);
    if (strcmp(way, "exit") == 0)
        exit(status);
    if (strcmp(way, "_exit") == 0)
        _exit(status);
    if (strcmp(way, "abort") == 0)
        abort();
    if (strcmp(way, "assert") == 0)
        assert(status == 1 && "as asked");
    if (strcmp(way, "wait") == 0)
        loop_run();
    return status;
}
