/* Removing a folder, which must never take a message with it.
 *
 * First everything in the directory is looked at; one thing that is not known to be worthless
 * stops it. Then the directory gets a hidden name, is looked at again (a deliverer may have
 * been faster), and only then emptied. A run that is killed in between leaves a hidden
 * directory with index files, never half a folder, which would look damaged. A directory with
 * folders below it must stay where it is; it loses its own parts, and a half-done removal is
 * simply repeated. The hidden
 * name is in the root, where the next run finds it. */
#include "maildir/maildir_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

#define STALE_SECONDS (36 * 3600)

enum removal { KEEP_UNKNOWN, KEEP_FOLDER, REMOVE_FILE, REMOVE_DIRECTORY };

struct directory_parts {
	const char *path; /* for messages */
	bool has_folders; /* below it */
	bool act;         /* remove, or only look */
};

static bool is_directory(int fd, const struct directory_entry *entry)
{
	struct stat st;

	if (entry->type != DT_UNKNOWN)
		return entry->type == DT_DIR;
	return fstatat(fd, entry->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* In tmp: what is so old that its deliverer is long gone (maildir(5)), and what is ours. */
static bool is_waste(int fd, const char *name)
{
	struct stat st;

	return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       (starts_with(name, TMP_PREFIX) || st.st_ctim.tv_sec < time(NULL) - STALE_SECONDS);
}

static int open_part(int fd, const char *name)
{
	return openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int unknown(const char *path, const char *part, const char *name, struct error *err)
{
	struct text visible = {0};

	text_put_visible(&visible, name);
	error_set(
		err, ERROR_CHANGED,
		"folder %s is not removed: there is %s%s%.100s in it, which is no file of an index",
		path, part, part[0] != '\0' ? "/" : "", text_get(&visible));
	text_release(&visible);
	return -1;
}

/* cur, new, tmp and Courier's directories: nothing but index files, or waste in tmp. */
static int clear_part(int parent, const char *part, const struct directory_parts *parts,
		      struct error *err)
{
	bool courier = starts_with(part, "courierimap"), tmp = strcmp(part, "tmp") == 0;
	struct directory_reader reader;
	struct directory_entry entry;
	int fd = open_part(parent, part), result = 0, got = 0;

	if (fd < 0)
		return errno == ENOENT ? 0
				       : error_errno(err, folder_trouble(errno),
						     "cannot read %s/%s", parts->path, part);
	directory_reader_init(&reader, fd, 32768);
	while (result == 0 && (got = directory_read(&reader, &entry)) == 1) {
		bool known = courier || filename_is_index(entry.name) ||
			     (tmp && is_waste(fd, entry.name));

		if (!known || is_directory(fd, &entry))
			result = unknown(parts->path, part, entry.name, err);
		else if (parts->act && unlinkat(fd, entry.name, 0) != 0 && errno != ENOENT)
			result = error_errno(err, folder_trouble(errno), "cannot remove %s/%s/%s",
					     parts->path, part, entry.name);
	}
	if (got < 0)
		result = error_errno(err, folder_trouble(errno), "cannot read %s/%s", parts->path,
				     part);
	directory_reader_release(&reader);
	close(fd);
	return result;
}

static int remove_part(int fd, const char *name, const struct directory_parts *parts,
		       struct error *err)
{
	if (unlinkat(fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno == ENOTEMPTY || errno == EEXIST)
		return error_set(err, ERROR_CHANGED,
				 "folder %s is not removed: something was just put into %s",
				 parts->path, name);
	return error_errno(err, folder_trouble(errno), "cannot remove %s/%s", parts->path, name);
}

static bool is_mail_part(const char *name)
{
	return strcmp(name, "cur") == 0 || strcmp(name, "new") == 0 || strcmp(name, "tmp") == 0;
}

static int treat_entry(int fd, const struct directory_entry *entry,
		       const struct directory_parts *parts, struct error *err)
{
	if (is_directory(fd, entry)) {
		if (!is_mail_part(entry->name) && !starts_with(entry->name, "courierimap"))
			return parts->has_folders && entry->name[0] != '.'
				       ? 0
				       : unknown(parts->path, "", entry->name, err);
		if (clear_part(fd, entry->name, parts, err) != 0)
			return -1;
		return parts->act ? remove_part(fd, entry->name, parts, err) : 0;
	}
	if (!filename_is_index(entry->name))
		return unknown(parts->path, "", entry->name, err);
	if (parts->act && unlinkat(fd, entry->name, 0) != 0 && errno != ENOENT)
		return error_errno(err, folder_trouble(errno), "cannot remove %s/%s", parts->path,
				   entry->name);
	return 0;
}

static int treat_all(int fd, const struct directory_parts *parts, struct error *err)
{
	struct directory_reader reader;
	struct directory_entry entry;
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0, got = 0;

	if (copy < 0)
		return error_errno(err, folder_trouble(errno), "cannot read %s", parts->path);
	directory_reader_init(&reader, copy, 32768);
	while (result == 0 && (got = directory_read(&reader, &entry)) == 1)
		result = treat_entry(fd, &entry, parts, err);
	if (got < 0)
		result = error_errno(err, folder_trouble(errno), "cannot read %s", parts->path);
	directory_reader_release(&reader);
	close(copy);
	return result;
}

/* cur and new go before all else: if a message comes into the second one, the first one is
 * made again and nothing was lost. */
static int remove_own_parts(int fd, struct directory_parts *parts, struct error *err)
{
	static const char *const mail[] = {"new", "cur"};

	parts->act = true;
	for (size_t i = 0; i < ARRAY_SIZE(mail); i++) {
		if (clear_part(fd, mail[i], parts, err) != 0 ||
		    remove_part(fd, mail[i], parts, err) != 0) {
			if (i != 0)
				mkdirat(fd, mail[0], 0700);
			return -1;
		}
	}
	if (treat_all(fd, parts, err) != 0)
		return -1;
	return fsync(fd) == 0 ? 0 : error_errno(err, folder_trouble(errno), "%s", parts->path);
}

static int empty_hidden(int root, const char *hidden, int fd, struct directory_parts *parts,
			struct error *err)
{
	parts->act = true;
	if (treat_all(fd, parts, err) != 0)
		return -1;
	if (unlinkat(root, hidden, AT_REMOVEDIR) != 0 || fsync(root) != 0)
		return error_errno(err, folder_trouble(errno), "cannot remove %s", parts->path);
	return 0;
}

/* A directory that only just can be moved within its parent (it is a mount's) is emptied there. */
static int remove_leaf(const struct maildir *maildir, int parent, int fd, const char *name,
		       struct directory_parts *parts, struct error *err)
{
	char *unique = unique_name();
	char hidden[NAME_MAX + 1];
	int root = maildir->fd;
	struct stat st;

	snprintf(hidden, sizeof(hidden), REMOVED_PREFIX "%s", unique);
	free(unique);
	if (renameat(parent, name, root, hidden) != 0) {
		root = parent;
		if (errno != EXDEV || renameat(parent, name, root, hidden) != 0)
			return error_errno(err, folder_trouble(errno), "cannot remove %s",
					   parts->path);
	}
	if (treat_all(fd, parts, err) != 0) {
		if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			renameat(root, hidden, parent, name);
		return -1;
	}
	if (empty_hidden(root, hidden, fd, parts, err) != 0)
		return -1;
	return fsync(parent) == 0 ? 0 : error_errno(err, folder_trouble(errno), "%s", parts->path);
}

/* What a killed removal left in the root. Something of value in it stays, under its hidden name. */
int maildir_clean_removed(struct maildir *maildir, struct error *err)
{
	struct directory_reader reader;
	struct directory_entry entry;
	int fd, got;

	if (!maildir->has_removed)
		return 0;
	fd = openat(maildir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, folder_trouble(errno), "cannot read %s", maildir->root);
	directory_reader_init(&reader, fd, 32768);
	while ((got = directory_read(&reader, &entry)) == 1) {
		struct directory_parts parts = {.path = entry.name};
		struct error ignored;
		int hidden =
			starts_with(entry.name, REMOVED_PREFIX) ? open_part(fd, entry.name) : -1;

		if (hidden < 0)
			continue;
		if (treat_all(hidden, &parts, &ignored) == 0)
			empty_hidden(fd, entry.name, hidden, &parts, &ignored);
		close(hidden);
	}
	if (got < 0)
		error_errno(err, folder_trouble(errno), "cannot read %s", maildir->root);
	directory_reader_release(&reader);
	close(fd);
	maildir->has_removed = false;
	return got;
}

static int remove_opened(struct maildir *maildir, const char *path, int fd, int parent,
			 struct error *err)
{
	struct directory_parts parts = {.path = path};
	const char *slash = strrchr(path, '/');
	struct arena *arena = arena_new();
	size_t n;
	int result;

	result = folders_below(maildir, path, arena, &n, err);
	arena_free(&arena);
	parts.has_folders = n != 0;
	if (result == 0)
		result = treat_all(fd, &parts, err);
	if (result != 0)
		return -1;
	if (parts.has_folders)
		return remove_own_parts(fd, &parts, err);
	return remove_leaf(maildir, parent, fd, slash != NULL ? slash + 1 : path, &parts, err);
}

int maildir_remove(struct maildir *maildir, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	char *parent_path;
	int fd, parent, result = -1;

	if (strcmp(path, ".") == 0)
		return error_set(err, ERROR_LOCAL, "the root is never removed");
	fd = open_directory(maildir, path, O_RDONLY, err);
	if (fd < 0)
		return -1;
	parent_path = slash != NULL ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	parent = open_directory(maildir, parent_path, O_RDONLY, err);
	if (parent >= 0) {
		result = remove_opened(maildir, path, fd, parent, err);
		close(parent);
	}
	close(fd);
	free(parent_path);
	return result;
}
