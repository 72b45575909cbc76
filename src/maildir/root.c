/* The root: found once, held open, and everything else is reached from its descriptor.
 *
 * A path that is empty where mail should be is the most dangerous thing a synchronizer can
 * meet, so a missing root is an error of its own kind and is made only when asked. Whether
 * names can hold ':' cannot be asked without trying: this is done once, in a root that has no
 * sentinel yet, because a run with nothing to do must not touch the tree. */
#include "maildir/maildir_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_system.h"
#include "base/text.h"

#define COLON_PROBE SENTINEL_NAME ".probe:2,S"

static int probe_colon(struct maildir *maildir, struct error *err)
{
	struct stat st;
	int fd;

	if (fstatat(maildir->fd, SENTINEL_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	fd = openat(maildir->fd, COLON_PROBE, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && (errno == EINVAL || errno == ENOENT))
		return error_set(err, ERROR_LOCAL,
				 "%s: this file system cannot hold ':' in file names, which a "
				 "Maildir needs; choose a directory on another one",
				 maildir->root);
	if (fd < 0)
		return error_errno(err, ERROR_LOCAL, "%s: cannot create a file", maildir->root);
	close(fd);
	unlinkat(maildir->fd, COLON_PROBE, 0);
	return 0;
}

static int open_root(struct maildir *maildir, const char *root, struct error *err)
{
	maildir->root = realpath(root, NULL);
	if (maildir->root == NULL) {
		if (errno == ENOENT)
			return error_set(err, ERROR_NOT_FOUND, "%s does not exist", root);
		return error_errno(err, ERROR_LOCAL, "%s", root);
	}
	maildir->fd = open(maildir->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (maildir->fd < 0)
		return error_errno(err, ERROR_LOCAL, "%s", maildir->root);
	if (faccessat(maildir->fd, ".", W_OK | X_OK, AT_EACCESS) != 0)
		return error_errno(err, ERROR_LOCAL, "%s: cannot write to it", maildir->root);
	maildir->local = file_system_is_local(maildir->fd);
	maildir->fine_times = file_system_has_fine_times(maildir->fd);
	maildir->reuses_inodes = file_system_reuses_inodes(maildir->fd);
	maildir->syncs_at_once = file_system_syncs_at_once(maildir->fd);
	maildir->in_memory = file_system_is_in_memory(maildir->fd);
	return probe_colon(maildir, err);
}

/* The usual reason: a link to a disk that is not mounted. */
static int explain_create(const char *root, struct error *err)
{
	char target[256];
	int saved = errno;
	ssize_t len = readlink(root, target, sizeof(target) - 1);

	if (len >= 0)
		return error_set(
			err, ERROR_LOCAL,
			"%s is a symlink to %.*s, which is no directory: is its disk mounted?",
			root, (int)len, target);
	errno = saved;
	return error_errno(err, ERROR_LOCAL, "cannot create %s", root);
}

int maildir_open(struct maildir **maildir, const char *root, enum layout layout, bool create,
		 struct error *err)
{
	struct maildir *opened;

	*maildir = NULL;
	if (create && file_make_directories(root, 0700) != 0)
		return explain_create(root, err);
	opened = xcalloc(1, sizeof(*opened));
	opened->fd = -1;
	opened->layout = layout;
	opened->most_kept = (int)(sysconf(_SC_OPEN_MAX) / 2);
	if (open_root(opened, root, err) != 0) {
		maildir_close(&opened);
		return -1;
	}
	*maildir = opened;
	return 0;
}

void maildir_close(struct maildir **maildir)
{
	if (*maildir == NULL)
		return;
	if ((*maildir)->fd >= 0)
		close((*maildir)->fd);
	free((*maildir)->root);
	free(*maildir);
	*maildir = NULL;
}

const char *maildir_root(const struct maildir *maildir)
{
	return maildir->root;
}

bool maildir_is_local(const struct maildir *maildir)
{
	return maildir->local;
}

bool maildir_is_empty(const struct maildir *maildir)
{
	struct directory_reader reader;
	struct directory_entry entry;
	int fd = openat(maildir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool empty = true;
	int got = -1;

	if (fd < 0)
		return false; /* what cannot be read is not known to be empty */
	directory_reader_init(&reader, fd, 32768);
	while (empty && (got = directory_read(&reader, &entry)) == 1) {
		if (!starts_with(entry.name, SENTINEL_NAME) &&
		    strcmp(entry.name, "lost+found") != 0)
			empty = false;
	}
	directory_reader_release(&reader);
	close(fd);
	return empty && got == 0;
}
