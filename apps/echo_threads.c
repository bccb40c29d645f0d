/*
 * echo_threads.c - an echo server with BSD sockets and a thread for each connection.
 *
 * The same server as echo_raw.c and echo_poll.c, on port 7 or the one given after `--`.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void *serve(void *arg)
{
    int fd = (int)(long)arg;
    char data[8192];
    ssize_t len;

    while ((len = read(fd, data, sizeof(data))) > 0)
        if (write(fd, data, (size_t)len) != len)
            break;
    close(fd);
    return NULL;
}

int app_main(int argc, char **argv)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    int listener = socket(AF_INET6, SOCK_STREAM, 0);

    address.sin6_port = htons(argc > 1 ? (in_port_t)atoi(argv[1]) : 7);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, SOMAXCONN) != 0) {
        perror("echo");
        return 1;
    }
    printf("ready: echo on port %u\n", ntohs(address.sin6_port));
    fflush(stdout);
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);

        if (fd < 0) {
            perror("accept");
            usleep(10000); /* descriptors come back when others close theirs */
        } else if (pthread_create(&thread, NULL, serve, (void *)(long)fd) != 0) {
            close(fd);
        } else {
            pthread_detach(thread);
        }
    }
}
