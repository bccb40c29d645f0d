/*
 * test_http_kept.c - responses that the web server keeps: found again, forgotten after any change,
 * within a share of the memory, and alive as long as a connection or TCP needs them.
 */
// sources: apps/httpd/kept.c net/lwip_loan.c fs/mount.c
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lwip/memp.h"
#include "lwip/pbuf.h"

#undef fs_open /* lwipopts.h renames lwIP's */

#include "apps/httpd/kept.h"
#include "fs/fs.h"
#include "platform.h"

/* The machine has room for LARGE_FITS responses of LARGE bytes: an eighth of its memory. */
#define LARGE 100000u
#define LARGE_FITS 3u

static unsigned given_back; /* pbufs */

void platform_memory(uint64_t *total, uint64_t *available)
{
    *total = *available = 8 * (LARGE_FITS * LARGE + LARGE / 2);
}

/* The linker's names for lwIP's function and ours in front of it. */
void __real_memp_free(memp_t type, void *memory);
void __wrap_memp_free(memp_t type, void *memory);

void __real_memp_free(memp_t type, void *memory)
{
    assert_int_equal(type, MEMP_PBUF);
    assert_non_null(memory);
    given_back++;
}

static int fake_open(void *volume, const char *path, int flags, struct file_object *file)
{
    (void)volume, (void)path, (void)flags, (void)file;
    return 0;
}

static int fake_remove(void *volume, const char *path, bool directory)
{
    (void)volume, (void)path, (void)directory;
    return 0;
}

static int fake_unmount(void *volume)
{
    (void)volume;
    return 0;
}

static const struct fs_ops own = {
    .name = "own", .open = fake_open, .remove = fake_remove, .unmount = fake_unmount};
static const struct fs_ops shared = {.name = "shared", .is_shared = true, .unmount = fake_unmount};

static int mount_both(void **state)
{
    (void)state;
    return fs_mount("/", &own, NULL) || fs_mount("/mnt/share", &shared, NULL);
}

static int unmount_both(void **state)
{
    (void)state;
    return fs_unmount_all();
}

static void keep(const char *target, const char *text)
{
    struct kept *kept = kept_new(strlen(text));
    assert_non_null(kept);
    memcpy(kept->data, text, kept->loan.len);
    kept_add(kept, target, true);
    kept_release(kept);
}

static bool is_kept(const char *target, const char *text)
{
    struct kept *kept = kept_find(target, true);
    bool found = kept != NULL && kept->loan.len == strlen(text) &&
                 memcmp(kept->data, text, kept->loan.len) == 0;
    kept_release(kept);
    return found;
}

static void test_found(void **state)
{
    (void)state;
    keep("/a", "content of a");
    keep("/b", "b");
    assert_true(is_kept("/a", "content of a"));
    assert_true(is_kept("/b", "b"));
    assert_null(kept_find("/c", true));
    assert_null(kept_find("/a", false)); /* its header says something else */
}

static void test_changes(void **state)
{
    struct file_object file;
    (void)state;
    keep("/a", "a");
    assert_int_equal(fs_open("/a", O_RDONLY, &file), 0);
    assert_true(is_kept("/a", "a"));
    assert_int_equal(fs_open("/b", O_WRONLY, &file), 0);
    assert_false(is_kept("/a", "a"));
    keep("/a", "new");
    assert_int_equal(fs_remove("/b", false), 0);
    assert_false(is_kept("/a", "new"));
    keep("/a", "newer");
    fs_note_change();
    assert_false(is_kept("/a", "newer"));
}

static void test_shared(void **state)
{
    (void)state;
    assert_true(kept_is_allowed("/a"));
    assert_false(kept_is_allowed("/mnt/share/a"));
}

/* More responses than there is room for, while the first is still being sent. */
static void test_lent(void **state)
{
    char target[16];
    (void)state;
    keep("/first", "first");
    struct kept *first = kept_find("/first", true);
    for (int i = 0; i < 100; i++) {
        snprintf(target, sizeof(target), "/%d", i);
        keep(target, target);
        assert_true(is_kept(target, target));
    }
    assert_null(kept_find("/first", true));
    assert_memory_equal(first->data, "first", 5);
    kept_release(first);
}

/* A pbuf over some of the response, as tcp_write() makes one. */
static struct pbuf refer_to(const char *data, pbuf_type type)
{
    struct pbuf p = {.payload = (void *)(uintptr_t)data, .type_internal = type};
    lwip_loan_now = lwip_loan_of(data);
    LWIP_PBUF_CUSTOM_DATA_INIT(&p);
    lwip_loan_now = NULL;
    return p;
}

/* What TCP sends without a copy stays until it gives the last pbuf back. */
static void test_under_way(void **state)
{
    (void)state;
    keep("/a", "content of a");
    struct kept *kept = kept_find("/a", true);
    struct pbuf start = refer_to(kept->data, PBUF_ROM), end = refer_to(kept->data + 11, PBUF_ROM);
    struct pbuf header = refer_to(kept->data, PBUF_RAM);
    struct pbuf other = refer_to(kept->data + 12, PBUF_ROM);
    assert_ptr_equal(start.loan, &kept->loan);
    assert_ptr_equal(end.loan, &kept->loan);
    assert_null(header.loan); /* it has bytes of its own */
    assert_null(other.loan);  /* begins behind the response */
    kept_release(kept);
    fs_note_change();
    keep("/a", "new");
    for (int i = 0; i < 100; i++)
        keep("/b", "b");
    __wrap_memp_free(MEMP_PBUF, &start);
    assert_memory_equal(end.payload, "a", 1);
    __wrap_memp_free(MEMP_PBUF, &other);
    __wrap_memp_free(MEMP_PBUF, &end); /* the memory is freed with it */
    assert_int_equal(given_back, 3);
    assert_null(lwip_loan_of(end.payload));
}

static bool keep_large(const char *target)
{
    struct kept *kept = kept_new(LARGE);
    if (kept == NULL)
        return false;
    memset(kept->data, 'x', LARGE);
    kept_add(kept, target, true);
    kept_release(kept);
    return true;
}

/* Old ones make room for new ones, but not those that are still being sent. */
static void test_memory(void **state)
{
    struct kept *sent[LARGE_FITS];
    char target[16];
    (void)state;
    assert_null(kept_new(LARGE * (LARGE_FITS + 1)));
    for (unsigned i = 0; i < LARGE_FITS; i++) {
        snprintf(target, sizeof(target), "/%u", i);
        assert_true(keep_large(target));
    }
    assert_true(keep_large("/more"));
    assert_null(kept_find("/0", true));
    sent[0] = kept_find("/1", true);
    sent[1] = kept_find("/2", true);
    sent[2] = kept_find("/more", true);
    assert_false(keep_large("/too-much"));
    for (unsigned i = 0; i < LARGE_FITS; i++) {
        assert_int_equal(sent[i]->data[LARGE - 1], 'x');
        kept_release(sent[i]);
    }
    assert_true(keep_large("/too-much"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found, mount_both, unmount_both),
        cmocka_unit_test_setup_teardown(test_changes, mount_both, unmount_both),
        cmocka_unit_test_setup_teardown(test_shared, mount_both, unmount_both),
        cmocka_unit_test_setup_teardown(test_lent, mount_both, unmount_both),
        cmocka_unit_test_setup_teardown(test_under_way, mount_both, unmount_both),
        cmocka_unit_test_setup_teardown(test_memory, mount_both, unmount_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
