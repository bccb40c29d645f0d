/*
 * start_main.c - for programs from elsewhere, which have main() where an application has
 * app_main().
 *
 * Lies in an archive, so that it is linked only into an image that lacks app_main().
 */
int main(int argc, char **argv);
int app_main(int argc, char **argv);

int app_main(int argc, char **argv)
{
    return main(argc, argv);
}
