/*
 * sockets.c - checks threads and the socket calls from inside, over the loopback interface.
 *
 * Prints a line for each check that failed, and at the end how many there were. Words after `--`:
 * `overflow` runs a thread over the end of its stack instead, `client HOST PORT [BYTES]` prints
 * what a server there sends until it closes, or until there were so many bytes. For test_sockets.py.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/time.h>
#include <unistd.h>

#include "platform.h"
#include "thread.h"

#include "../check.h"

/* ---- threads ---- */

static char order[16];

static void *note(void *arg)
{
    strcat(order, arg);
    thread_yield();
    strcat(order, arg);
    errno = *(const char *)arg;
    thread_sleep_until(platform_now_ns() + (uint64_t)(*(const char *)arg - 'a') * 20000000);
    strcat(order, arg);
    CHECK(errno == *(const char *)arg);
    return arg;
}

static struct thread_queue queue;

static void *wait_in_queue(void *arg)
{
    return (void *)(long)thread_wait(&queue, arg ? *(uint64_t *)arg : PLATFORM_NO_DEADLINE);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int produced;

static void *produce(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        pthread_mutex_lock(&mutex);
        usleep(1000); /* somebody has to wait for the mutex */
        produced++;
        pthread_cond_signal(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void check_threads(void)
{
    void *result = NULL;
    errno = 7;
    struct thread *c = thread_create("c", note, "c", 0), *b = thread_create("b", note, "b", 0);
    CHECK(thread_join(b, &result) == 0 && strcmp(result, "b") == 0);
    CHECK(thread_join(c, &result) == 0 && strcmp(result, "c") == 0);
    CHECK(strcmp(order, "cbcbbc") == 0);
    CHECK(errno == 7);

    uint64_t soon_ns = platform_now_ns() + 5000000;
    struct thread *first = thread_create("first", wait_in_queue, NULL, 0);
    struct thread *timed = thread_create("timed", wait_in_queue, &soon_ns, 0);
    struct thread *last = thread_create("last", wait_in_queue, NULL, 0);
    CHECK(thread_join(timed, &result) == 0 && (long)result == -ETIMEDOUT);
    thread_wake(&queue);
    CHECK(thread_join(first, &result) == 0 && (long)result == 0);
    thread_wake_all(&queue);
    CHECK(thread_join(last, &result) == 0 && (long)result == 0);
    CHECK(thread_join(thread_self(), NULL) == -EDEADLK);

    pthread_t producer;
    CHECK(pthread_create(&producer, NULL, produce, NULL) == 0);
    pthread_mutex_lock(&mutex);
    while (produced < 3)
        pthread_cond_wait(&condition, &mutex);
    pthread_mutex_unlock(&mutex);
    CHECK(pthread_join(producer, NULL) == 0 && produced == 3);
}

static void *print_number(void *arg)
{
    char text[32];
    snprintf(text, sizeof(text), "%g", 0.1); /* libc keeps memory for each thread that does this */
    thread_yield();
    return arg;
}

/* Memory of ended threads comes back: far more of them than would fit at once. */
static void check_many_threads(void)
{
    uint64_t total, before, after;
    platform_memory(&total, &before);
    for (int i = 0; i < 3000; i++) {
        struct thread *thread = thread_create("brief", print_number, NULL, 0);
        if (thread == NULL || thread_join(thread, NULL) != 0) {
            CHECK(thread == NULL);
            break;
        }
    }
    platform_memory(&total, &after);
    CHECK(before - after < 1 << 20);
}

/* ---- sockets ---- */

static struct sockaddr_in at(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}
#define ADDRESS(in) (struct sockaddr *)&(in), sizeof(in)

static int listener_at(uint16_t port)
{
    struct sockaddr_in address = at(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0);
    CHECK(bind(fd, ADDRESS(address)) == 0);
    CHECK(listen(fd, 5) == 0);
    return fd;
}

/* Two ends of a connection. */
static void connection(uint16_t port, int *client, int *server)
{
    struct sockaddr_in address = at(port);
    int listener = listener_at(port);
    *client = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(*client, ADDRESS(address)) == 0);
    *server = accept(listener, NULL, NULL);
    CHECK(*server >= 0);
    CHECK(close(listener) == 0);
}

static void check_errors(void)
{
    struct sockaddr_in address = at(99);
    struct sockaddr_in other = {.sin_family = 77};
    char byte = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_ERROR(socket(AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
    CHECK_ERROR(socket(AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
    CHECK_ERROR(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
    CHECK_ERROR(bind(1, ADDRESS(address)), ENOTSOCK);
    CHECK_ERROR(bind(200, ADDRESS(address)), EBADF);
    CHECK_ERROR(bind(fd, ADDRESS(other)), EAFNOSUPPORT);
    CHECK_ERROR(bind(fd, (struct sockaddr *)&address, 5), EINVAL);
    CHECK_ERROR(accept(fd, NULL, NULL), EINVAL);
    CHECK_ERROR(read(fd, &byte, 1), ENOTCONN);
    CHECK_ERROR(write(fd, &byte, 1), ENOTCONN);
    CHECK_ERROR(lseek(fd, 0, SEEK_SET), ESPIPE);
    CHECK_ERROR(connect(fd, ADDRESS(address)), ECONNREFUSED);
    CHECK_ERROR(connect(fd, ADDRESS(address)), ECONNREFUSED);
    int busy = listener_at(100), second = socket(AF_INET, SOCK_STREAM, 0);
    address = at(100);
    CHECK_ERROR(bind(second, ADDRESS(address)), EADDRINUSE);
    CHECK(fcntl(busy, F_SETFL, O_NONBLOCK) == 0 && (fcntl(busy, F_GETFL) & O_NONBLOCK) != 0);
    CHECK_ERROR(accept(busy, NULL, NULL), EAGAIN);
    CHECK(close(fd) == 0 && close(busy) == 0 && close(second) == 0);
    CHECK_ERROR(close(fd), EBADF);
}

static void check_stream(void)
{
    int a, b, on = 1, bytes = 0;
    char data[16] = "";
    struct timeval limit = {0, 20000};
    connection(101, &a, &b);
    CHECK(write(a, "hello", 5) == 5);
    CHECK(recv(b, data, sizeof(data), MSG_PEEK) == 5 && memcmp(data, "hello", 5) == 0);
    CHECK(ioctl(b, FIONREAD, &bytes) == 0 && bytes == 5);
    CHECK(read(b, data, 2) == 2 && read(b, data + 2, 10) == 3 && memcmp(data, "hello", 5) == 0);
    CHECK(setsockopt(b, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
    CHECK_ERROR(read(b, data, 1), EAGAIN);
    CHECK_ERROR(recv(b, data, 1, MSG_DONTWAIT), EAGAIN);
    CHECK(setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
    CHECK_ERROR(setsockopt(a, SOL_SOCKET, 12345, &on, sizeof(on)), ENOPROTOOPT);
    struct iovec pieces[2] = {{"scatter", 7}, {"gather", 6}};
    CHECK(writev(a, pieces, 2) == 13);
    CHECK(recv(b, data, 13, MSG_WAITALL) == 13 && memcmp(data, "scattergather", 13) == 0);

    FILE *in = fdopen(b, "r");
    CHECK(in != NULL && dprintf(a, "line %d\nrest", 1) == 11);
    CHECK(fgets(data, sizeof(data), in) != NULL && strcmp(data, "line 1\n") == 0);

    CHECK(shutdown(a, SHUT_WR) == 0);
    CHECK_ERROR(write(a, "x", 1), EPIPE);
    CHECK(fgets(data, sizeof(data), in) != NULL && strcmp(data, "rest") == 0 && feof(in));
    CHECK(write(b, "back", 4) == 4 && read(a, data, 4) == 4);
    CHECK(fclose(in) == 0);
    CHECK(read(a, data, 1) == 0);
    CHECK(close(a) == 0);
}

static void check_reset(void)
{
    int a, b, error = 0;
    socklen_t len = sizeof(error);
    char byte;
    struct linger at_once = {1, 0};
    connection(102, &a, &b);
    CHECK(setsockopt(a, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0);
    close(a);
    CHECK_ERROR(read(b, &byte, 1), ECONNRESET);
    CHECK_ERROR(write(b, "x", 1), EPIPE);
    CHECK(getsockopt(b, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0);
    close(b);
    connection(103, &a, &b);
    CHECK(write(a, "unread", 6) == 6);
    struct pollfd readable = {.fd = b, .events = POLLIN};
    CHECK(poll(&readable, 1, 1000) == 1);
    close(b); /* the peer must know that something was lost */
    CHECK_ERROR(read(a, &byte, 1), ECONNRESET);
    close(a);
}

static void *close_soon(void *arg)
{
    usleep(10000);
    close((int)(long)arg);
    return NULL;
}

static void check_close_under_way(void)
{
    int a, b;
    char byte;
    pthread_t thread;
    connection(104, &a, &b);
    CHECK(pthread_create(&thread, NULL, close_soon, (void *)(long)a) == 0);
    CHECK_ERROR(read(a, &byte, 1), EBADF);
    pthread_join(thread, NULL);
    CHECK(read(b, &byte, 1) == 0);
    close(b);
}

static void check_poll(void)
{
    struct sockaddr_in address = at(105);
    int error = -1, listener = listener_at(105), a = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t len = sizeof(error);
    struct pollfd fds[3] = {{.fd = listener, .events = POLLIN},
                            {.fd = a, .events = POLLOUT},
                            {.fd = 201, .events = POLLIN}};
    CHECK(poll(fds, 2, 0) == 1 && fds[0].revents == 0 && (fds[1].revents & POLLHUP) != 0);
    CHECK(fcntl(a, F_SETFL, O_NONBLOCK) == 0);
    CHECK_ERROR(connect(a, ADDRESS(address)), EINPROGRESS);
    CHECK_ERROR(connect(a, ADDRESS(address)), EALREADY);
    CHECK(poll(fds + 1, 1, 1000) == 1 && fds[1].revents == POLLOUT);
    CHECK(getsockopt(a, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0);
    CHECK_ERROR(connect(a, ADDRESS(address)), EISCONN);
    CHECK(poll(fds, 3, 1000) == 3 && fds[0].revents == POLLIN && fds[2].revents == POLLNVAL);
    int b = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    CHECK(b >= 0 && (fcntl(b, F_GETFL) & O_NONBLOCK) != 0);

    struct timeval limit = {0, 10000};
    fd_set readable, writable;
    FD_ZERO(&readable);
    FD_SET(b, &readable);
    CHECK(select(b + 1, &readable, NULL, NULL, &limit) == 0 && !FD_ISSET(b, &readable));
    CHECK(write(a, "x", 1) == 1);
    FD_SET(b, &readable);
    FD_ZERO(&writable);
    FD_SET(a, &writable);
    FD_SET(b, &writable);
    sleep(0);
    limit = (struct timeval){1, 0};
    CHECK(poll(&(struct pollfd){.fd = b, .events = POLLIN}, 1, 1000) == 1);
    CHECK(select(b + 2, &readable, &writable, NULL, &limit) == 3 && FD_ISSET(b, &readable));
    limit = (struct timeval){0, 0};
    FD_ZERO(&readable);
    FD_SET(202, &readable);
    CHECK_ERROR(select(203, &readable, NULL, NULL, &limit), EBADF);

    /* A full connection is not writable, and is again when the other side has read. */
    static char data[65536];
    ssize_t n, sent = 0, received = 0;
    while (received >= 0 && (n = write(a, data, sizeof(data))) > 0)
        sent += n;
    CHECK(errno == EAGAIN && sent > 10000);
    do {
        CHECK(poll(&(struct pollfd){.fd = b, .events = POLLIN}, 1, 2000) == 1);
        n = read(b, data, sizeof(data));
        received += n > 0 ? n : 0;
    } while (received < sent + 1 && n > 0);
    CHECK(received == sent + 1);
    CHECK(poll(&(struct pollfd){.fd = a, .events = POLLOUT}, 1, 1000) == 1);
    close(a);
    close(b);
    close(listener);
}

static void check_datagrams(void)
{
    struct sockaddr_in address = at(106), from;
    socklen_t len = sizeof(from);
    char data[8];
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0), size = 4;
    struct iovec piece = {data, 4};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    CHECK(bind(b, ADDRESS(address)) == 0);
    CHECK_ERROR(send(a, "x", 1, 0), EDESTADDRREQ);
    CHECK(sendto(a, "datagram", 8, 0, ADDRESS(address)) == 8);
    CHECK(sendto(a, "", 0, 0, ADDRESS(address)) == 0);
    CHECK(recvmsg(b, &message, 0) == 4 && message.msg_flags == MSG_TRUNC);
    CHECK(recvfrom(b, data, 8, 0, (struct sockaddr *)&from, &len) == 0);
    CHECK(from.sin_addr.s_addr == htonl(INADDR_LOOPBACK) && len == sizeof(from));
    CHECK(connect(b, (struct sockaddr *)&from, len) == 0 && send(b, "back", 4, 0) == 4);
    CHECK(recv(a, data, 8, 0) == 4 && memcmp(data, "back", 4) == 0);
    CHECK_ERROR(sendto(a, data, 70000, 0, ADDRESS(address)), EMSGSIZE);
    CHECK_ERROR(recv(b, data, 8, MSG_DONTWAIT), EAGAIN);
    CHECK(setsockopt(b, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)) == 0);
    CHECK(send(b, "datagrams!", 10, 0) == 10 && send(b, "one", 3, 0) == 3);
    CHECK(recv(a, data, 8, 0) == 4 && memcmp(data, "data", 4) == 0);
    CHECK(recv(a, data, 8, 0) == 4 && memcmp(data, "gram", 4) == 0);
    CHECK(recv(a, data, 8, 0) == 2 && memcmp(data, "s!", 2) == 0);
    CHECK(recv(a, data, 8, 0) == 3 && memcmp(data, "one", 3) == 0);
    size = -1;
    CHECK_ERROR(setsockopt(b, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof(size)), EINVAL);
    close(a);
    close(b);
}

static void check_ipv6(void)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(107)}, name;
    struct sockaddr_in address = at(107);
    socklen_t len = sizeof(name);
    int listener = socket(AF_INET6, SOCK_STREAM, 0), a = socket(AF_INET, SOCK_STREAM, 0);
    char text[INET6_ADDRSTRLEN];
    CHECK(bind(listener, ADDRESS(any)) == 0 && listen(listener, 1) == 0);
    CHECK(connect(a, ADDRESS(address)) == 0);
    int b = accept(listener, (struct sockaddr *)&name, &len);
    CHECK(b >= 0 && len == sizeof(name) && IN6_IS_ADDR_V4MAPPED(&name.sin6_addr));
    CHECK(inet_ntop(AF_INET6, &name.sin6_addr, text, sizeof(text)) != NULL);
    CHECK(strcmp(text, "::ffff:127.0.0.1") == 0);
    close(a);
    close(b);
    a = socket(AF_INET6, SOCK_STREAM, 0);
    any.sin6_addr = in6addr_loopback;
    CHECK(connect(a, ADDRESS(any)) == 0);
    CHECK(getpeername(a, (struct sockaddr *)&name, &len) == 0 &&
          IN6_IS_ADDR_LOOPBACK(&name.sin6_addr) && name.sin6_port == htons(107));
    close(a);
    close(listener);
    int on = 1, only6 = socket(AF_INET6, SOCK_STREAM, 0);
    any.sin6_addr = in6addr_any;
    CHECK(setsockopt(only6, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0);
    CHECK(bind(only6, ADDRESS(any)) == 0 && listen(only6, 1) == 0);
    a = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_ERROR(connect(a, ADDRESS(address)), ECONNREFUSED);
    close(a);
    close(only6);
}

static void check_names(void)
{
    static const struct {
        const char *text, *again; /* NULL: not an address */
    } table[] = {
        {"::", "::"},
        {"::1", "::1"},
        {"fe80::1:2", "fe80::1:2"},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"::ffff:1.2.3.4", "::ffff:1.2.3.4"},
        {"FD00:0:0:0::7", "fd00::7"},
        {"1:2", NULL},
        {":::", NULL},
        {"1::2::3", NULL},
        {"::1%1", NULL},
        {"::1.2.3", NULL},
        {"12345::", NULL},
        {"", NULL},
    };
    struct in6_addr ip6;
    struct in_addr ip4;
    char text[INET6_ADDRSTRLEN];
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        bool good = inet_pton(AF_INET6, table[i].text, &ip6) == 1;
        CHECK(good == (table[i].again != NULL));
        if (good)
            CHECK(strcmp(inet_ntop(AF_INET6, &ip6, text, sizeof(text)), table[i].again) == 0);
    }
    CHECK(inet_pton(AF_INET, "10.1.2.3", &ip4) == 1 && ip4.s_addr == htonl(0x0a010203));
    CHECK(inet_pton(AF_INET, "10.1.2", &ip4) == 0 && inet_pton(AF_INET, "1.2.3.256", &ip4) == 0);
    CHECK(inet_ntop(AF_INET, &ip4, text, 5) == NULL && errno == ENOSPC);

    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list;
    CHECK(getaddrinfo(NULL, "80", &hints, &list) == 0 && list->ai_family == AF_INET &&
          list->ai_next->ai_family == AF_INET6 && list->ai_next->ai_next == NULL);
    freeaddrinfo(list);
    CHECK(getaddrinfo("10.0.0.1", "http", NULL, &list) == 0 &&
          ((struct sockaddr_in *)list->ai_addr)->sin_port == htons(80));
    freeaddrinfo(list);
    hints.ai_flags = AI_NUMERICHOST;
    CHECK(getaddrinfo("no.number", "80", &hints, &list) == EAI_NONAME && list == NULL);
    CHECK(getaddrinfo("10.0.0.1", "no-service", NULL, &list) == EAI_SERVICE);
    CHECK(getaddrinfo("localhost", "7", NULL, &list) == 0);
    freeaddrinfo(list);
}

/* ---- the other two ---- */

static void *__attribute__((noinline)) run_over(void *arg)
{
    volatile char space[1024];
    space[0] = *(volatile char *)arg;
    return space[0] == 1 ? NULL : run_over((void *)(uintptr_t)space);
}

static int fetch(const char *host, const char *port, size_t limit)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    char data[1000];
    size_t total = 0;
    ssize_t len;
    int error = getaddrinfo(host, port, &hints, &list);
    if (error != 0) {
        printf("client: %s: %s\n", host, gai_strerror(error));
        return 1;
    }
    int fd = socket(list->ai_family, list->ai_socktype, list->ai_protocol);
    if (connect(fd, list->ai_addr, list->ai_addrlen) != 0) {
        printf("client: %s: %s\n", host, strerror(errno));
        return 1;
    }
    while ((len = recv(fd, data, limit - total < sizeof(data) ? limit - total : sizeof(data), 0)) >
           0) {
        fwrite(data, 1, (size_t)len, stdout);
        total += (size_t)len;
    }
    printf("\nclient: %zu bytes\n", total);
    freeaddrinfo(list);
    return len < 0;
}

int app_main(int argc, char **argv)
{
    static char zero;
    if (argc == 2 && strcmp(argv[1], "overflow") == 0)
        return thread_join(thread_create("deep", run_over, &zero, 0), NULL);
    if (argc >= 4)
        return fetch(argv[2], argv[3], argc > 4 ? (size_t)atoi(argv[4]) : SIZE_MAX);
    check_threads();
    check_many_threads();
    check_errors();
    check_stream();
    check_reset();
    check_close_under_way();
    check_poll();
    check_datagrams();
    check_ipv6();
    check_names();
    printf("sockets: %u checks, %u failed\n", checks, failures);
    return failures != 0;
}
