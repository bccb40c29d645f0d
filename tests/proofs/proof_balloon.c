/*
 * proof_balloon.c - by induction, with a device that asks for any number of pages and answers when
 * it likes (5.5.6): pages that it has are not freed, and what is booked as its own is what it
 * acknowledged.
 */
// share
// unwind: 4
// control: balloon/virtio_balloon.c: request == NOTHING || !virtqueue_get_buf(queue_of(balloon, request), NULL) => request == NOTHING
// control: balloon/virtio_balloon.c: if (wanted > available)\n        wanted = (uint32_t)available; =>
// control: balloon/virtio_balloon.c: if (balloon->request != NOTHING)\n        return false; =>
// control: balloon/virtio_balloon.c: balloon->held -= count; =>
#include "any_queue.h"

#include "balloon/virtio_balloon.c"

#define MACHINE_PAGES (1u << 30)

static struct virtio_device device;
static struct virtqueue inflate_vq, deflate_vq;
static struct virtio_balloon *balloon;
static uint64_t available;
static le32 numbers[REQUEST_PAGES];

int virtio_config_write(struct virtio_device *to, unsigned offset, const void *data, unsigned len,
                        unsigned width)
{
    claim(to == &device && offset == offsetof(struct virtio_balloon_config, actual));
    claim(len == 4 && width == 4 && __CPROVER_r_ok(data, len));
    return any_bool() ? 0 : -EIO;
}

void platform_memory(uint64_t *total_bytes, uint64_t *available_bytes)
{
    *total_bytes = any_u64();
    *available_bytes = available = any_u64();
}

uint64_t platform_now_ns(void)
{
    return any_u64() / 2;
}

uint32_t balloon_pages_take(struct balloon_pages *pages, uint32_t wanted, le32 **list)
{
    uint32_t taken = any_u32();

    claim(wanted >= 1 && wanted <= REQUEST_PAGES);
    claim(available >= RESERVE_BYTES + (uint64_t)wanted * PAGE_SIZE);
    assume(taken <= wanted && pages->count + taken <= MACHINE_PAGES);
    pages->count += taken;
    *list = numbers;
    return taken;
}

uint32_t balloon_pages_last(const struct balloon_pages *pages, uint32_t wanted, le32 **list)
{
    uint32_t found = any_u32();

    assume(found <= wanted && found <= pages->count);
    *list = numbers;
    return found;
}

/* The last pages of the list: those of the request under way, if any. */
void balloon_pages_free(struct balloon_pages *pages, uint32_t count)
{
    claim(!queue_has(&inflate_vq, balloon) && !queue_has(&deflate_vq, balloon));
    claim(count <= pages->count);
    pages->count -= count;
}

static bool is_valid(void)
{
    uint32_t pending = balloon->request == NOTHING ? 0 : balloon->request_pages;
    bool inflating = balloon->request == INFLATE, deflating = balloon->request == DEFLATE;

    return balloon->request <= DEFLATE && pending <= REQUEST_PAGES &&
           balloon->pages.count <= MACHINE_PAGES &&
           balloon->pages.count == balloon->held + (inflating ? pending : 0) &&
           (!deflating || pending <= balloon->held) &&
           queue_has(&inflate_vq, balloon) == inflating &&
           queue_has(&deflate_vq, balloon) == deflating;
}

int main(void)
{
    balloon = malloc(sizeof(*balloon));
    balloon->device = &device;
    balloon->inflate = &inflate_vq;
    balloon->deflate = &deflate_vq;
    inflate_vq.token[0] = any_bool() ? balloon : NULL;
    deflate_vq.token[0] = any_bool() ? balloon : NULL;
    inflate_vq.broken = any_bool();
    deflate_vq.broken = any_bool();
    assume(is_valid());
    acknowledge(balloon);
    claim(is_valid());
    next_request(balloon);
    claim(is_valid());
    return 0;
}
