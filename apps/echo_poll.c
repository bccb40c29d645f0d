/*
 * echo_poll.c - an echo server with BSD sockets, one thread, poll() and nonblocking calls.
 *
 * The same server as echo_raw.c and echo_threads.c, on port 7 or the one given after `--`. A
 * connection is read from only when all that came before has been sent back.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS_MAX 256
#define DATA_SIZE 8192

/* Slot 0 listens; what `data` holds from `sent` on goes back to its client. */
static struct pollfd fds[1 + CLIENTS_MAX];
static struct {
    char *data;
    size_t len, sent;
} client[1 + CLIENTS_MAX];
static nfds_t count = 1;

static void forget(nfds_t i)
{
    close(fds[i].fd);
    free(client[i].data);
    count--;
    fds[i] = fds[count];
    client[i] = client[count];
}

static void take_client(void)
{
    int fd = accept(fds[0].fd, NULL, NULL);

    char *data = fd >= 0 && count <= CLIENTS_MAX ? malloc(DATA_SIZE) : NULL;

    if (data == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        free(data);
        close(fd);
        return;
    }
    client[count].data = data;
    client[count].len = client[count].sent = 0;
    fds[count] = (struct pollfd){.fd = fd, .events = POLLIN};
    count++;
}

/* One step for one client. False: it is gone. */
static int serve(nfds_t i)
{
    if (client[i].sent == client[i].len) {
        ssize_t len = recv(fds[i].fd, client[i].data, DATA_SIZE, 0);
        if (len <= 0)
            return len < 0 && errno == EAGAIN;
        client[i].len = (size_t)len;
        client[i].sent = 0;
    }
    ssize_t len =
        send(fds[i].fd, client[i].data + client[i].sent, client[i].len - client[i].sent, 0);
    if (len < 0 && errno != EAGAIN)
        return 0;
    client[i].sent += len > 0 ? (size_t)len : 0;
    fds[i].events = client[i].sent < client[i].len ? POLLOUT : POLLIN;
    return 1;
}

int app_main(int argc, char **argv)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);

    address.sin6_port = htons(argc > 1 ? (in_port_t)atoi(argv[1]) : 7);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, SOMAXCONN) != 0) {
        perror("echo");
        return 1;
    }
    fds[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    printf("ready: echo on port %u\n", ntohs(address.sin6_port));
    fflush(stdout);
    while (poll(fds, count, -1) >= 0) {
        /* Backwards, since forgetting one moves the last one into its place. */
        for (nfds_t i = count - 1; i > 0; i--)
            if (fds[i].revents != 0 && !serve(i))
                forget(i);
        if (fds[0].revents != 0)
            take_client();
    }
    perror("poll");
    return 1;
}
