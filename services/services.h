/*
 * services.h - the small network services that run beside an application: echo, discard, chargen.
 *
 * What a load generator on another machine talks to. Each listens for TCP and UDP, over IPv4 and
 * IPv6, on its well-known port: echo 7 (RFC 862), discard 9 (RFC 863), chargen 19 (RFC 864). None
 * runs unless it is asked for. Loop context. Read service.h next.
 */
#ifndef FERRULE_SERVICES_SERVICES_H
#define FERRULE_SERVICES_SERVICES_H

/*
 * Starts the services of a list such as "echo,discard"; they serve as long as the event loop runs.
 * Says in the log what runs and what could not be started. Returns 0, or the first error when some
 * could not be: -EINVAL for a name that nobody has, -EADDRINUSE, -ENOMEM. Each name is to be given
 * once.
 */
int services_start(const char *names);

/*
 * The names of those that RFCs define, as services_start() takes them. There are also blk, which
 * writes to disks, iperf, tftp, which gives files away, snmp, and mqtt, which is a client.
 */
extern const char services_all[];

#endif
