/*
 * share.c - an application for test_9p.py: changes a folder of the host and says what it saw.
 *
 * Arguments: `write DIR` changes everything that can be changed below DIR and leaves what the test
 * knows how to judge; `refused DIR` tries the same on a read-only share; `copy FROM TO` copies a
 * file; `list DIR` counts names and bytes; `show PATH` prints what stat() says. The exit status is
 * 0 when all was as it should be.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 256

static unsigned checks, failed;
static const char *base;

#define CHECK(condition)                                                            \
    do {                                                                            \
        checks++;                                                                   \
        if (!(condition)) {                                                         \
            failed++;                                                               \
            printf("share: line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
        }                                                                           \
    } while (0)

/* A path below the folder that is worked on; two are good at a time. */
static const char *in(const char *name)
{
    static char paths[2][PATH_SIZE];
    static unsigned turn;
    char *path = paths[turn++ % 2];

    snprintf(path, PATH_SIZE, "%s/%s", base, name);
    return path;
}

/* The byte at an offset of the file with a number; test_9p.py knows the same rule. */
static uint8_t byte_at(unsigned file, size_t offset)
{
    return (uint8_t)(offset * 7 + (offset >> 8) * 13 + file * 31);
}

static void write_pattern(unsigned number, size_t size, size_t step)
{
    char name[64];
    uint8_t *data = malloc(step);

    CHECK(data != NULL);
    snprintf(name, sizeof(name), "file %u – ä.bin", number);
    int fd = open(in(name), O_RDWR | O_CREAT | O_EXCL, 0666);
    CHECK(fd >= 0);
    for (size_t done = 0; fd >= 0 && done < size;) {
        size_t count = size - done < step ? size - done : step;
        for (size_t i = 0; i < count; i++)
            data[i] = byte_at(number, done + i);
        CHECK(write(fd, data, count) == (ssize_t)count);
        done += count;
    }
    CHECK(fsync(fd) == 0);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    size_t done = 0, wrong = 0;
    for (ssize_t got; (got = read(fd, data, step)) > 0; done += (size_t)got)
        for (ssize_t i = 0; i < got; i++)
            wrong += data[i] != byte_at(number, done + (size_t)i);
    CHECK(done == size && wrong == 0);
    CHECK(close(fd) == 0);
    free(data);
}

static void write_sizes(void)
{
    static const size_t sizes[] = {0, 1, 4095, 4096, 65537, 131072, 131073, 1000000, 5000000};
    static const size_t steps[] = {1000, 512, 100000, 4096, 333, 131072, 200000, 1000000};

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        write_pattern(i, sizes[i], steps[i % 8]);
}

static void write_text(void)
{
    char line[100];
    FILE *file = fopen(in("text.txt"), "w");

    CHECK(file != NULL);
    for (int i = 0; i < 1000; i++)
        fprintf(file, "line %d\n", i);
    CHECK(fclose(file) == 0);
    file = fopen(in("text.txt"), "a");
    CHECK(file != NULL && fputs("the end\n", file) >= 0 && fclose(file) == 0);
    file = fopen(in("text.txt"), "r");
    CHECK(file != NULL);
    for (int i = 0; i <= 500; i++)
        CHECK(fgets(line, sizeof(line), file) != NULL);
    CHECK(strcmp(line, "line 500\n") == 0);
    CHECK(fclose(file) == 0);
}

static void change_sizes(void)
{
    struct stat status;

    int fd = open(in("sparse"), O_RDWR | O_CREAT, 0666);
    CHECK(fd >= 0 && lseek(fd, 10000, SEEK_SET) == 10000 && write(fd, "x", 1) == 1);
    CHECK(fstat(fd, &status) == 0 && status.st_size == 10001);
    CHECK(ftruncate(fd, 100) == 0 && lseek(fd, 0, SEEK_END) == 100);
    CHECK(ftruncate(fd, 300) == 0 && fstat(fd, &status) == 0 && status.st_size == 300);
    CHECK(lseek(fd, -1, SEEK_END) == 299 && write(fd, "!", 1) == 1);
    CHECK(close(fd) == 0);
    fd = open(in("cut"), O_WRONLY | O_CREAT, 0666);
    CHECK(fd >= 0 && write(fd, "something", 9) == 9 && close(fd) == 0);
    fd = open(in("cut"), O_WRONLY | O_TRUNC);
    CHECK(fd >= 0 && write(fd, "new", 3) == 3 && close(fd) == 0);
}

static void change_names(void)
{
    struct stat status;

    CHECK(mkdir(in("folder"), 0777) == 0);
    CHECK(mkdir(in("folder"), 0777) == -1 && errno == EEXIST);
    CHECK(rename(in("file 1 – ä.bin"), in("folder/moved")) == 0);
    CHECK(rename(in("cut"), in("text.txt")) == 0); /* takes its place */
    CHECK(stat(in("cut"), &status) == -1 && errno == ENOENT);
    CHECK(rmdir(in("folder")) == -1 && errno == ENOTEMPTY);
    CHECK(unlink(in("folder")) == -1 && errno == EISDIR);
    CHECK(rmdir(in("text.txt")) == -1 && errno == ENOTDIR);
    CHECK(unlink(in("file 3 – ä.bin")) == 0);
    CHECK(unlink(in("file 3 – ä.bin")) == -1 && errno == ENOENT);
    CHECK(mkdir(in("gone"), 0777) == 0 && rename(in("gone"), in("going")) == 0);
    CHECK(rmdir(in("going")) == 0 && stat(in("going"), &status) == -1);
    CHECK(open(in("none/file"), O_WRONLY | O_CREAT, 0666) == -1 && errno == ENOENT);
    CHECK(open(in("text.txt/file"), O_WRONLY | O_CREAT, 0666) == -1 && errno == ENOTDIR);
    CHECK(open(in("folder"), O_RDONLY) == -1 && errno == EISDIR);
    CHECK(open(in("text.txt"), O_RDWR | O_CREAT | O_EXCL, 0666) == -1 && errno == EEXIST);
}

/* A file that is open is there until it is closed, under whatever name or none. */
static void change_open_file(void)
{
    char text[10] = "";

    int fd = open(in("open"), O_RDWR | O_CREAT, 0666);
    CHECK(fd >= 0 && write(fd, "before ", 7) == 7);
    CHECK(rename(in("open"), in("opened")) == 0);
    CHECK(write(fd, "x", 1) == 1);
    CHECK(unlink(in("opened")) == 0);
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && read(fd, text, sizeof(text)) == 8);
    CHECK(memcmp(text, "before x", 8) == 0);
    CHECK(close(fd) == 0);
}

static void make_many(void)
{
    char name[64];

    CHECK(mkdir(in("many"), 0777) == 0);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "many/a name of some length %u", i);
        int fd = open(in(name), O_WRONLY | O_CREAT, 0666);
        CHECK(fd >= 0 && write(fd, name, i % 20) == (ssize_t)(i % 20) && close(fd) == 0);
    }
    for (unsigned i = 0; i < 300; i += 2) {
        snprintf(name, sizeof(name), "many/a name of some length %u", i);
        CHECK(unlink(in(name)) == 0);
    }
}

static void be_refused(void)
{
    CHECK(open(in("index.html"), O_RDWR) == -1 && errno == EROFS);
    CHECK(open(in("new"), O_WRONLY | O_CREAT, 0666) == -1 && errno == EROFS);
    CHECK(mkdir(in("folder"), 0777) == -1 && errno == EROFS);
    CHECK(unlink(in("index.html")) == -1 && errno == EROFS);
    CHECK(rename(in("index.html"), in("other")) == -1 && errno == EROFS);
    int fd = open(in("index.html"), O_RDONLY);
    char byte;
    CHECK(fd >= 0 && read(fd, &byte, 1) == 1 && byte == '<' && close(fd) == 0);
}

static void copy(const char *from, const char *to)
{
    static uint8_t data[100000];
    ssize_t got;

    int in_fd = open(from, O_RDONLY), out_fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    CHECK(in_fd >= 0 && out_fd >= 0);
    while ((got = read(in_fd, data, sizeof(data))) > 0)
        CHECK(write(out_fd, data, (size_t)got) == got);
    CHECK(got == 0 && close(in_fd) == 0 && close(out_fd) == 0);
}

static void list(const char *path)
{
    struct dirent *entry;
    unsigned names = 0, bytes = 0;
    DIR *folder = opendir(path);

    CHECK(folder != NULL);
    if (folder == NULL)
        return;
    for (; (entry = readdir(folder)) != NULL; names++)
        bytes += (unsigned)strlen(entry->d_name);
    CHECK(closedir(folder) == 0);
    printf("share: %s has %u names of %u bytes\n", path, names, bytes);
}

static void show(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        printf("share: %s: %s\n", path, strerror(errno));
    else
        printf("share: %s: mode %o size %lld time %lld\n", path, (unsigned)status.st_mode,
               (long long)status.st_size, (long long)status.st_mtime);
}

int app_main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *what = argv[i];
        base = argv[i + 1];
        if (!strcmp(what, "write")) {
            write_sizes();
            write_text();
            change_sizes();
            change_names();
            change_open_file();
            make_many();
        } else if (!strcmp(what, "refused")) {
            be_refused();
        } else if (!strcmp(what, "list")) {
            list(base);
        } else if (!strcmp(what, "show")) {
            show(base);
        } else if (!strcmp(what, "copy") && i + 2 < argc) {
            copy(base, argv[i + 2]);
            i++;
        } else {
            printf("share: %s: not understood\n", what);
            return 2;
        }
    }
    printf("share: %u checks, %u failed\n", checks, failed);
    return failed != 0;
}
