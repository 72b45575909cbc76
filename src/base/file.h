/* Files: the few steps that make a file or a name durable, and opening below a directory
 * without being led out of it. Nothing here knows of mail.
 *
 * Unless they take a struct error, these functions return -1 and set errno: only the caller
 * knows what a missing file means. All descriptors are close-on-exec. */
#ifndef MAILTWIN_BASE_FILE_H
#define MAILTWIN_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* Opens path, relative to the directory and staying below it: no symlink on the way or at the
 * end is followed (ELOOP), no ".." or leading '/' leads out (EXDEV), no mount point is crossed
 * (EXDEV). "." is the directory itself. */
int file_open_beneath(int directory, const char *path, int flags, mode_t mode);
/* For tests: false takes the way of systems without openat2. */
void file_use_openat2(bool use);

int file_write_all(int fd, const void *data, size_t len);
/* The content of a regular file of at most max bytes, terminated; caller frees. ELOOP for a
 * symlink, EINVAL for anything else that is not a regular file, EFBIG. */
int file_read_small(int directory, const char *name, size_t max, char **data, size_t *len);
/* Replaces a file by a new one as a whole, durable with its name; an existing file's mode is
 * kept, a new one gets 0600. A writer that died leaves "NAME.new", which the next one takes
 * over. ERROR_BUSY if another process is just doing the same, else ERROR_LOCAL. */
int file_replace(int directory, const char *name, const void *data, size_t len, struct error *err);
int file_sync_directory(int directory, const char *path); /* makes the names in it durable */
int file_make_directories(const char *path, mode_t mode); /* with parents; existing is success */

/* Reading a directory in large pieces. */
struct directory_entry {
	char *name; /* may be written to; lives until the next entry is read */
	uint64_t inode;
	unsigned char type; /* DT_REG and so on, DT_UNKNOWN where the file system does not tell */
};

struct directory_reader {
	int fd; /* borrowed; reads on from its position, perhaps in a thread of its own */
	struct read_ahead *ahead; /* NULL: no thread */
	struct piece *piece;      /* the one that is looked at */
	size_t room;              /* of a piece, octets */
	size_t len;
	size_t at;
};

void directory_reader_init(struct directory_reader *reader, int fd, size_t room);
/* Begins to read before the first directory_read: a thread keeps up to most pieces in store. */
void directory_reader_start(struct directory_reader *reader, size_t most);
/* The position of fd is anywhere afterwards. */
void directory_reader_release(struct directory_reader *reader);
/* 1: an entry ("." and ".." are left out); 0: the end; -1: errno. */
int directory_read(struct directory_reader *reader, struct directory_entry *entry);

#endif
