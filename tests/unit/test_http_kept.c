/*
 * test_http_kept.c - responses that the web server keeps: found again, forgotten after any change,
 * and alive as long as somebody sends them.
 */
// sources: apps/httpd/kept.c fs/mount.c
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "apps/httpd/kept.h"
#include "fs/fs.h"

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
    memcpy(kept->data, text, kept->len);
    kept_add(kept, target, true);
    kept_release(kept);
}

static bool is_kept(const char *target, const char *text)
{
    struct kept *kept = kept_find(target, true);
    bool found =
        kept != NULL && kept->len == strlen(text) && memcmp(kept->data, text, kept->len) == 0;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_found, mount_both, unmount_both),
        cmocka_unit_test_setup_teardown(test_changes, mount_both, unmount_both),
        cmocka_unit_test_setup_teardown(test_shared, mount_both, unmount_both),
        cmocka_unit_test_setup_teardown(test_lent, mount_both, unmount_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
