/*
 * netdb.c - the functions of <netdb.h>: names of hosts by lwIP's resolver, names of services by a
 * short table.
 *
 * A name is asked for once for each family that is wanted; the calling thread waits. Addresses as
 * text are inet.c's.
 */
#include <netdb.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lwip/dns.h"
#include "net/lwip_netif.h"
#include "platform.h"
#include "thread.h"

#define START_INTERVAL_NS 5000000u
#define ADDRESSES_MAX 2

int h_errno;

static const struct {
    const char *name;
    uint16_t port;
} services[] = {{"echo", 7},    {"discard", 9},  {"chargen", 19}, {"domain", 53},
                {"tftp", 69},   {"http", 80},    {"ntp", 123},    {"snmp", 161},
                {"https", 443}, {"socks", 1080}, {"mqtt", 1883}};

/* ---- asking a name server ---- */

struct question {
    struct thread_queue asker;
    bool answered, found;
    ip_addr_t ip;
};

static void on_answer(const char *name, const ip_addr_t *ip, void *arg)
{
    struct question *question = arg;
    (void)name;
    question->answered = true;
    question->found = ip != NULL;
    if (ip != NULL)
        question->ip = *ip;
    thread_wake_all(&question->asker);
}

/* One name in one family. lwIP gives up by itself, so the wait has an end. */
static int resolve(const char *name, int family, ip_addr_t *ip)
{
    struct question question = {.answered = false};
    if (!thread_can_wait())
        return EAI_AGAIN;
    while (net_is_starting())
        thread_sleep_until(platform_now_ns() + START_INTERVAL_NS);
    err_t error = dns_gethostbyname_addrtype(name, ip, on_answer, &question,
                                             family == AF_INET ? LWIP_DNS_ADDRTYPE_IPV4
                                                               : LWIP_DNS_ADDRTYPE_IPV6);
    if (error == ERR_OK)
        return 0;
    if (error != ERR_INPROGRESS)
        return error == ERR_MEM ? EAI_AGAIN : EAI_NONAME;
    while (!question.answered)
        thread_wait(&question.asker, PLATFORM_NO_DEADLINE);
    *ip = question.ip;
    return question.found ? 0 : EAI_NONAME;
}

/* ---- getaddrinfo() ---- */

/* A number, or a name of the table; -1: neither. Host order. */
static int service_port(const char *service, int flags)
{
    char *end;
    if (service == NULL)
        return 0;
    long port = strtol(service, &end, 10);
    if (*service != '\0' && *end == '\0')
        return port >= 0 && port <= 65535 ? (int)port : -1;
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        if ((flags & AI_NUMERICSERV) == 0 && strcmp(services[i].name, service) == 0)
            return services[i].port;
    return -1;
}

union any_address {
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

static void fill_ipv4(union any_address *address, in_addr_t ip)
{
    address->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = ip};
}

static void fill_ipv6(union any_address *address, const void *ip)
{
    address->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
    memcpy(&address->in6.sin6_addr, ip, sizeof(address->in6.sin6_addr));
}

/* Without a name: any address for a server, the machine itself for a client. */
static int own_addresses(int family, bool passive, union any_address *out)
{
    int count = 0;
    if (family != AF_INET6)
        fill_ipv4(&out[count++], passive ? INADDR_ANY : htonl(INADDR_LOOPBACK));
    if (family != AF_INET)
        fill_ipv6(&out[count++], passive ? &in6addr_any : &in6addr_loopback);
    return count;
}

static int numeric_address(const char *host, int family, union any_address *out)
{
    struct in6_addr ip6;
    struct in_addr ip4;
    char plain[INET6_ADDRSTRLEN];
    const char *zone = strchr(host, '%');
    size_t len = zone != NULL ? (size_t)(zone - host) : strlen(host);
    if (family != AF_INET6 && inet_pton(AF_INET, host, &ip4) == 1) {
        fill_ipv4(out, ip4.s_addr);
        return 1;
    }
    if (family == AF_INET || len >= sizeof(plain))
        return 0;
    memcpy(plain, host, len);
    plain[len] = '\0';
    if (inet_pton(AF_INET6, plain, &ip6) != 1)
        return 0;
    fill_ipv6(out, &ip6);
    if (zone != NULL)
        out->in6.sin6_scope_id = if_nametoindex(zone + 1);
    return 1;
}

static int named_addresses(const char *host, int family, union any_address *out)
{
    static const int families[] = {AF_INET, AF_INET6};
    int count = 0, error = EAI_NONAME;
    for (int i = 0; i < 2; i++) {
        ip_addr_t ip;
        if (family != AF_UNSPEC && family != families[i])
            continue;
        int failed = resolve(host, families[i], &ip);
        if (failed != 0)
            error = failed;
        else if (IP_IS_V6(&ip))
            fill_ipv6(&out[count++], ip_2_ip6(&ip)->addr);
        else
            fill_ipv4(&out[count++], ip_2_ip4(&ip)->addr);
    }
    return count > 0 ? count : error;
}

/* How many addresses, or EAI_... */
static int find_addresses(const char *host, int family, int flags, union any_address *out)
{
    if (host == NULL || strcmp(host, "localhost") == 0)
        return own_addresses(family, host == NULL && (flags & AI_PASSIVE) != 0, out);
    int count = numeric_address(host, family, out);
    if (count > 0)
        return count;
    return (flags & AI_NUMERICHOST) != 0 ? EAI_NONAME : named_addresses(host, family, out);
}

/* One result, its address behind it in the same piece of memory. */
static struct addrinfo *make_result(const union any_address *address, int type, uint16_t port)
{
    struct addrinfo *made = calloc(1, sizeof(*made) + sizeof(*address));
    if (made == NULL)
        return NULL;
    union any_address *copy = (union any_address *)(made + 1);
    *copy = *address;
    copy->in.sin_port = htons(port); /* at the same place in both */
    made->ai_family = copy->in.sin_family;
    made->ai_socktype = type;
    made->ai_protocol = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
    made->ai_addrlen = made->ai_family == AF_INET ? sizeof(copy->in) : sizeof(copy->in6);
    made->ai_addr = (struct sockaddr *)copy;
    return made;
}

static int make_list(const union any_address *address, int count, int type, uint16_t port,
                     struct addrinfo **result)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
    struct addrinfo **tail = result;
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < 2; j++) {
            if (type != 0 && type != types[j])
                continue;
            *tail = make_result(&address[i], types[j], port);
            if (*tail == NULL)
                return EAI_MEMORY;
            tail = &(*tail)->ai_next;
        }
    }
    return 0;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    static const struct addrinfo no_hints = {.ai_family = AF_UNSPEC};
    union any_address address[ADDRESSES_MAX];
    *result = NULL;
    if (hints == NULL)
        hints = &no_hints;
    if (host == NULL && service == NULL)
        return EAI_NONAME;
    if (hints->ai_family != AF_UNSPEC && hints->ai_family != AF_INET &&
        hints->ai_family != AF_INET6)
        return EAI_FAMILY;
    if (hints->ai_socktype != 0 && hints->ai_socktype != SOCK_STREAM &&
        hints->ai_socktype != SOCK_DGRAM)
        return EAI_SOCKTYPE;
    int port = service_port(service, hints->ai_flags);
    if (port < 0)
        return EAI_SERVICE;
    int count = find_addresses(host, hints->ai_family, hints->ai_flags, address);
    if (count < 0)
        return count;
    int error = make_list(address, count, hints->ai_socktype, (uint16_t)port, result);
    if (error == 0 && (hints->ai_flags & AI_CANONNAME) != 0) {
        (*result)->ai_canonname = strdup(host != NULL ? host : "localhost");
        error = (*result)->ai_canonname == NULL ? EAI_MEMORY : 0;
    }
    if (error != 0) {
        freeaddrinfo(*result);
        *result = NULL;
    }
    return error;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;
        free(list->ai_canonname);
        free(list);
        list = next;
    }
}

const char *gai_strerror(int error)
{
    switch (error) {
    case 0:
        return "no error";
    case EAI_BADFLAGS:
        return "bad flags";
    case EAI_NONAME:
        return "no such host";
    case EAI_AGAIN:
        return "the name server could not be asked now";
    case EAI_FAIL:
        return "the name server failed";
    case EAI_FAMILY:
        return "address family not supported";
    case EAI_SOCKTYPE:
        return "socket type not supported";
    case EAI_SERVICE:
        return "no such service";
    case EAI_MEMORY:
        return "no memory";
    case EAI_SYSTEM:
        return "system error";
    case EAI_OVERFLOW:
        return "the result is too long";
    default:
        return "unknown error";
    }
}

/* ---- the other way, and the older functions ---- */

int getnameinfo(const struct sockaddr *address, socklen_t len, char *host, socklen_t host_size,
                char *service, socklen_t service_size, int flags)
{
    union any_address any;
    if (len < sizeof(any.in) || len > sizeof(any))
        return EAI_FAMILY;
    memcpy(&any, address, len);
    const void *ip = any.in.sin_family == AF_INET ? (const void *)&any.in.sin_addr
                                                  : (const void *)&any.in6.sin6_addr;
    if ((flags & NI_NAMEREQD) != 0)
        return EAI_NONAME;
    if (any.in.sin_family != AF_INET && any.in.sin_family != AF_INET6)
        return EAI_FAMILY;
    if (host != NULL && host_size > 0 && inet_ntop(any.in.sin_family, ip, host, host_size) == NULL)
        return EAI_OVERFLOW;
    if (service != NULL && service_size > 0 &&
        snprintf(service, service_size, "%u", ntohs(any.in.sin_port)) >= (int)service_size)
        return EAI_OVERFLOW;
    return 0;
}

struct hostent *gethostbyname(const char *name)
{
    static char text[NI_MAXHOST];
    static char *aliases[1], *list[2];
    static struct in_addr address;
    static struct hostent host = {text, aliases, AF_INET, sizeof(address), list};
    union any_address found[ADDRESSES_MAX];
    if (strlen(name) >= sizeof(text) || find_addresses(name, AF_INET, 0, found) <= 0) {
        h_errno = HOST_NOT_FOUND;
        return NULL;
    }
    strcpy(text, name);
    address = found[0].in.sin_addr;
    list[0] = (char *)&address;
    return &host;
}

struct servent *getservbyname(const char *name, const char *protocol)
{
    static char *aliases[1];
    static struct servent service = {.s_aliases = aliases};
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++) {
        if (strcmp(services[i].name, name) != 0)
            continue;
        service.s_name = (char *)services[i].name;
        service.s_port = htons(services[i].port);
        service.s_proto = (char *)(protocol != NULL ? protocol : "tcp");
        return &service;
    }
    return NULL;
}
