/*
 * scenario_vsock.c - the life of the socket device driver: a connection from each side, data both
 * ways, an end in good order, and a transport reset.
 */
#include "scenario_vsock.h"

#include "hosted/device_vsock.h"
#include "vsock/vsock.h"

#define RINGS (UINT64_C(1) << F_INDIRECT_DESC | UINT64_C(1) << F_EVENT_IDX)
#define PORT 7u

static struct device_vsock vsock;
static struct vsock_connection *accepted, *asked;
static unsigned ends, begins;

static void ended(void *arg, struct vsock_connection *connection, int error)
{
    (void)error;
    if (*(struct vsock_connection **)arg != connection)
        hosted_fail("the end of another connection");
    *(struct vsock_connection **)arg = NULL;
    vsock_close(connection, false);
    ends++;
}

static const struct vsock_callbacks callbacks = {.ended = ended};

static int accept_one(void *arg, struct vsock_connection *connection)
{
    (void)arg;
    if (accepted)
        return -1;
    begins++;
    accepted = connection;
    vsock_set_callbacks(connection, &callbacks, &accepted);
    return 0;
}

struct device *vsock_make(void)
{
    static const struct device_vsock_setup setup = {
        .features = 1 | RINGS, .cid = 42, .queue_size = 16, .msix_vectors = 4};

    begins = ends = 0;
    device_vsock_init(&vsock, &setup);
    return &vsock.device;
}

/* Bytes each way over what was accepted. */
static void talk(void)
{
    static const char text[6000];
    char answer[64];

    for (unsigned i = 0; i < 3; i++) {
        device_vsock_send(&vsock, 80, PORT, VSOCK_RW, 0, text, 3000);
        scenario_settle(&vsock.device);
        if (!accepted)
            return;
        vsock_send(accepted, text, sizeof(text));
        vsock_read(accepted, answer, sizeof(answer));
        vsock_consume(accepted, vsock_readable(accepted) / 2);
    }
    vsock_shutdown(accepted, VSOCK_NO_SEND);
    scenario_settle(&vsock.device);
}

void vsock_use(void)
{
    const struct vsock_address to = {2, 80};

    vsock_listen(PORT, VSOCK_TYPE_STREAM, accept_one, NULL);
    device_vsock_send(&vsock, 80, PORT, VSOCK_REQUEST, 0, NULL, 0);
    scenario_settle(&vsock.device);
    talk();
    device_vsock_send(&vsock, 80, PORT, VSOCK_SHUTDOWN, 3, NULL, 0);
    device_vsock_send(&vsock, 80, 999, VSOCK_RW, 0, NULL, 0);
    scenario_settle(&vsock.device);
    if (vsock_connect(&to, VSOCK_TYPE_STREAM, 1000, &callbacks, &asked, &asked) == 0) {
        begins++;
        scenario_settle(&vsock.device);
        device_vsock_send(&vsock, 80, 1000, VSOCK_RESPONSE, 0, NULL, 0);
        scenario_settle(&vsock.device);
    }
    device_vsock_transport_reset(&vsock, 43);
    scenario_settle(&vsock.device);
}

void vsock_finish(void)
{
    vsock_unlisten(PORT);
    if (accepted || asked || begins != ends)
        hosted_fail("%u connections began, and %u have ended", begins, ends);
    device_vsock_finish(&vsock);
}
