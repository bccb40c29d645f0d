/*
 * lwip_fsdata.h - the list of files that lwIP's web server has built in: none. Every file comes
 * from apps/httpd/.
 */
#define FS_ROOT ((const struct fsdata_file *)NULL)
