/* Making, renaming and missing folders' directories. */
#include "maildir/maildir_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define NAMES_ROOM 32768

/* "A/B/C" -> "A/B", "A" -> "."; the last level in *name. Caller frees. */
static char *parent_of(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');

	*name = slash != NULL ? slash + 1 : path;
	return slash != NULL ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
}

/* Whether the directory has a name of exactly these bytes; errno if it cannot be read. */
static int lists_name(int directory, const char *name)
{
	struct directory_reader reader;
	struct directory_entry entry;
	int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result;

	if (fd < 0)
		return -1;
	directory_reader_init(&reader, fd, NAMES_ROOM);
	do
		result = directory_read(&reader, &entry);
	while (result == 1 && strcmp(entry.name, name) != 0);
	directory_reader_release(&reader);
	close(fd);
	return result;
}

/* Where case or accents are folded, Lists answers to lists too: two folders must not share it. */
static int accept_existing(const struct maildir *maildir, int parent, const char *name,
			   const char *path, struct error *err)
{
	switch (lists_name(parent, name)) {
	case 1: return 0;
	case 0:
		return error_set(err, ERROR_REFUSED,
				 "it would share the directory of another folder: to the file "
				 "system of %s, %s is the same name",
				 maildir->root, path);
	default:
		return error_errno(err, ERROR_LOCAL, "cannot read what is beside %s/%s",
				   maildir->root, path);
	}
}

/* Makes one directory durable in its parent; an existing one is success. */
static int make_one(const struct maildir *maildir, int parent, const char *name, const char *path,
		    struct error *err)
{
	if (mkdirat(parent, name, 0700) != 0) {
		if (errno == EEXIST)
			return accept_existing(maildir, parent, name, path, err);
		return error_errno(err, folder_trouble(errno), "cannot create %s/%s", maildir->root,
				   path);
	}
	if (fsync(parent) != 0)
		return error_errno(err, folder_trouble(errno), "cannot make %s/%s durable",
				   maildir->root, path);
	return 0;
}

static int make_levels(const struct maildir *maildir, const char *path, struct error *err)
{
	char *copy, *parent;
	const char *name;
	int fd, result;

	if (strcmp(path, ".") == 0)
		return 0;
	copy = xstrdup(path);
	parent = parent_of(copy, &name);
	result = make_levels(maildir, parent, err);
	if (result == 0) {
		fd = open_directory(maildir, parent, O_RDONLY, err);
		result = fd < 0 ? -1 : make_one(maildir, fd, name, path, err);
		if (fd >= 0)
			close(fd);
	}
	free(parent);
	free(copy);
	return result;
}

/* tmp first and cur last: a directory is a folder only once it is complete. */
static int make_parts(const struct maildir *maildir, int fd, const char *path, struct error *err)
{
	static const enum subdirectory order[] = {SUB_TMP, SUB_NEW, SUB_CUR};
	int made = 0, part;

	if (maildir->layout == LAYOUT_MAILDIRPP && strcmp(path, ".") != 0) {
		part = openat(fd, "maildirfolder",
			      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (part < 0 && errno != EEXIST)
			return error_errno(err, folder_trouble(errno),
					   "cannot create maildirfolder in %s", path);
		if (part >= 0) {
			close(part);
			made++;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (mkdirat(fd, subdirectory_names[order[i]], 0700) == 0)
			made++;
		else if (errno != EEXIST)
			return error_errno(err, folder_trouble(errno), "cannot create %s/%s", path,
					   subdirectory_names[order[i]]);
		part = open_subdirectory(fd, path, order[i], err);
		if (part < 0)
			return -1;
		close(part);
	}
	if (made != 0 && fsync(fd) != 0)
		return error_errno(err, folder_trouble(errno), "cannot make %s durable", path);
	return 0;
}

int maildir_create(struct maildir *maildir, const char *path, struct error *err)
{
	int fd, result;

	if (!path_is_sane(path))
		return error_set(err, ERROR_LOCAL, "\"%s\" is no path of a folder", path);
	if (make_levels(maildir, path, err) != 0)
		return -1;
	fd = open_directory(maildir, path, O_RDONLY, err);
	if (fd < 0)
		return -1;
	result = make_parts(maildir, fd, path, err);
	close(fd);
	return result;
}

static int rename_between(struct maildir *maildir, const char *const paths[2], const int fds[2],
			  const char *const names[2], struct error *err)
{
	struct stat st;

	if (fstatat(fds[0], names[0], &st, AT_SYMLINK_NOFOLLOW) != 0)
		return error_errno(err, errno == ENOENT ? ERROR_NOT_FOUND : folder_trouble(errno),
				   "%s/%s", maildir->root, paths[0]);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, ERROR_LOCAL, "%s/%s is not a directory", maildir->root,
				 paths[0]);
	/* rename would replace an empty directory without a word. */
	if (fstatat(fds[1], names[1], &st, AT_SYMLINK_NOFOLLOW) == 0)
		return error_set(err, ERROR_CHANGED, "%s/%s is there already", maildir->root,
				 paths[1]);
	if (renameat(fds[0], names[0], fds[1], names[1]) != 0)
		return error_errno(err,
				   errno == ENOTEMPTY || errno == EEXIST ? ERROR_CHANGED
									 : folder_trouble(errno),
				   "cannot rename %s to %s", paths[0], paths[1]);
	if (fsync(fds[1]) != 0 || fsync(fds[0]) != 0)
		return error_errno(err, folder_trouble(errno),
				   "cannot make the rename of %s durable", paths[0]);
	return 0;
}

int maildir_rename(struct maildir *maildir, const char *from, const char *to, struct error *err)
{
	const char *const paths[2] = {from, to};
	const char *names[2];
	char *parents[2];
	int fds[2] = {-1, -1}, result = -1;

	if (!path_is_sane(from) || !path_is_sane(to) || strcmp(from, ".") == 0 ||
	    strcmp(to, ".") == 0)
		return error_set(err, ERROR_LOCAL, "cannot rename \"%s\" to \"%s\"", from, to);
	parents[0] = parent_of(from, &names[0]);
	parents[1] = parent_of(to, &names[1]);
	fds[0] = open_directory(maildir, parents[0], O_RDONLY, err);
	if (fds[0] < 0 || make_levels(maildir, parents[1], err) != 0)
		goto out;
	fds[1] = open_directory(maildir, parents[1], O_RDONLY, err);
	if (fds[1] >= 0)
		result = rename_between(maildir, paths, fds, names, err);
out:
	for (int i = 0; i < 2; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		free(parents[i]);
	}
	return result;
}

static int is_missing(const struct maildir *maildir, int parent, const char *path,
		      struct error *err)
{
	const char *slash = strrchr(path, '/');
	struct stat st;

	/* In a directory that was itself removed everything seems absent. */
	if (fstat(parent, &st) != 0 || st.st_nlink == 0)
		return error_set(err, ERROR_CHANGED, "the directory around %s/%s was removed",
				 maildir->root, path);
	if (fstatat(parent, slash != NULL ? slash + 1 : path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (errno == ENOENT)
		return 1;
	return error_errno(err, folder_trouble(errno), "%s/%s", maildir->root, path);
}

/* A whole tree may be gone: then the nearest level above that is left must be a directory. */
int maildir_is_absent(struct maildir *maildir, const char *path, struct error *err)
{
	const char *name;
	char *parent;
	int fd, result;

	if (strcmp(path, ".") == 0 || !path_is_sane(path))
		return path_is_sane(path)
			       ? 0
			       : error_set(err, ERROR_LOCAL, "\"%s\" is no path of a folder", path);
	parent = parent_of(path, &name);
	fd = open_directory(maildir, parent, O_PATH, err);
	if (fd >= 0) {
		result = is_missing(maildir, fd, path, err);
		close(fd);
	} else {
		result = errno == ENOENT ? maildir_is_absent(maildir, parent, err) : -1;
	}
	free(parent);
	return result;
}
