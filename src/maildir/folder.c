/* One folder's directory, and the stamps that tell whether it changed.
 *
 * A stamp is (inode, mtime, ctime) of a directory. Equal stamps mean an unchanged directory
 * only if the clock moved on between the last change and the look: the kernel's times advance
 * in steps of up to 10 ms (before Linux 6.13), a server's in other steps, so a second change
 * within one step leaves no trace. A stamp that was that young when it was taken is racy, and
 * never equals anything later. "That young" is judged with the clock from which the kernel
 * takes the times, read before the look. Where the kernel gives every change after a look a time
 * of its own (file_system_has_fine_times), a stamp is never racy. */
#include "maildir/maildir_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

#define SECOND INT64_C(1000000000)
#define SLOP_LOCAL (20 * (SECOND / 1000))
#define SLOP_SHARED (2 * SECOND)

const char *const subdirectory_names[SUB_COUNT] = {"cur", "new", "tmp"};

int64_t stamp_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

/* An old ext4 has no room for fractions of a second. */
static bool has_fraction(const struct stamp *stamp)
{
	return stamp->ctime_ns % SECOND != 0;
}

static bool is_fine(const struct maildir *maildir, const struct stamp *stamp)
{
	return maildir->fine_times && has_fraction(stamp);
}

int64_t stamp_step(const struct maildir *maildir, const struct stamp *stamp)
{
	if (is_fine(maildir, stamp))
		return 0;
	return has_fraction(stamp) ? SLOP_LOCAL : SECOND + SLOP_LOCAL;
}

struct stamp stamp_make(const struct maildir *maildir, uint64_t inode, const struct statx *stx,
			int64_t now)
{
	int64_t quiet;
	struct stamp stamp = {
		.inode = inode,
		.mtime_ns = stx->stx_mtime.tv_sec * SECOND + stx->stx_mtime.tv_nsec,
		.ctime_ns = stx->stx_ctime.tv_sec * SECOND + stx->stx_ctime.tv_nsec,
	};

	quiet = now - (!maildir->local ? SLOP_SHARED : stamp_step(maildir, &stamp));
	stamp.racy =
		!is_fine(maildir, &stamp) && (stamp.mtime_ns > quiet || stamp.ctime_ns > quiet);
	return stamp;
}

int stamp_take(const struct maildir *maildir, int fd, const char *name, int64_t now,
	       struct stamp *stamp, struct statx *stx)
{
	/* A shared file system may answer from a cache, unless it is told not to. */
	int flags =
		AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | (maildir->local ? 0 : AT_STATX_FORCE_SYNC);

	if (statx(fd, name, flags, STATX_TYPE | STATX_INO | STATX_MTIME | STATX_CTIME, stx) != 0)
		return -1;
	*stamp = stamp_make(maildir, stx->stx_ino, stx, now);
	return 0;
}

bool stamp_same(const struct stamp *a, const struct stamp *b)
{
	return a->inode == b->inode && a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

bool stamp_equal(const struct stamp *a, const struct stamp *b)
{
	return !a->racy && stamp_same(a, b);
}

bool path_is_sane(const char *path)
{
	if (strcmp(path, ".") == 0)
		return true;
	for (;;) {
		size_t len = strcspn(path, "/");

		if (len == 0 || len > NAME_MAX || (len == 1 && path[0] == '.') ||
		    (len == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (path[len] == '\0')
			return true;
		path += len + 1;
	}
}

char *path_join(const char *path, const char *name)
{
	return strcmp(path, ".") == 0 ? xstrdup(name) : xasprintf("%s/%s", path, name);
}

enum error_kind folder_trouble(int why)
{
	switch (why) {
	case EACCES:
	case EPERM:
	case ELOOP:
	case EXDEV:
	case ENOTDIR:
	case ENAMETOOLONG: return ERROR_CHANGED;
	default: return ERROR_LOCAL;
	}
}

static int explain_open(const struct maildir *maildir, const char *path, int why, struct error *err)
{
	errno = why;
	switch (why) {
	case ENOENT:
		return error_set(err, ERROR_NOT_FOUND, "%s/%s does not exist", maildir->root, path);
	case ELOOP:
		return error_set(
			err, ERROR_CHANGED,
			"%s/%s is or lies behind a symlink, which is not followed below the root",
			maildir->root, path);
	case EXDEV:
		return error_set(err, ERROR_CHANGED,
				 "%s/%s is or lies on another file system mounted below the root",
				 maildir->root, path);
	case ENOTDIR:
		return error_set(err, ERROR_CHANGED, "%s/%s is not a directory", maildir->root,
				 path);
	default:
		errno = why;
		return error_errno(err, folder_trouble(why), "cannot open %s/%s", maildir->root,
				   path);
	}
}

int open_directory(const struct maildir *maildir, const char *path, int flags, struct error *err)
{
	int fd, why;

	if (!path_is_sane(path)) {
		errno = EINVAL;
		return error_set(err, ERROR_LOCAL, "\"%s\" is no path of a folder", path);
	}
	fd = file_open_beneath(maildir->fd, path, flags | O_DIRECTORY, 0);
	if (fd >= 0)
		return fd;
	why = errno;
	explain_open(maildir, path, why, err);
	errno = why;
	return -1;
}

int open_subdirectory(int directory, const char *path, enum subdirectory sub, struct error *err)
{
	const char *name = subdirectory_names[sub];
	int fd = file_open_beneath(directory, name, O_RDONLY | O_DIRECTORY, 0);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return error_set(err, ERROR_CHANGED,
				 "folder %s is damaged: its directory \"%s\" is missing", path,
				 name);
	if (errno == ELOOP || errno == EXDEV || errno == ENOTDIR)
		return error_set(err, ERROR_CHANGED, "folder %s is damaged: \"%s\" in it is %s",
				 path, name,
				 errno == ELOOP   ? "a symlink"
				 : errno == EXDEV ? "a mount point"
						  : "not a directory");
	return error_errno(err, folder_trouble(errno), "folder %s: cannot open \"%s\"", path, name);
}

static int open_parts(struct maildir_folder *folder, struct error *err)
{
	folder->fd = open_directory(folder->maildir, folder->path, O_RDONLY, err);
	if (folder->fd < 0)
		return -1;
	folder->sub[SUB_CUR] = open_subdirectory(folder->fd, folder->path, SUB_CUR, err);
	if (folder->sub[SUB_CUR] < 0)
		return -1;
	folder->sub[SUB_NEW] = open_subdirectory(folder->fd, folder->path, SUB_NEW, err);
	if (folder->sub[SUB_NEW] < 0)
		return -1;
	folder->sub[SUB_TMP] = file_open_beneath(folder->fd, "tmp", O_RDONLY | O_DIRECTORY, 0);
	if (folder->sub[SUB_TMP] >= 0)
		return 0;
	if (errno == ENOENT && mkdirat(folder->fd, "tmp", 0700) != 0)
		return error_errno(err, folder_trouble(errno), "folder %s: cannot create \"tmp\"",
				   folder->path);
	folder->sub[SUB_TMP] = open_subdirectory(folder->fd, folder->path, SUB_TMP, err);
	return folder->sub[SUB_TMP] < 0 ? -1 : 0;
}

int maildir_folder_open(struct maildir_folder **folder, struct maildir *maildir, const char *path,
			struct error *err)
{
	struct maildir_folder *opened = xcalloc(1, sizeof(*opened));

	opened->maildir = maildir;
	opened->path = xstrdup(path);
	opened->fd = -1;
	for (int sub = 0; sub < SUB_COUNT; sub++)
		opened->sub[sub] = -1;
	*folder = opened;
	if (open_parts(opened, err) == 0)
		return 0;
	maildir_folder_close(folder);
	return -1;
}

void maildir_folder_close(struct maildir_folder **folder)
{
	if (*folder == NULL)
		return;
	scan_drop_begun(*folder);
	for (int sub = 0; sub < SUB_COUNT; sub++) {
		if ((*folder)->sub[sub] >= 0)
			close((*folder)->sub[sub]);
	}
	if ((*folder)->fd >= 0)
		close((*folder)->fd);
	name_index_free(&(*folder)->index);
	scratch_release(&(*folder)->scratch);
	free((*folder)->path);
	free(*folder);
	*folder = NULL;
}

void maildir_expect(struct maildir_folder *folder, size_t files)
{
	folder->expected = files;
}

static bool same_device(const struct statx *a, const struct statx *b)
{
	return a->stx_dev_major == b->stx_dev_major && a->stx_dev_minor == b->stx_dev_minor;
}

static int take_all(struct maildir *maildir, int fd, const char *path,
		    struct stamp stamps[STAMP_COUNT], struct error *err)
{
	static const struct {
		enum folder_stamp stamp;
		const char *name;
		mode_t type;
	} parts[] = {
		{STAMP_CUR, "cur", S_IFDIR},
		{STAMP_NEW, "new", S_IFDIR},
		{STAMP_KEYWORDS, "dovecot-keywords", S_IFREG},
	};
	int64_t now = stamp_clock();
	struct statx directory, part;

	if (stamp_take(maildir, fd, "", now, &stamps[STAMP_DIR], &directory) != 0)
		return error_errno(err, folder_trouble(errno), "folder %s", path);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (stamp_take(maildir, fd, parts[i].name, now, &stamps[parts[i].stamp], &part) !=
		    0) {
			if (errno != ENOENT)
				return error_errno(err, folder_trouble(errno), "%s/%s", path,
						   parts[i].name);
			memset(&stamps[parts[i].stamp], 0, sizeof(struct stamp));
		} else if ((part.stx_mode & S_IFMT) != parts[i].type ||
			   !same_device(&directory, &part)) {
			return error_set(err, ERROR_CHANGED,
					 "folder %s is damaged: \"%s\" in it is a symlink, a mount "
					 "point or of another kind",
					 path, parts[i].name);
		}
	}
	return 0;
}

int folder_stamps(struct maildir_folder *folder, struct stamp stamps[STAMP_COUNT],
		  struct error *err)
{
	return take_all(folder->maildir, folder->fd, folder->path, stamps, err);
}

int maildir_stamps(struct maildir *maildir, const char *path, struct stamp stamps[STAMP_COUNT],
		   struct error *err)
{
	int fd = open_directory(maildir, path, O_PATH, err);
	int result;

	if (fd < 0)
		return -1;
	result = take_all(maildir, fd, path, stamps, err);
	close(fd);
	return result;
}

int maildir_folder_sync(struct maildir_folder *folder, struct error *err)
{
	/* Where the new name stands comes first: a name lost in a crash is worse than one
	 * too many, and what is read goes from new to cur. */
	static const enum subdirectory order[] = {SUB_CUR, SUB_NEW};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		enum subdirectory sub = order[i];

		if (!folder->dirty[sub])
			continue;
		if (fsync(folder->sub[sub]) != 0)
			return error_errno(err, ERROR_LOCAL, "cannot make %s/%s durable",
					   folder->path, subdirectory_names[sub]);
		folder->dirty[sub] = false;
	}
	return 0;
}
