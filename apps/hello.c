/*
 * hello.c - the smallest complete application: says hello, looks around, ends.
 *
 * Owns nothing but an example of app_main(): arguments, files, time and memory through the C
 * library and platform.h. Build and boot it with `make APP=apps/hello.c run`. Read
 * docs/APPLICATIONS.md next to it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "platform.h"

/*
 * Prints one line a file; errno tells why a directory cannot be listed, ENODEV that there is no
 * disk.
 */
static void list_files(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory) {
        printf("%s: %s\n", path, errno == ENODEV ? "no disk" : strerror(errno));
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        char name[1024];
        struct stat status;
        snprintf(name, sizeof(name), "%s%s", path, entry->d_name);
        if (entry->d_type == DT_DIR)
            printf("             %s/\n", name);
        else if (stat(name, &status) == 0)
            printf("%12lld %s\n", (long long)status.st_size, name);
        else
            printf("%12s %s: %s\n", "?", name, strerror(errno));
    }
    closedir(directory);
}

int app_main(int argc, char **argv)
{
    uint64_t total, available;
    time_t now = time(NULL);

    printf("Hello from %s", argv[0]);
    for (int i = 1; i < argc; i++)
        printf(" %s", argv[i]);
    printf("!\n");

    list_files("/");

    platform_memory(&total, &available);
    printf("%llu of %llu KiB of memory are free\n", (unsigned long long)(available / 1024),
           (unsigned long long)(total / 1024));
    printf("%.6f seconds since boot", (double)platform_now_ns() / 1e9);
    if (now)
        printf(", %s", asctime(gmtime(&now))); /* ends in a newline */
    else
        printf(", no wall clock\n");
    return 0;
}
