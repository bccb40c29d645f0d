/*
 * services.c - a machine that only runs the small services of services/, for measuring against.
 *
 * Words after `--` name those that are wanted; without any, all are started.
 */
#include <stdio.h>

#include "loop.h"
#include "services/services.h"

int app_main(int argc, char **argv)
{
    int error = argc < 2 ? services_start(services_all) : 0;

    for (int i = 1; i < argc && error == 0; i++)
        error = services_start(argv[i]);
    if (error != 0)
        return 1;
    printf("ready: services\n");
    fflush(stdout);
    return loop_run();
}
