/* What can be expected of the file system that a descriptor is on. What is not known is not expected. */
#ifndef MAILTWIN_BASE_FILE_SYSTEM_H
#define MAILTWIN_BASE_FILE_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

/* Not NFS, CIFS, 9p, FUSE or another that machines share. */
bool file_system_is_local(int fd);
/* Any change after a look at a file's times gives it other times (Linux 6.13 and up, on file
 * systems known to take part). Elsewhere times move in steps of up to 10 ms. */
bool file_system_has_fine_times(int fd);
/* A new file may be given the inode number of one that was just removed. Not where numbers only ever
 * grow (tmpfs, btrfs). */
bool file_system_reuses_inodes(int fd);

/* syncfs(2) makes every file durable at once, and fails if one could not be written (Linux 5.8 and up, on file
 * systems known to do so). It waits for the files of strangers too. */
bool file_system_syncs_at_once(int fd);
bool file_system_is_in_memory(int fd); /* tmpfs: nothing on it waits to be written */
/* Octets that wait to be written, of all file systems together; UINT64_MAX if that is not told. */
uint64_t file_systems_unwritten(void);

#endif
