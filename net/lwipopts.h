/*
 * lwipopts.h - lwIP as this system wants it: one thread, IPv4 and IPv6, TCP tuned for bulk, every
 * resource bounded.
 *
 * Fixed pools (the MEMP_NUM_ lines) bound what the network can make us remember; data lies in the C
 * heap below a limit that net/lwip_port.c derives from the memory there is. What is not named here
 * has lwIP's default (lwip/opt.h). Read lwip_port.c next.
 */
#ifndef FERRULE_NET_LWIPOPTS_H
#define FERRULE_NET_LWIPOPTS_H

/* One thread, the event loop; nothing of lwIP runs in an interrupt. */
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_HOOK_FILENAME "lwip_hooks.h"
#define LWIP_TIMERS_CUSTOM 1 /* net/lwip_timers.c */

/* Memory: data from the C heap up to lwip_port.c's limit, control blocks from fixed pools. */
#define MEM_ALIGNMENT 8
#define MEM_CUSTOM_ALLOCATOR 1
#define MEM_CUSTOM_MALLOC lwip_port_malloc
#define MEM_CUSTOM_CALLOC lwip_port_calloc
#define MEM_CUSTOM_FREE lwip_port_free
#ifndef __ASSEMBLER__
#include <stddef.h>
void *lwip_port_malloc(size_t size);
void *lwip_port_calloc(size_t count, size_t size);
void lwip_port_free(void *memory);
#endif
#define MEM_SIZE 16000 /* unused, but must have a value */
#define MEMP_MEM_MALLOC 0
#define MEMP_NUM_PBUF 2048 /* one for each segment that is sent without a copy */
#define MEMP_NUM_RAW_PCB 8
#define MEMP_NUM_UDP_PCB 32
#define MEMP_NUM_TCP_PCB 512
#define MEMP_NUM_TCP_PCB_LISTEN 32
#define MEMP_NUM_TCP_SEG 4096
#define MEMP_NUM_REASSDATA 16
#define MEMP_NUM_FRAG_PBUF 64
#define MEMP_NUM_ARP_QUEUE 256
#define MEMP_NUM_ND6_QUEUE 96
#define MEMP_NUM_IGMP_GROUP 16
#define MEMP_NUM_MLD6_GROUP 32
/* Received frames are in the driver's buffers (net/lwip_netif.c), so lwIP's pool is for
 * applications that ask for it. */
#define PBUF_POOL_SIZE 8
/* lwIP would check the TCP window against that pool. */
#define LWIP_DISABLE_TCP_SANITY_CHECKS 1

/* The payload of a segment of this packet, if it is TCP's (net/lwip_transmit.c), and whose memory it
 * refers to, if that is counted (net/lwip_loan.c). */
#define LWIP_PBUF_CUSTOM_DATA    \
    unsigned short segment_size; \
    struct lwip_loan *loan;
#define LWIP_PBUF_CUSTOM_DATA_INIT(p) \
    do {                              \
        (p)->segment_size = 0;        \
        (p)->loan = NULL;             \
        if (lwip_loan_now != NULL)    \
            lwip_loan_mark(p);        \
    } while (0)
#ifndef __ASSEMBLER__
struct pbuf;
extern struct lwip_loan *lwip_loan_now;
void lwip_loan_mark(struct pbuf *p);
#endif

/* Room in front of the Ethernet header of what is sent, for the NIC's own header (struct nic's
 * tx_headroom). */
#define PBUF_LINK_ENCAPSULATION_HLEN 20

/* Link layer. */
#define LWIP_ARP 1
#define ARP_TABLE_SIZE 127 /* net/lwip_neighbours.c keeps most of it for those that answer */
#define ARP_QUEUEING 1
#define ARP_QUEUE_LEN 16
#define ETHARP_SUPPORT_STATIC_ENTRIES 1
#define ETHARP_SUPPORT_VLAN 1   /* net/lwip_vlan.c */
#define LWIP_ARP_FILTER_NETIF 1 /* lets it choose the interface */
#define PBUF_LINK_HLEN 18       /* Ethernet's header and a tag */
#define LWIP_NETIF_HOSTNAME 1
#define LWIP_NETIF_EXT_STATUS_CALLBACK 1
#define LWIP_NETIF_LOOPBACK 1
#define LWIP_HAVE_LOOPIF 1
#define LWIP_LOOPBACK_MAX_PBUFS 64

/* IPv4. Address conflict detection would hold every boot up for seconds. */
#define LWIP_IPV4 1
#define IP_FORWARD 0
#define IP_REASSEMBLY 1
#define IP_REASS_MAX_PBUFS 64
#define IP_FRAG 1
#define LWIP_ICMP 1
#define LWIP_ICMP_ECHO_CHECK_INPUT_PBUF_LEN 0 /* there is room (net/lwip_netif.c) */
#define LWIP_BROADCAST_PING 0
#define LWIP_MULTICAST_PING 0
#define LWIP_RAW 1
#define LWIP_IGMP 1
#define LWIP_DHCP 1
#define LWIP_DHCP_DOES_ACD_CHECK 0
#define LWIP_ACD 0
#define LWIP_AUTOIP 0
#define LWIP_DHCP_GET_NTP_SRV 1
#define LWIP_DHCP_MAX_NTP_SERVERS 2
#define LWIP_DNS 1
#define DNS_MAX_SERVERS 2
#define DNS_TABLE_SIZE 16

/* IPv6. */
#define LWIP_IPV6 1
/* A reassembly helper with 64-bit pointers is larger than the fragment header it would overlay. */
#define IPV6_FRAG_COPYHEADER 1
#define LWIP_IPV6_NUM_ADDRESSES 4
#define LWIP_IPV6_AUTOCONFIG 1
#define LWIP_IPV6_DUP_DETECT_ATTEMPTS 1
#define LWIP_IPV6_FRAG 1
#define LWIP_IPV6_REASS 1
#define LWIP_IPV6_MLD 1
#define LWIP_ICMP6 1
#define LWIP_ND6_NUM_NEIGHBORS 96
#define LWIP_ND6_NUM_DESTINATIONS 32
#define LWIP_ND6_RDNSS_MAX_DNS_SERVERS DNS_MAX_SERVERS

/* DHCPv6 only tells about servers (RFC 8415, 6.1); lwIP cannot ask it for addresses. */
#define LWIP_IPV6_DHCP6 1
#define LWIP_IPV6_DHCP6_STATELESS 1
#define LWIP_DHCP6_GET_NTP_SRV 1
#define LWIP_DHCP6_MAX_NTP_SERVERS 2

#define LWIP_UDP 1

/*
 * TCP: windows and send buffers of 32 KiB and more, by the memory there is (net/lwip_port.c); the
 * preprocessor, which checks some limits, sees the 32 KiB alone. 512 connections, of which at most
 * half may be half-open (a SYN flood takes no more), and lwIP closes the oldest one in TIME-WAIT
 * when it needs room.
 */
#ifndef __ASSEMBLER__
extern unsigned lwip_port_tcp_extra; /* bytes beyond 32 KiB */
#endif
#define LWIP_TCP 1
#define TCP_MSS 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 5
#define TCP_WND (lwip_port_tcp_extra + 32768)
#define TCP_SND_BUF TCP_WND
#define TCP_SND_QUEUELEN 1024
#define TCP_SNDLOWAT (2 * TCP_MSS)
#define TCP_MSL 30000 /* ms: 60 s of TIME-WAIT */
#define TCP_LISTEN_BACKLOG 1
#define TCP_DEFAULT_LISTEN_BACKLOG 255
#define TCP_QUEUE_OOSEQ 1
#define TCP_TMR_INTERVAL 50 /* ms; acknowledgements wait so long, time-outs are twice as coarse */
#define LWIP_TCP_RTO_TIME 1000      /* ms, before anything is known of the path (RFC 6298, 2.1) */
#define TCP_SYNMAXRTX 12            /* times that; lwIP does not back off here */
#define LWIP_TCP_PCB_NUM_EXT_ARGS 1 /* net/lwip_recovery.c */
#define TCP_OOSEQ_MAX_BYTES TCP_WND
#define TCP_OOSEQ_MAX_PBUFS 256
#define LWIP_TCP_SACK_OUT 1
#define LWIP_TCP_KEEPALIVE 1
#define SO_REUSE 1

/* A network device may complete TCP's checksum and may have checked a frame's; net/lwip_netif.c
 * says which, per frame. */
#define LWIP_CHECKSUM_CTRL_PER_NETIF 1
/* A packet with the UDP checksum field zero is legal over IPv4; lwIP's own is always filled in. */
#define LWIP_CHECKSUM_ON_COPY 0

/* The name of the machine, for who asks the link (net/lwip_mdns.c). */
#define LWIP_MDNS_RESPONDER 1
#define LWIP_MDNS_SEARCH 0
#define LWIP_NUM_NETIF_CLIENT_DATA 1

/* The time of day (net/lwip_time.c). An answer must come from who was asked, and repeat what was
 * sent; there are more attempts at first, until addresses and servers are there. */
#define SNTP_SERVER_DNS 1
#define SNTP_MAX_SERVERS 2
#define SNTP_CHECK_RESPONSE 2
#define SNTP_COMP_ROUNDTRIP 1
#define SNTP_RETRY_TIMEOUT 2000
#define SNTP_RECV_TIMEOUT 2000
#define SNTP_RETRY_TIMEOUT_MAX 64000
#define SNTP_STARTUP_DELAY 0
#define SNTP_SET_SYSTEM_TIME_NTP(seconds, fraction) lwip_time_set(seconds, fraction)
#define SNTP_GET_SYSTEM_TIME_NTP(seconds, fraction) lwip_time_get(&(seconds), &(fraction))
#ifndef __ASSEMBLER__
void lwip_time_set(int seconds, unsigned fraction);
void lwip_time_get(int *seconds, unsigned *fraction);
#endif

/* The agent of services/snmp.c; what it reads of the interfaces is counted all the time. */
#define LWIP_SNMP 1
#define MIB2_STATS 1
#define SNMP_MAX_COMMUNITY_STR_LEN 32

/* A block that is not acknowledged is sent again by lwIP's TFTP server after 2 s, and not after 10. */
#define TFTP_TIMEOUT_MSECS 2000
#define TFTP_MAX_RETRIES 8

/* Counters, for reports. */
#define LWIP_STATS 1
#define LWIP_STATS_LARGE 1
#define MEM_STATS 0
#define MEMP_STATS 1
#define SYS_STATS 0
#define LWIP_STATS_DISPLAY 0

/*
 * lwIP's web server, when an application has it (apps/httpd/). Every response, header included,
 * comes from there: lwIP could not send other status lines than its own four, nor a type for a
 * folder with a dot in its name. An application that uses the server must supply the functions of
 * lwip/apps/fs.h that end in _custom, httpd_port, and content_connection_hook() (lwip_hooks.h).
 */
#define LWIP_HTTPD_CUSTOM_FILES 1
#define LWIP_HTTPD_DYNAMIC_FILE_READ 1
#define LWIP_HTTPD_FS_ASYNC_READ 1
#define LWIP_HTTPD_FILE_EXTENSION 1
#define LWIP_HTTPD_DYNAMIC_HEADERS 0
#define LWIP_HTTPD_SUPPORT_EXTSTATUS 1
#define LWIP_HTTPD_SUPPORT_V09 0
#define LWIP_HTTPD_SUPPORT_11_KEEPALIVE 1
#define LWIP_HTTPD_SUPPORT_REQUESTLIST 1
#define LWIP_HTTPD_MAX_REQ_LENGTH 8191
#define LWIP_HTTPD_REQ_QUEUELEN 255 /* segments of a request: somebody may be typing it */
#define LWIP_HTTPD_MAX_REQUEST_URI_LEN \
    0 /* no guessing of index files but for "/": apps/httpd/ does it */
/* Responses that are in memory as a whole stay where they are until they have arrived. Little is
 * copied faster than two pieces are sent. */
#define HTTP_IS_DATA_VOLATILE(hs) \
    ((hs)->handle->data == NULL || (hs)->left < 2048 ? TCP_WRITE_FLAG_COPY : 0)
#define LWIP_HTTPD_SSI 0
#define LWIP_HTTPD_CGI 0
#define HTTPD_FSDATA_FILE "lwip_fsdata.h"
#define HTTPD_LIMIT_SENDING_TO_2MSS 0
#define HTTPD_MAX_WRITE_LEN(pcb) (44u * TCP_MSS) /* bytes of read buffer a connection */
#define HTTPD_MAX_RETRIES 15 /* times 2 s without progress, then a connection is closed */
#ifndef __ASSEMBLER__
extern unsigned short httpd_port; /* set by the application before httpd_init() */
#endif
#define HTTPD_SERVER_PORT httpd_port
/* Both lwIP's web server and fs/fs.h have a function of this name; lwIP's gets another one. */
#define fs_open httpd_fs_open

#endif
