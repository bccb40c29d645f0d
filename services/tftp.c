/*
 * tftp.c - files of "/" for reading by TFTP (RFC 1350, port 69), by lwIP's server.
 *
 * Nothing can be written: TFTP knows no passwords. lwIP serves one transfer at a time, and names of
 * at most 20 characters.
 */
#include <errno.h>
#include <stdio.h>

#include "lwip/apps/tftp_server.h"

#include "services/service.h"

#define TFTP_SERVICE_PORT 69

static void *tftp_open(const char *name, const char *mode, u8_t write)
{
    (void)mode;
    return write ? NULL : fopen(name, "r");
}

static void tftp_close(void *handle)
{
    fclose(handle);
}

static int tftp_read(void *handle, void *data, int bytes)
{
    size_t n = fread(data, 1, (size_t)bytes, handle);
    return ferror((FILE *)handle) ? -1 : (int)n;
}

static int tftp_write(void *handle, struct pbuf *p)
{
    (void)handle;
    (void)p;
    return -1;
}

static void tftp_error(void *handle, int error, const char *message, int size)
{
    (void)handle;
    (void)error;
    (void)message;
    (void)size;
}

static int tftp_start(void)
{
    static const struct tftp_context context = {
        .open = tftp_open,
        .close = tftp_close,
        .read = tftp_read,
        .write = tftp_write,
        .error = tftp_error,
    };
    return tftp_init_server(&context) == ERR_OK ? 0 : -EADDRINUSE;
}

const struct service tftp_service = {"tftp", TFTP_SERVICE_PORT, tftp_start};
