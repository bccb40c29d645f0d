/*
 * vsock.c - AF_VSOCK sockets as a program uses them: errors, connecting, data both ways, serving.
 *
 * The host listens at port 5000 and echoes there, and at 5002 messages; nobody at 5001. After the checks port 1234 is
 * served, one thread a connection, until one of them sends "quit". The word `dead`: the host's side
 * of the device has died, and only that is checked. For test_vsock.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../check.h"

#define ECHO_PORT 5000u
#define CLOSED_PORT 5001u
#define MESSAGES_PORT 5002u
#define OWN_PORT 1234u
#define BULK (1u << 20)

static struct sockaddr_vm at(uint32_t cid, uint32_t port)
{
    return (struct sockaddr_vm){.svm_family = AF_VSOCK, .svm_cid = cid, .svm_port = port};
}

#define ADDRESS(name) (const struct sockaddr *)&(name), sizeof(name)

static void errors(void)
{
    struct sockaddr_vm host = at(VMADDR_CID_HOST, ECHO_PORT), own = at(VMADDR_CID_ANY, 7777);
    struct sockaddr_vm local = at(VMADDR_CID_LOCAL, 1), name;
    struct sockaddr_in in = {.sin_family = AF_INET};
    socklen_t len = sizeof(name);
    int value = -1;
    char byte;

    CHECK_ERROR(socket(AF_VSOCK, SOCK_DGRAM, 0), EPROTONOSUPPORT);
    CHECK_ERROR(socket(AF_VSOCK, SOCK_STREAM, IPPROTO_TCP), EPROTONOSUPPORT);
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK_ERROR(connect(fd, ADDRESS(in)), EAFNOSUPPORT);
    CHECK_ERROR(connect(fd, (struct sockaddr *)&host, 4), EINVAL);
    CHECK_ERROR(connect(fd, ADDRESS(local)), ENODEV);
    CHECK_ERROR(send(fd, "x", 1, 0), ENOTCONN);
    CHECK_ERROR(recv(fd, &byte, 1, 0), ENOTCONN);
    CHECK_ERROR(getpeername(fd, (struct sockaddr *)&name, &len), ENOTCONN);
    CHECK_ERROR(shutdown(fd, SHUT_RDWR), ENOTCONN);
    CHECK_ERROR(accept(fd, NULL, NULL), EINVAL);
    CHECK_ERROR(setsockopt(fd, IPPROTO_TCP, 1, &value, sizeof(value)), ENOPROTOOPT);
    CHECK_ERROR(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &value, sizeof(value)), ENOPROTOOPT);
    len = sizeof(value);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &value, &len) == 0 && value == AF_VSOCK);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &len) == 0 && value == 0);
    CHECK(bind(fd, ADDRESS(own)) == 0);
    CHECK_ERROR(bind(fd, ADDRESS(own)), EINVAL);
    CHECK(listen(fd, 1) == 0);
    len = sizeof(name);
    CHECK(getsockname(fd, (struct sockaddr *)&name, &len) == 0 && name.svm_port == 7777 &&
          name.svm_family == AF_VSOCK && len == sizeof(name));
    printf("vsock: this is CID %u\n", (unsigned)name.svm_cid);
    CHECK_ERROR(connect(fd, ADDRESS(host)), EISCONN);
    int other = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK_ERROR(bind(other, ADDRESS(own)), EADDRINUSE);
    own = at(99999, 1);
    CHECK_ERROR(bind(other, ADDRESS(own)), EADDRNOTAVAIL);
    CHECK(listen(other, 5) == 0); /* at a port of its own */
    CHECK_ERROR(accept(other, NULL, NULL), EAGAIN);
    CHECK(close(other) == 0 && close(fd) == 0);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_ERROR(connect(fd, ADDRESS(host)), EAFNOSUPPORT);
    CHECK(close(fd) == 0);
}

static void refused(void)
{
    struct sockaddr_vm host = at(VMADDR_CID_HOST, CLOSED_PORT);
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

    CHECK_ERROR(connect(fd, ADDRESS(host)), ECONNREFUSED);
    host.svm_port = ECHO_PORT;
    CHECK(connect(fd, ADDRESS(host)) == 0); /* another try */
    CHECK_ERROR(connect(fd, ADDRESS(host)), EISCONN);
    CHECK(close(fd) == 0);
}

/* Small things over one connection, which is made without waiting. */
static void conversation(void)
{
    struct sockaddr_vm host = at(VMADDR_CID_HOST, ECHO_PORT), name;
    int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK, 0), value = -1;
    struct pollfd poller = {.fd = fd, .events = POLLOUT};
    socklen_t len = sizeof(value);
    char text[16];
    struct iovec pieces[2] = {{text, 3}, {text + 8, 3}};

    CHECK_ERROR(connect(fd, ADDRESS(host)), EINPROGRESS);
    CHECK_ERROR(connect(fd, ADDRESS(host)), EALREADY);
    CHECK(poll(&poller, 1, 10000) == 1 && poller.revents == POLLOUT);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &len) == 0 && value == 0);
    len = sizeof(name);
    CHECK(getpeername(fd, (struct sockaddr *)&name, &len) == 0);
    CHECK(name.svm_cid == VMADDR_CID_HOST && name.svm_port == ECHO_PORT);
    CHECK_ERROR(recv(fd, text, 1, 0), EAGAIN);
    CHECK(write(fd, "abcdef", 6) == 6);
    poller.events = POLLIN;
    CHECK(poll(&poller, 1, 10000) == 1 && poller.revents == POLLIN);
    CHECK(fcntl(fd, F_SETFL, 0) == 0);
    CHECK(recv(fd, text, 6, MSG_PEEK | MSG_WAITALL) > 0);
    CHECK(readv(fd, pieces, 2) == 6 && memcmp(text, "abc", 3) == 0 &&
          memcmp(text + 8, "def", 3) == 0);
    CHECK(ioctl(fd, FIONREAD, &value) == 0 && value == 0);
    struct timeval soon = {0, 50000};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)) == 0);
    CHECK_ERROR(recv(fd, text, 1, 0), EAGAIN);
    CHECK(shutdown(fd, SHUT_WR) == 0);
    CHECK_ERROR(write(fd, "x", 1), EPIPE);
    soon = (struct timeval){0, 0};
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)) == 0);
    CHECK(read(fd, text, 1) == 0);
    CHECK(close(fd) == 0);
}

static uint32_t sum(uint32_t before, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        before = before * 31 + data[i];
    return before;
}

struct bulk {
    int fd;
    uint32_t sum;
};

static void *send_bulk(void *arg)
{
    static uint8_t data[10000];
    struct bulk *bulk = arg;
    uint32_t seed = 1;

    for (uint32_t done = 0; done < BULK;) {
        size_t n = 1 + seed % sizeof(data);
        n = n < BULK - done ? n : BULK - done;
        for (size_t i = 0; i < n; i++)
            data[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
        CHECK(write(bulk->fd, data, n) == (ssize_t)n);
        bulk->sum = sum(bulk->sum, data, n);
        done += (uint32_t)n;
    }
    CHECK(shutdown(bulk->fd, SHUT_WR) == 0);
    return NULL;
}

/* A megabyte there and back at the same time, and its end. */
static void both_ways(void)
{
    static uint8_t data[7001];
    struct sockaddr_vm host = at(VMADDR_CID_HOST, ECHO_PORT);
    struct bulk bulk = {.fd = socket(AF_VSOCK, SOCK_STREAM, 0)};
    uint32_t total = 0, got = 0;
    pthread_t thread;
    ssize_t n;

    CHECK(connect(bulk.fd, ADDRESS(host)) == 0);
    CHECK(pthread_create(&thread, NULL, send_bulk, &bulk) == 0);
    while ((n = read(bulk.fd, data, sizeof(data))) > 0) {
        got = sum(got, data, (size_t)n);
        total += (uint32_t)n;
    }
    CHECK(n == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(total == BULK && got == bulk.sum);
    CHECK(close(bulk.fd) == 0);
}

/* Messages keep their bounds, whatever their length. */
static void messages(void)
{
    static const size_t lengths[] = {1, 4052, 4053, 60000, 2};
    static uint8_t data[100000], back[65536];
    struct sockaddr_vm host = at(VMADDR_CID_HOST, MESSAGES_PORT);
    int fd = socket(AF_VSOCK, SOCK_SEQPACKET, 0), value = 0;
    struct iovec pieces[2] = {{back, 10}, {back + 10, 20}};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + (i >> 9));
    CHECK(connect(fd, ADDRESS(host)) == 0);
    CHECK_ERROR(send(fd, data, sizeof(data), 0), EMSGSIZE);
    CHECK_ERROR(recv(fd, back, 1, MSG_DONTWAIT), EAGAIN);
    for (unsigned i = 0; i < 5; i++)
        CHECK(send(fd, data + i, lengths[i], 0) == (ssize_t)lengths[i]);
    for (unsigned i = 0; i < 5; i++) {
        CHECK(recv(fd, back, sizeof(back), MSG_PEEK) == (ssize_t)lengths[i]);
        CHECK(ioctl(fd, FIONREAD, &value) == 0 && value == (int)lengths[i]);
        CHECK(recv(fd, back, sizeof(back), 0) == (ssize_t)lengths[i]);
        CHECK(memcmp(back, data + i, lengths[i]) == 0);
    }
    CHECK(writev(fd, (struct iovec[]){{data, 100}, {data + 100, 101}}, 2) == 201);
    CHECK(write(fd, "next", 4) == 4);
    CHECK(recvmsg(fd, &message, 0) == 30 && (message.msg_flags & MSG_TRUNC) != 0);
    CHECK(memcmp(back, data, 30) == 0);
    CHECK(recv(fd, back, 2, MSG_TRUNC) == 4 && memcmp(back, "ne", 2) == 0);
    CHECK(shutdown(fd, SHUT_WR) == 0);
    CHECK(recv(fd, back, 1, 0) == 0);
    CHECK(close(fd) == 0);
}

static void dead(void)
{
    struct sockaddr_vm host = at(VMADDR_CID_HOST, ECHO_PORT);
    int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    char byte;

    CHECK(connect(fd, ADDRESS(host)) == 0);
    printf("vsock: connected\n");
    CHECK_ERROR(recv(fd, &byte, 1, 0), ECONNRESET);
    close(fd);
    fd = socket(AF_VSOCK, SOCK_STREAM, 0);
    CHECK_ERROR(connect(fd, ADDRESS(host)), ENODEV);
    close(fd);
}

static void *serve(void *arg)
{
    char data[5000];
    int fd = *(int *)arg;
    ssize_t n;

    free(arg);
    while ((n = read(fd, data, sizeof(data))) > 0) {
        if (n == 4 && memcmp(data, "quit", 4) == 0) {
            CHECK(write(fd, "bye", 3) == 3);
            printf("vsock: %u checks, %u failed\n", checks, failures);
            exit(failures ? 1 : 0);
        }
        if (write(fd, data, (size_t)n) != n)
            break;
    }
    close(fd);
    return NULL;
}

static int server(void)
{
    struct sockaddr_vm own = at(VMADDR_CID_ANY, OWN_PORT), peer;
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0);

    CHECK(bind(listener, ADDRESS(own)) == 0 && listen(listener, 8) == 0);
    printf("vsock: serving\n");
    for (;;) {
        int *fd = malloc(sizeof(*fd));
        socklen_t len = sizeof(peer);
        pthread_t thread;

        *fd = accept(listener, (struct sockaddr *)&peer, &len);
        CHECK(*fd >= 0 && peer.svm_cid == VMADDR_CID_HOST);
        if (pthread_create(&thread, NULL, serve, fd) != 0 || pthread_detach(thread) != 0)
            abort();
    }
}

int app_main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "dead") == 0) {
        dead();
        printf("vsock: %u checks, %u failed\n", checks, failures);
        return failures ? 1 : 0;
    }
    errors();
    refused();
    conversation();
    both_ways();
    messages();
    return server();
}
