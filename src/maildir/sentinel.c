/* The sentinel: the proof that this is the Maildir the base knows, and how old it is.
 *
 * Without it an unmounted disk or a wrong path would look like a mailbox in which everything
 * was deleted. It also keeps two accounts out of one tree: one root inside another would make
 * the inner account's folders folders of the outer one. */
#include "maildir/maildir_private.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define SENTINEL_MAX 4096

static int take_field(char *out, size_t room, const char *value)
{
	size_t len = strlen(value);

	if (len == 0 || len >= room)
		return -1;
	memcpy(out, value, len + 1);
	return 0;
}

static int parse_sentinel(char *data, struct sentinel *sentinel)
{
	bool epoch = false;
	char *line, *next;

	memset(sentinel, 0, sizeof(*sentinel));
	for (line = data; line != NULL && *line != '\0'; line = next) {
		int bad = 0;

		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (starts_with(line, "uuid "))
			bad = take_field(sentinel->uuid, sizeof(sentinel->uuid), line + 5);
		else if (starts_with(line, "account "))
			bad = take_field(sentinel->account, sizeof(sentinel->account), line + 8);
		else if (starts_with(line, "epoch "))
			epoch = parse_number(line + 6, UINT64_MAX, &sentinel->epoch);
		if (bad != 0)
			return -1;
	}
	return epoch && sentinel->uuid[0] != '\0' && sentinel->account[0] != '\0' ? 0 : -1;
}

int sentinel_read(const struct maildir *maildir, struct sentinel *sentinel, struct error *err)
{
	char *data;
	size_t len;
	int bad;

	if (file_read_small(maildir->fd, SENTINEL_NAME, SENTINEL_MAX, &data, &len) != 0) {
		if (errno == ENOENT)
			return error_set(err, ERROR_NOT_FOUND, "%s/%s does not exist",
					 maildir->root, SENTINEL_NAME);
		if (errno == ELOOP || errno == EINVAL)
			return error_set(err, ERROR_LOCAL, "%s/%s is not a regular file",
					 maildir->root, SENTINEL_NAME);
		return error_errno(err, ERROR_LOCAL, "cannot read %s/%s", maildir->root,
				   SENTINEL_NAME);
	}
	bad = strlen(data) != len || parse_sentinel(data, sentinel) != 0;
	free(data);
	if (bad)
		return error_set(
			err, ERROR_LOCAL,
			"%s/%s is damaged: it lacks a line \"uuid\", \"account\" or \"epoch\"",
			maildir->root, SENTINEL_NAME);
	return 0;
}

int sentinel_write(const struct maildir *maildir, const struct sentinel *sentinel,
		   struct error *err)
{
	char text[sizeof(struct sentinel) + 64];
	int len;

	if (sentinel->uuid[0] == '\0' || strpbrk(sentinel->uuid, "\r\n") != NULL ||
	    sentinel->account[0] == '\0' || strpbrk(sentinel->account, "\r\n") != NULL)
		return error_set(err, ERROR_LOCAL, "%s: no such name can stand in %s",
				 sentinel->account, SENTINEL_NAME);
	len = snprintf(text, sizeof(text), "uuid %s\naccount %s\nepoch %llu\n", sentinel->uuid,
		       sentinel->account, (unsigned long long)sentinel->epoch);
	if (file_replace(maildir->fd, SENTINEL_NAME, text, (size_t)len, err) != 0)
		return error_wrap(err, "%s", maildir->root);
	return 0;
}

static int open_for_lock(const struct maildir *maildir)
{
	const int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(maildir->fd, SENTINEL_NAME, O_RDWR | flags);

	/* NFS locks only what is open for writing; elsewhere reading will do. */
	if (fd < 0 && errno == EACCES)
		fd = openat(maildir->fd, SENTINEL_NAME, O_RDONLY | flags);
	return fd;
}

int sentinel_lock(const struct maildir *maildir, struct error *err)
{
	struct stat held, named;
	int fd;

	for (;;) {
		fd = open_for_lock(maildir);
		if (fd < 0)
			return error_errno(err, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_LOCAL,
					   "cannot open %s/%s", maildir->root, SENTINEL_NAME);
		if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
			if (errno == EWOULDBLOCK)
				error_set(err, ERROR_BUSY, "another run is working in %s",
					  maildir->root);
			else
				error_errno(err, ERROR_LOCAL, "cannot lock %s/%s", maildir->root,
					    SENTINEL_NAME);
			close(fd);
			return -1;
		}
		/* The holder before may have replaced the file while we opened the old one. */
		if (fstat(fd, &held) == 0 &&
		    fstatat(maildir->fd, SENTINEL_NAME, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		    held.st_ino == named.st_ino && held.st_dev == named.st_dev)
			return fd;
		close(fd);
	}
}

static bool sentinel_is_in(const char *directory)
{
	char *path = xasprintf("%s/%s", directory, SENTINEL_NAME);
	struct stat st;
	bool found = lstat(path, &st) == 0 && S_ISREG(st.st_mode);

	free(path);
	return found;
}

static char *find_above(const struct maildir *maildir)
{
	char *at = xstrdup(maildir->root);
	char *found = NULL, *slash;

	while (found == NULL && at[0] != '\0' && (slash = strrchr(at, '/')) != NULL) {
		*slash = '\0';
		if (sentinel_is_in(at))
			found = xasprintf("%s/%s", at, SENTINEL_NAME);
	}
	free(at);
	return found;
}

/* One stat for each directory of the root, also those that are no folders in this layout. */
static int find_in_children(const struct maildir *maildir, char **path, struct error *err)
{
	struct directory_reader reader;
	struct directory_entry entry;
	int fd = openat(maildir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int got = -1;

	if (fd < 0)
		return error_errno(err, ERROR_LOCAL, "%s", maildir->root);
	directory_reader_init(&reader, fd, 32768);
	while (*path == NULL && (got = directory_read(&reader, &entry)) == 1) {
		char *below;

		if (entry.type != DT_DIR && entry.type != DT_UNKNOWN)
			continue;
		below = xasprintf("%s/%s", maildir->root, entry.name);
		if (sentinel_is_in(below))
			*path = xasprintf("%s/%s", below, SENTINEL_NAME);
		free(below);
	}
	if (got < 0)
		error_errno(err, ERROR_LOCAL, "cannot read %s", maildir->root);
	directory_reader_release(&reader);
	close(fd);
	return got < 0 ? -1 : *path != NULL;
}

static int find_below(const struct maildir *maildir, const char *at, char **path, struct error *err)
{
	struct directory_look look;
	int found = 0;

	if (look_into(maildir, at, &look, NULL, err) != 0)
		return err->kind == ERROR_NOT_FOUND || err->kind == ERROR_LOCAL ? 0 : -1;
	if (look.has_sentinel && strcmp(at, ".") != 0) {
		*path = xasprintf("%s/%s/%s", maildir->root, at, SENTINEL_NAME);
		found = 1;
	}
	for (size_t i = 0; i < look.n_children && found == 0; i++) {
		char *child = path_join(at, look.children[i]);

		found = find_below(maildir, child, path, err);
		free(child);
	}
	look_release(&look);
	return found;
}

int sentinel_find_other(const struct maildir *maildir, char **path, struct error *err)
{
	struct error ignored = {0};
	int found;

	*path = find_above(maildir);
	if (*path != NULL)
		return 1;
	found = find_in_children(maildir, path, err);
	if (found != 0 || maildir->layout == LAYOUT_MAILDIRPP)
		return found;
	return find_below(maildir, ".", path, &ignored);
}
