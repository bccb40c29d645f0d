/*
 * frontends.c - what an application has to do with the console, entropy and balloon devices.
 *
 * Arguments: `echo NAME...` sends back what comes in at these ports of a virtio console and prints
 * what becomes of them; `hungry FREE GET` waits until only FREE MiB are free and allocates GET MiB;
 * `flood LINES` prints so many lines and ends; `random` prints random numbers. test_frontends.py
 * looks from outside.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console/console_port.h"
#include "loop.h"
#include "platform.h"

#define PORTS_MAX 8
#define BUFFER_SIZE 3000
#define MIB (1024 * 1024)

/* One port: what was read and not yet written. */
struct echo {
    struct console_port_watch watch;
    char buffer[BUFFER_SIZE];
    size_t start, end;
};

static struct echo echoes[PORTS_MAX];

static void pump(void *arg, struct console_port *port)
{
    struct echo *echo = arg;
    int n;

    for (;;) {
        while (echo->start < echo->end) {
            n = console_port_write(port, echo->buffer + echo->start, echo->end - echo->start);
            if (n <= 0)
                return;
            echo->start += (size_t)n;
        }
        n = console_port_read(port, echo->buffer, sizeof(echo->buffer));
        if (n <= 0)
            return;
        echo->start = 0;
        echo->end = (size_t)n;
    }
}

static void port_changed(void *arg, struct console_port *port)
{
    struct echo *echo = arg;

    printf("%s: %s\n", echo->watch.name,
           !console_port_is_present(port)    ? "gone"
           : console_port_is_connected(port) ? "connected"
                                             : "disconnected");
    fflush(stdout);
    pump(arg, port);
}

static void port_found(void *arg, struct console_port *port)
{
    static const struct console_port_callbacks callbacks = {
        .readable = pump, .writable = pump, .changed = port_changed};
    struct echo *echo = arg;
    int error = console_port_open(port, &callbacks, echo);

    echo->start = echo->end = 0;
    printf("%s: found: %s%s\n", console_port_name(port), error ? strerror(-error) : "open",
           console_port_is_connected(port) ? ", connected" : "");
    fflush(stdout);
}

static int echo_ports(int count, char **names)
{
    for (int i = 0; i < count && i < PORTS_MAX; i++) {
        echoes[i].watch = (struct console_port_watch){names[i], port_found, &echoes[i], NULL};
        console_port_watch(&echoes[i].watch);
    }
    printf("echo: ready\n");
    fflush(stdout);
    return loop_run();
}

static int be_hungry(unsigned free_mib, unsigned get_mib)
{
    uint64_t total, available = UINT64_MAX;
    char *memory;

    while (available > (uint64_t)free_mib * MIB && !platform_stop_requested()) {
        if (loop_turn() == 0)
            platform_wait(platform_now_ns() + 1000000);
        platform_memory(&total, &available);
    }
    printf("hungry: %llu MiB free\n", (unsigned long long)(available / MIB));
    memory = malloc((size_t)get_mib * MIB);
    if (memory)
        memset(memory, 0x5a, (size_t)get_mib * MIB);
    printf("hungry: %s\n", memory ? "fed" : "starved");
    return 0;
}

static int flood(unsigned lines)
{
    for (unsigned i = 0; i < lines; i++)
        printf("line %u of %u: as much text as a log line has, more or less\n", i, lines);
    return 0;
}

static int print_random(void)
{
    unsigned char bytes[32];

    for (unsigned i = 0; i < 4; i++) {
        if (getentropy(bytes, sizeof(bytes)) != 0)
            return 1;
        printf("random:");
        for (size_t n = 0; n < sizeof(bytes); n++)
            printf(" %02x", bytes[n]);
        printf("\n");
    }
    return 0;
}

int app_main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "echo") == 0)
        return echo_ports(argc - 2, argv + 2);
    if (strcmp(what, "hungry") == 0 && argc == 4)
        return be_hungry((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
    if (strcmp(what, "flood") == 0 && argc == 3)
        return flood((unsigned)atoi(argv[2]));
    if (strcmp(what, "random") == 0)
        return print_random();
    printf("frontends: %s?\n", what);
    return 2;
}
