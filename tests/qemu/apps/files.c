/*
 * files.c - uses the C library on the disk as a program would: folders, files of many sizes,
 * appending, seeking, renaming, removing, stdio and the limits of descriptors.
 *
 * Each check prints a line when it fails; the last line counts them. What is left on the disk is
 * checked by test_apps.py with other people's tools. Read libc/files.h and fs/fs.h next.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static unsigned checks, failed;

#define CHECK(condition)                                                            \
    do {                                                                            \
        checks++;                                                                   \
        if (!(condition)) {                                                         \
            failed++;                                                               \
            printf("files: line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
        }                                                                           \
    } while (0)

/* The byte at an offset of the file with a number; test_apps.py knows the same rule. */
static uint8_t byte_at(unsigned file, size_t offset)
{
    return (uint8_t)(offset * 7 + (offset >> 8) * 13 + file * 31);
}

static void write_pattern(unsigned number, size_t size, size_t step)
{
    char name[64];
    uint8_t *data = malloc(step);

    CHECK(data != NULL);
    snprintf(name, sizeof(name), "/written/file %u – ä.bin", number);
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    CHECK(fd >= 0);
    for (size_t done = 0; fd >= 0 && done < size;) {
        size_t count = size - done < step ? size - done : step;
        for (size_t i = 0; i < count; i++)
            data[i] = byte_at(number, done + i);
        CHECK(write(fd, data, count) == (ssize_t)count);
        done += count;
    }
    CHECK(fsync(fd) == 0);
    CHECK(close(fd) == 0);
    free(data);
}

static void read_pattern(unsigned number, size_t size, size_t step)
{
    char name[64];
    uint8_t *data = malloc(step);
    size_t done = 0, wrong = 0;
    ssize_t got;

    CHECK(data != NULL);
    snprintf(name, sizeof(name), "/written/file %u – ä.bin", number);
    int fd = open(name, O_RDONLY);
    CHECK(fd >= 0);
    while (fd >= 0 && (got = read(fd, data, step)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            wrong += data[i] != byte_at(number, done + (size_t)i);
        done += (size_t)got;
    }
    CHECK(done == size && wrong == 0);
    CHECK(lseek(fd, (off_t)size / 2, SEEK_SET) == (off_t)size / 2);
    if (size > 0)
        CHECK(read(fd, data, 1) == 1 && data[0] == byte_at(number, size / 2));
    CHECK(close(fd) == 0);
    free(data);
}

static void test_sizes(void)
{
    static const size_t sizes[] = {0, 1, 511, 512, 513, 4095, 4096, 4097, 65537, 1000000};
    static const size_t steps[] = {1000, 512, 100000, 4096, 333};
    unsigned count = sizeof(sizes) / sizeof(sizes[0]);

    CHECK(mkdir("/written", 0777) == -1 && errno == EEXIST);
    for (unsigned i = 0; i < count; i++)
        write_pattern(i, sizes[i], steps[i % 5]);
    for (unsigned i = 0; i < count; i++)
        read_pattern(i, sizes[i], steps[(i + 2) % 5]);
}

static void test_stdio(void)
{
    char line[100], word[16];
    double value = 0;
    FILE *file = fopen("/written/text.txt", "w");

    CHECK(file != NULL);
    for (int i = 0; i < 1000; i++)
        fprintf(file, "line %d of text, %.6f, %s\n", i, sqrt(i), i % 2 ? "odd" : "even");
    CHECK(fclose(file) == 0);
    file = fopen("/written/text.txt", "a");
    CHECK(file != NULL && fputs("the end\n", file) >= 0 && fclose(file) == 0);
    file = fopen("/written/text.txt", "r");
    CHECK(file != NULL);
    for (int i = 0; i <= 500; i++)
        CHECK(fgets(line, sizeof(line), file) != NULL);
    CHECK(sscanf(line, "line 500 of text, %lf, %15s", &value, word) == 2);
    CHECK(fabs(value - sqrt(500)) < 1e-5 && strcmp(word, "even") == 0);
    CHECK(fseek(file, -8, SEEK_END) == 0 && fgets(line, sizeof(line), file) != NULL);
    CHECK(strcmp(line, "the end\n") == 0 && fgets(line, sizeof(line), file) == NULL && feof(file));
    CHECK(fclose(file) == 0);
    snprintf(line, sizeof(line), "%.17g %a %lld %zu %5s|%-5s|", 0.1, 1.0, -1LL, sizeof(line), "r",
             "l");
    CHECK(strcmp(line, "0.10000000000000001 0x1p+0 -1 100     r|l    |") == 0);
}

static void test_changes(void)
{
    struct stat status;
    uint8_t byte = 'x';

    int fd = open("/written/sparse", O_RDWR | O_CREAT | O_EXCL, 0666);
    CHECK(fd >= 0 && lseek(fd, 10000, SEEK_SET) == 10000 && write(fd, &byte, 1) == 1);
    CHECK(fstat(fd, &status) == 0 && status.st_size == 10001);
    CHECK(ftruncate(fd, 5) == 0 && fstat(fd, &status) == 0 && status.st_size == 5);
    CHECK(close(fd) == 0);
    CHECK(open("/written/sparse", O_RDWR | O_CREAT | O_EXCL, 0666) == -1 && errno == EEXIST);
    CHECK(rename("/written/sparse", "/written/renamed") == 0);
    CHECK(stat("/written/sparse", &status) == -1 && errno == ENOENT);
    CHECK(stat("/written/renamed", &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 5);
    CHECK(unlink("/written/renamed") == 0 && stat("/written/renamed", &status) == -1);
    CHECK(mkdir("/written/folder", 0777) == 0 && rmdir("/written") == -1);
    CHECK(rmdir("/written/folder") == 0);
    CHECK(open("/nowhere/file", O_WRONLY | O_CREAT, 0666) == -1 && errno == ENOENT);
    CHECK(open("/written", O_WRONLY) == -1 && errno == EISDIR);
    CHECK(close(77) == -1 && errno == EBADF);
}

static void test_folders(void)
{
    char name[64];
    struct dirent *entry;
    unsigned found = 0;

    CHECK(mkdir("/written/many", 0777) == 0);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "/written/many/a name of some length %u", i);
        int fd = open(name, O_WRONLY | O_CREAT, 0666);
        CHECK(fd >= 0 && close(fd) == 0);
    }
    for (unsigned i = 0; i < 300; i += 2) {
        snprintf(name, sizeof(name), "/written/many/a name of some length %u", i);
        CHECK(unlink(name) == 0);
    }
    DIR *folder = opendir("/written/many");
    CHECK(folder != NULL);
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        found += strncmp(entry->d_name, "a name of some length ", 22) == 0;
    CHECK(found == 150);
    CHECK(closedir(folder) == 0);
}

static void test_many_open(void)
{
    static int fds[2000];
    unsigned count = 0;

    while (count < 2000 && (fds[count] = open("/written/text.txt", O_RDONLY)) >= 0)
        count++;
    printf("files: %u open at a time\n", count);
    CHECK(count >= 128);
    CHECK(count == 2000 || errno == EMFILE || errno == ENFILE || errno == ENOMEM);
    while (count > 0)
        CHECK(close(fds[--count]) == 0);
}

/* Fills the disk: the error is ENOSPC, and room that is given back can be used again. */
static void test_full_disk(void)
{
    static uint8_t block[65536];
    ssize_t got = 0;
    int error = 0;

    int fd = open("/written/fill", O_WRONLY | O_CREAT, 0666);
    CHECK(fd >= 0);
    for (unsigned i = 0; fd >= 0 && i < 100000; i++) {
        got = write(fd, block, sizeof(block));
        if (got != (ssize_t)sizeof(block))
            break;
    }
    if (got >= 0)
        got = write(fd, block, sizeof(block));
    error = errno;
    CHECK(got == -1 && error == ENOSPC);
    CHECK((close(fd) == 0 || errno == ENOSPC) && unlink("/written/fill") == 0);
    fd = open("/written/after", O_WRONLY | O_CREAT, 0666);
    CHECK(fd >= 0 && write(fd, block, sizeof(block)) == (ssize_t)sizeof(block) && close(fd) == 0);
}

static void test_memory(void)
{
    uint8_t *blocks[64] = {0};

    for (unsigned round = 0; round < 2000; round++) {
        unsigned i = round * 37 % 64;
        size_t size = (round * 7919 % 20000) + 1;
        free(blocks[i]);
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL);
        memset(blocks[i], (int)i, size);
    }
    for (unsigned i = 0; i < 64; i++)
        free(blocks[i]);
    CHECK(malloc(SIZE_MAX / 2) == NULL && errno == ENOMEM);
}

int app_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    if (mkdir("/written", 0777) != 0) {
        printf("files: cannot write: %s\n", strerror(errno));
        return 2;
    }
    test_memory();
    test_sizes();
    test_stdio();
    test_changes();
    test_folders();
    test_many_open();
    test_full_disk();
    time_t now = time(NULL);
    printf("files: the year is %s", asctime(gmtime(&now)) + 20);
    printf("files: %u checks, %u failed\n", checks, failed);
    return failed != 0;
}
