/*
 * nic.c - the list of network devices that are up, whatever drives them. See nic.h.
 */
#include "net/nic.h"

#include <errno.h>

#include "log.h"

#define MAX_NICS 8

static struct nic *nics[MAX_NICS];
static void (*watcher)(struct nic *nic);

int nic_register(struct nic *nic)
{
    for (unsigned i = 0; i < MAX_NICS; i++) {
        if (nics[i] == NULL) {
            nics[i] = nic;
            format_text(nic->name, sizeof(nic->name), "eth%u", i);
            if (watcher != NULL)
                watcher(nic);
            return 0;
        }
    }
    return -ENOSPC;
}

void nic_unregister(struct nic *nic)
{
    for (unsigned i = 0; i < MAX_NICS; i++) {
        if (nics[i] != nic)
            continue;
        nics[i] = NULL;
        if (nic->callbacks != NULL && nic->callbacks->removed != NULL)
            nic->callbacks->removed(nic->arg);
    }
}

struct nic *nic_at(unsigned index)
{
    for (unsigned i = 0; i < MAX_NICS; i++)
        if (nics[i] != NULL && index-- == 0)
            return nics[i];
    return NULL;
}

void nic_watch(void (*added)(struct nic *nic))
{
    watcher = added;
}

int nic_set_mac(struct nic *nic, const uint8_t mac[6])
{
    bool group = mac[0] & 1, none = !(mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]);
    return group || none ? -EINVAL : nic->ops->set_mac(nic, mac);
}

void nic_attach(struct nic *nic, const struct nic_callbacks *callbacks, void *arg)
{
    nic->callbacks = callbacks;
    nic->arg = arg;
}
