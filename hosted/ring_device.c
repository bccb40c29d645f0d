/*
 * ring_device.c - the part of the device's side of a queue that does not depend on the layout, and
 * the list of violations.
 *
 * Checks each piece of a buffer: mapped by the driver, in the right direction, readable before
 * writable, total below 4 GiB. Copies to and from chains. The ring itself is ring_split.c's. VIRTIO
 * 2.6 and 2.7.4.
 */
#include "hosted/ring_device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hosted/hosted.h"
#include "hosted/violation.h"

#define MAX_VIOLATIONS 64

static struct {
    const char *id;
} violations[MAX_VIOLATIONS];
static unsigned violations_found;
static char violations_text[8192];

void violation(const char *id, const char *format, ...)
{
    size_t used = strlen(violations_text);
    va_list args;

    if (violations_found < MAX_VIOLATIONS)
        violations[violations_found].id = id;
    violations_found++;
    used += (size_t)snprintf(violations_text + used, sizeof(violations_text) - used, "%s: ", id);
    if (used >= sizeof(violations_text) - 2)
        return;
    va_start(args, format);
    vsnprintf(violations_text + used, sizeof(violations_text) - used - 1, format, args);
    va_end(args);
    strcat(violations_text, "\n");
}

unsigned violation_count(const char *id)
{
    unsigned count = 0;

    if (!id)
        return violations_found;
    for (unsigned i = 0; i < violations_found && i < MAX_VIOLATIONS; i++)
        count += strcmp(violations[i].id, id) == 0;
    return count;
}

const char *violation_text(void)
{
    return violations_text;
}

void violation_reset(void)
{
    violations_found = 0;
    violations_text[0] = '\0';
}

bool ring_chain_add(struct ring_device *ring, struct ring_chain *chain, dma_addr_t addr,
                    uint32_t len, bool write)
{
    const char *name = ring->params.name;
    unsigned count = chain->out + chain->in;
    uint8_t *data = len ? hosted_dma_device_pointer(addr, len, write) : NULL;

    if (!data) {
        violation("RSVF-5", "%s: chain %u: %u bytes at %#llx are not mapped for %s", name,
                  chain->head, len, (unsigned long long)addr, write ? "writing" : "reading");
        return false;
    }
    if (!write && chain->in)
        violation("SPLIT-FRAME-1", "%s: chain %u: a readable piece after a writable one", name,
                  chain->head);
    if ((uint64_t)chain->readable + chain->writable + len > UINT32_MAX) {
        violation("SPLIT-DESC-1", "%s: chain %u is longer than 4 GiB", name, chain->head);
        return false;
    }
    if (count == ring->params.size) {
        violation("SPLIT-IND-3", "%s: chain %u has more pieces than the queue has entries", name,
                  chain->head);
        return false;
    }
    if (count == chain->capacity) {
        chain->capacity = chain->capacity ? chain->capacity * 2 : 4;
        chain->piece = realloc(chain->piece, chain->capacity * sizeof(*chain->piece));
        if (!chain->piece)
            hosted_fail("out of memory for a chain");
    }
    chain->piece[count] = (struct ring_piece){data, len};
    if (write) {
        chain->in++;
        chain->writable += len;
    } else {
        chain->out++;
        chain->readable += len;
    }
    return true;
}

static size_t copy(const struct ring_piece *piece, unsigned pieces, size_t offset, uint8_t *data,
                   size_t len, bool into_chain)
{
    size_t done = 0;

    for (unsigned i = 0; i < pieces && done < len; i++) {
        if (offset >= piece[i].len) {
            offset -= piece[i].len;
            continue;
        }
        size_t part = piece[i].len - offset;
        if (part > len - done)
            part = len - done;
        if (into_chain)
            memcpy(piece[i].data + offset, data + done, part);
        else
            memcpy(data + done, piece[i].data + offset, part);
        done += part;
        offset = 0;
    }
    return done;
}

size_t ring_chain_read(const struct ring_chain *chain, size_t offset, void *data, size_t len)
{
    return copy(chain->piece, chain->out, offset, data, len, false);
}

size_t ring_chain_write(struct ring_chain *chain, size_t offset, const void *data, size_t len)
{
    return copy(chain->piece + chain->out, chain->in, offset, (uint8_t *)(uintptr_t)data, len,
                true);
}
