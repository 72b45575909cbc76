/* The problem: a name or a file is there for good only after the right fsync calls in the
 * right order, and a path below a directory that others can write to may lead anywhere.
 *
 * file_replace uses one temporary name, "NAME.new", so that killed runs leave at most one
 * file behind, which is then reused. Two writers at once are kept apart by a lock on that
 * file; whoever gets the lock checks that the name still stands for what it locked, because
 * the holder before may just have renamed it into place. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"

static atomic_bool openat2_missing;

void file_use_openat2(bool use)
{
	atomic_store(&openat2_missing, !use);
}

/* One step of the way without openat2. A symlink opened with O_PATH is the link itself. */
static int open_step(int directory, const char *name, int flags, mode_t mode, dev_t device)
{
	struct stat st;
	int fd = openat(directory, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0) {
		if (errno == ENOTDIR && fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			errno = S_ISLNK(st.st_mode) ? ELOOP : ENOTDIR;
		return -1;
	}
	if (fstat(fd, &st) != 0 || S_ISLNK(st.st_mode) || st.st_dev != device) {
		close(fd);
		errno = S_ISLNK(st.st_mode) ? ELOOP : EXDEV;
		return -1;
	}
	return fd;
}

static int open_by_steps(int directory, const char *path, int flags, mode_t mode)
{
	char step[NAME_MAX + 1];
	struct stat st;
	size_t len;
	int at, fd;

	if (path[0] == '/') {
		errno = EXDEV;
		return -1;
	}
	if (fstat(directory, &st) != 0)
		return -1;
	at = directory;
	for (;; path += len + strspn(path + len, "/")) {
		bool last;

		len = strcspn(path, "/");
		last = path[len + strspn(path + len, "/")] == '\0';
		if (len == 0 || len > NAME_MAX || (len == 2 && memcmp(path, "..", 2) == 0)) {
			errno = len == 0 ? ENOENT : len > NAME_MAX ? ENAMETOOLONG : EXDEV;
			fd = -1;
		} else {
			memcpy(step, path, len);
			step[len] = '\0';
			fd = open_step(at, step, last ? flags : O_PATH | O_DIRECTORY, mode,
				       st.st_dev);
		}
		if (at != directory) {
			int saved = errno;

			close(at);
			errno = saved;
		}
		if (fd < 0 || last)
			return fd;
		at = fd;
	}
}

int file_open_beneath(int directory, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = (flags & O_CREAT) != 0 ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	int fd;

	while (!atomic_load_explicit(&openat2_missing, memory_order_relaxed)) {
		fd = (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
		if (fd >= 0)
			return fd;
		if (errno == EAGAIN || errno == EINTR)
			continue;
		if (errno != ENOSYS && errno != EPERM)
			return -1;
		if (errno == EPERM) /* a filter of system calls, or really not allowed */
			break;
		atomic_store(&openat2_missing, true);
	}
	return open_by_steps(directory, path, flags, mode);
}

int file_write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len != 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_whole(int fd, size_t max, char **data, size_t *len)
{
	struct text text = {0};
	char piece[4096];
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0)
			text_add(&text, piece, (size_t)n);
		if (n < 0 || text.len > max) {
			text_release(&text);
			errno = n < 0 ? errno : EFBIG;
			return -1;
		}
	}
	*len = text.len;
	*data = text_steal(&text);
	return 0;
}

int file_read_small(int directory, const char *name, size_t max, char **data, size_t *len)
{
	int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int result = -1, saved;
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0) {
		errno = EINVAL;
		if (S_ISREG(st.st_mode))
			result = read_whole(fd, max, data, len);
	}
	saved = errno;
	close(fd);
	errno = saved;
	return result;
}

/* The temporary file, locked and empty; -1 with errno, EWOULDBLOCK if another holds it. */
static int open_temporary(int directory, const char *temporary)
{
	struct stat held, named;

	for (;;) {
		int fd = openat(directory, temporary,
				O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

		if (fd < 0)
			return -1;
		if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &held) != 0) {
			int saved = errno;

			close(fd);
			errno = saved;
			return -1;
		}
		if (fstatat(directory, temporary, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		    named.st_ino == held.st_ino && named.st_dev == held.st_dev) {
			if (ftruncate(fd, 0) == 0)
				return fd;
			close(fd);
			return -1;
		}
		close(fd);
	}
}

static int fill_temporary(int fd, int directory, const char *name, const void *data, size_t len)
{
	struct stat st;

	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	    fchmod(fd, st.st_mode & 0777) != 0)
		return -1;
	if (file_write_all(fd, data, len) != 0)
		return -1;
	return fsync(fd);
}

int file_replace(int directory, const char *name, const void *data, size_t len, struct error *err)
{
	char temporary[NAME_MAX + 1];
	int fd, result = -1;

	if (snprintf(temporary, sizeof(temporary), "%s.new", name) >= (int)sizeof(temporary))
		return error_set(err, ERROR_LOCAL, "%s: name too long", name);
	fd = open_temporary(directory, temporary);
	if (fd < 0 && errno == EWOULDBLOCK)
		return error_set(err, ERROR_BUSY, "%s is being written by another process", name);
	if (fd < 0)
		return error_errno(err, ERROR_LOCAL, "cannot create %s", temporary);
	if (fill_temporary(fd, directory, name, data, len) != 0) {
		error_errno(err, ERROR_LOCAL, "cannot write %s", temporary);
		unlinkat(directory, temporary, 0);
	} else if (renameat(directory, temporary, directory, name) != 0) {
		error_errno(err, ERROR_LOCAL, "cannot replace %s", name);
		unlinkat(directory, temporary, 0);
	} else if (file_sync_directory(directory, ".") != 0) {
		error_errno(err, ERROR_LOCAL, "cannot make %s durable", name);
	} else {
		result = 0;
	}
	close(fd);
	return result;
}

int file_sync_directory(int directory, const char *path)
{
	int fd = openat(directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result, saved;

	if (fd < 0)
		return -1;
	result = fsync(fd);
	saved = errno;
	close(fd);
	errno = saved;
	return result;
}

int file_make_directories(const char *path, mode_t mode)
{
	char *copy = xstrdup(path);
	size_t len = strlen(copy);
	int result = 0;

	for (size_t i = 1; i <= len && result == 0; i++) {
		char kept = copy[i];

		if ((kept != '/' && kept != '\0') || copy[i - 1] == '/')
			continue;
		copy[i] = '\0';
		if (mkdir(copy, mode) != 0) {
			struct stat st;
			int saved = errno == EEXIST ? ENOTDIR : errno;

			/* A read-only or foreign parent that exists is none of our concern. */
			if (stat(copy, &st) != 0 || !S_ISDIR(st.st_mode)) {
				errno = saved;
				result = -1;
			}
		}
		copy[i] = kept;
	}
	free(copy);
	return result;
}
