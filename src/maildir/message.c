/* Messages under their names: reading, renaming, moving, deleting.
 *
 * No lock keeps mail readers away, so each step is one system call on an exact name, and a
 * name that is gone is looked for again: the reader has renamed the file. Nothing is ever
 * overwritten: a file is renamed with RENAME_NOREPLACE, which fails if the name is taken. Where
 * the file system has no such thing (NFS), a new name is made with link, which fails likewise,
 * and then the old one is removed. If the old one is gone by then, the reader was faster, the
 * file has the reader's name, and ours is taken back; had the reader deleted it, then it is
 * deleted. */
#include "maildir/maildir_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "core/snapshot.h"

#define TRIES 4

static bool same_file(int fd, const char *name, int other_fd, const char *other)
{
	struct stat a, b;

	return fstatat(fd, name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstatat(other_fd, other, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino &&
	       a.st_dev == b.st_dev;
}

static int unlink_old(int from_fd, const char *from, int to_fd, const char *to)
{
	int saved;

	if (unlinkat(from_fd, from, 0) == 0)
		return 0;
	saved = errno;
	unlinkat(to_fd, to, 0);
	errno = saved;
	return -1;
}

int move_name_by_link(int from_fd, const char *from, int to_fd, const char *to)
{
	struct stat st;

	if (linkat(from_fd, from, to_fd, to, 0) == 0)
		return unlink_old(from_fd, from, to_fd, to);
	switch (errno) {
	case EPERM: /* another user's file, or no hard links here */
	case EMLINK:
	case EOPNOTSUPP:
	case ENOSYS:
		if (fstatat(to_fd, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			errno = EEXIST;
			return -1;
		}
		return errno == ENOENT ? renameat(from_fd, from, to_fd, to) : -1;
	default: return -1;
	}
}

int move_name(int from_fd, const char *from, int to_fd, const char *to)
{
	int result = renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE);

	if (result != 0 && (errno == EINVAL || errno == ENOSYS || errno == EPERM))
		result = move_name_by_link(from_fd, from, to_fd, to);
	if (result == 0 || errno != EEXIST)
		return result;
	/* Both names of one file: a run ended between link and unlink. */
	if (same_file(from_fd, from, to_fd, to))
		return unlinkat(from_fd, from, 0);
	errno = EEXIST;
	return -1;
}

/* Without leaving a trace in the file's access time, where that is allowed. */
static int open_place(const struct maildir_folder *folder, const struct place *place)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	int fd = openat(folder->sub[place->sub], place->name, flags | O_NOATIME);

	if (fd < 0 && errno == EPERM)
		fd = openat(folder->sub[place->sub], place->name, flags);
	return fd;
}

/* Opens a message and tells where it was found. */
static int open_base(struct maildir_folder *folder, const char *base, struct place *place,
		     struct error *err)
{
	for (int i = 0; i < TRIES; i++) {
		int fd;

		if (locate(folder, base, LOCATE_SURELY, place, err) != 0)
			return -1;
		fd = open_place(folder, place);
		if (fd >= 0 && fstat(fd, &place->st) == 0 && S_ISREG(place->st.st_mode))
			return fd;
		if (fd >= 0)
			close(fd);
		else if (errno != ENOENT && errno != ELOOP)
			return error_errno(err, ERROR_LOCAL, "cannot read %s/%s", folder->path,
					   place->name);
	}
	return error_set(err, ERROR_CHANGED, "%s/%s: another program keeps renaming it",
			 folder->path, base);
}

int maildir_open_file(struct maildir_folder *folder, const char *base, struct arena *arena,
		      struct local_file *file, struct error *err)
{
	struct name_parts parts;
	struct place place;
	int fd = open_base(folder, base, &place, err);

	if (fd < 0 || file == NULL)
		return fd;
	filename_parse(place.name, &parts);
	file->base = arena_strdup(arena, base);
	file->letters = arena_strndup(arena, parts.letters, parts.letters_len);
	file->in_new = place.sub == SUB_NEW;
	file->has_info = parts.has_info;
	file->inode = place.st.st_ino;
	return fd;
}

struct scratch scratch_take(struct maildir_folder *folder)
{
	struct scratch scratch = folder->scratch;

	folder->scratch = (struct scratch){NULL, NULL};
	if (scratch.buffer == NULL) {
		scratch.buffer = xmalloc(SCRATCH_SIZE);
		scratch.printer = fingerprinter_new();
	} else {
		fingerprinter_reset(scratch.printer);
	}
	return scratch;
}

void scratch_give(struct maildir_folder *folder, struct scratch *scratch)
{
	if (scratch->buffer == NULL)
		return;
	scratch_release(&folder->scratch);
	folder->scratch = *scratch;
	*scratch = (struct scratch){NULL, NULL};
}

void scratch_release(struct scratch *scratch)
{
	free(scratch->buffer);
	fingerprinter_free(&scratch->printer);
	scratch->buffer = NULL;
}

/* As many octets as there were, or as there are if they are less. */
static int feed_file(int fd, off_t size, const struct scratch *scratch)
{
	while (size > 0) {
		ssize_t n = read(fd, scratch->buffer, SCRATCH_SIZE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -1 : 0;
		fingerprinter_feed(scratch->printer, scratch->buffer, (size_t)n);
		size -= n;
	}
	return 0;
}

/* A rename changes only ctime, and does no harm. */
static bool unchanged(const struct stat *before, const struct stat *after, uint64_t octets)
{
	return before->st_size == after->st_size && (uint64_t)after->st_size == octets &&
	       before->st_mtim.tv_sec == after->st_mtim.tv_sec &&
	       before->st_mtim.tv_nsec == after->st_mtim.tv_nsec;
}

/* before: of the descriptor, just taken. */
static int examine_fd(struct maildir_folder *folder, int fd, const struct stat *before,
		      const char *base, struct file_facts *facts, struct error *err)
{
	struct scratch scratch = scratch_take(folder);
	struct stat after;
	int result = -1;

	memset(facts, 0, sizeof(*facts));
	if (feed_file(fd, before->st_size, &scratch) != 0 || fstat(fd, &after) != 0) {
		error_errno(err, ERROR_LOCAL, "cannot read %.200s", base);
	} else {
		fingerprinter_finish(scratch.printer, &facts->fingerprint);
		facts->inode = after.st_ino;
		facts->mtime = after.st_mtim.tv_sec;
		facts->size = (uint64_t)after.st_size;
		result = 0;
		if (!unchanged(before, &after, facts->fingerprint.size))
			result = error_set(err, ERROR_CHANGED, "%.200s changed while it was read",
					   base);
	}
	scratch_give(folder, &scratch);
	return result;
}

int maildir_examine(struct maildir_folder *folder, const char *base, struct file_facts *facts,
		    struct error *err)
{
	struct place place;
	int fd = open_base(folder, base, &place, err);
	int result;

	if (fd < 0)
		return -1;
	result = examine_fd(folder, fd, &place.st, base, facts, err);
	close(fd);
	return result;
}

/* place: where it was verified, and as what inode. */
static int verify(struct maildir_folder *folder, const char *base, uint64_t inode,
		  const struct hash *content, struct place *place, struct error *err)
{
	struct file_facts facts;
	int fd, result;

	if (inode != 0) {
		if (locate(folder, base, LOCATE_SURELY, place, err) != 0)
			return -1;
		if (place->st.st_ino == inode)
			return 0;
	}
	if (content == NULL || hash_is_none(content))
		return error_set(err, ERROR_CHANGED, "%s/%.200s is another file now", folder->path,
				 base);
	fd = open_base(folder, base, place, err);
	if (fd < 0)
		return -1;
	result = examine_fd(folder, fd, &place->st, base, &facts, err);
	close(fd);
	if (result == 0 && !hash_equal(&facts.fingerprint.content, content))
		result = error_set(err, ERROR_CHANGED, "%s/%.200s has other content now",
				   folder->path, base);
	return result;
}

int maildir_verify(struct maildir_folder *folder, const char *base, uint64_t inode,
		   const struct hash *content, struct error *err)
{
	struct place place;

	return verify(folder, base, inode, content, &place, err);
}

/* Nobody has written to it since the record: any write would show in its time. The times that we give
 * files have no fractions of a second, so a write within the same second shows as well; a file with other
 * times, a local delivery, is not believed so easily. */
static bool is_untouched(const struct record *record, const struct stat *st)
{
	return record->inode != 0 && record->inode == st->st_ino && record->trace != 0 &&
	       st->st_mtim.tv_nsec == 0 &&
	       file_trace(st->st_mtim.tv_sec, (uint64_t)st->st_size) == record->trace;
}

/* The inode alone does not tell that the file was written over in place, so the contents are compared
 * where there is doubt; that takes time, so the file is looked at once more. */
static int find_doomed(struct maildir_folder *folder, const struct record *record,
		       struct place *place, struct error *err)
{
	bool known = !hash_is_none(&record->content);
	ino_t inode;

	if (locate(folder, record->base, LOCATE_SURELY, place, err) != 0)
		return -1;
	if (is_untouched(record, &place->st))
		return 0;
	if (verify(folder, record->base, known ? 0 : record->inode, &record->content, place, err) !=
	    0)
		return -1;
	inode = place->st.st_ino;
	if (fstatat(folder->sub[place->sub], place->name, &place->st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    place->st.st_ino != inode)
		return error_set(err, ERROR_CHANGED, "%s/%s was just replaced", folder->path,
				 place->name);
	return 0;
}

int maildir_delete(struct maildir_folder *folder, const struct record *record, struct error *err)
{
	for (int i = 0; i < TRIES; i++) {
		struct place place;

		if (find_doomed(folder, record, &place, err) != 0)
			return -1;
		if (unlinkat(folder->sub[place.sub], place.name, 0) == 0) {
			folder->dirty[place.sub] = true;
			return 0;
		}
		if (errno != ENOENT)
			return error_errno(err, ERROR_LOCAL, "cannot remove %s/%s", folder->path,
					   place.name);
	}
	return error_set(err, ERROR_CHANGED, "%s/%.200s: another program keeps renaming it",
			 folder->path, record->base);
}

/* The name that the file gets; 1 if it has it already. */
static int letters_name(const struct place *place, const char *base, const char *add,
			const char *remove, char letters[64], struct place *target,
			struct error *err)
{
	struct name_parts parts;
	enum name_kind kind = filename_parse(place->name, &parts);
	bool changed;

	if (letters_merge(parts.letters, parts.letters_len, add, remove, letters, &changed) != 0)
		return error_set(err, ERROR_LOCAL, "%.200s: flags that no file name can hold",
				 base);
	if (!changed)
		return 1;
	if (kind == NAME_FOREIGN)
		return error_set(err, ERROR_LOCAL,
				 "%.200s: its name has info of another version than 2, so flags "
				 "cannot be written to it",
				 base);
	target->sub = place->sub == SUB_NEW && letters[0] == '\0' ? SUB_NEW : SUB_CUR;
	if (target->sub == SUB_NEW && parts.tail[0] == '\0') {
		memcpy(target->name, base, parts.base_len + 1);
		return 0;
	}
	return filename_build(target->name, base, letters, parts.tail, err);
}

int maildir_change_letters(struct maildir_folder *folder, const char *base, const char *add,
			   const char *remove, char out[64], struct error *err)
{
	for (int i = 0; i < TRIES; i++) {
		struct place place, target;
		char letters[64];
		int done;

		if (locate(folder, base, LOCATE_SURELY, &place, err) != 0)
			return -1;
		done = letters_name(&place, base, add, remove, letters, &target, err);
		if (done < 0)
			return -1;
		if (done == 0 && move_name(folder->sub[place.sub], place.name,
					   folder->sub[target.sub], target.name) == 0) {
			folder->dirty[place.sub] = true;
			folder_note(folder, base, target.sub, target.name);
			done = 1;
		}
		if (done == 1) {
			if (out != NULL)
				memcpy(out, letters, sizeof(letters));
			return 0;
		}
		if (errno == EEXIST)
			return error_set(err, ERROR_CHANGED,
					 "%s/%s: another file has this name already", folder->path,
					 target.name);
		if (errno != ENOENT)
			return error_errno(err, ERROR_LOCAL, "cannot rename %s/%s", folder->path,
					   place.name);
	}
	return error_set(err, ERROR_CHANGED, "%s/%.200s: another program keeps renaming it",
			 folder->path, base);
}

#define SECOND_NAME_SECONDS 10

/* Another name of the same file and message in one of the two directories. */
static bool has_other_name(const struct maildir_folder *folder, const char *name, ino_t inode)
{
	struct name_parts parts, other;
	struct directory_reader reader;
	struct directory_entry entry;
	bool found = false;

	filename_parse(name, &parts);
	for (int sub = SUB_CUR; sub <= SUB_NEW && !found; sub++) {
		int fd = openat(folder->sub[sub], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			continue;
		directory_reader_init(&reader, fd, 32768);
		while (!found && directory_read(&reader, &entry) == 1) {
			found = entry.inode == inode && strcmp(entry.name, name) != 0 &&
				filename_parse(entry.name, &other) != NAME_IGNORED &&
				other.base_len == parts.base_len &&
				strncmp(entry.name, name, parts.base_len) == 0;
		}
		directory_reader_release(&reader);
		close(fd);
	}
	return found;
}

int maildir_drop_second(struct maildir_folder *folder, const char *place, struct error *err)
{
	enum subdirectory sub = starts_with(place, "new/") ? SUB_NEW : SUB_CUR;
	const char *name = strchr(place, '/') + 1;
	struct stat st;

	if (fstatat(folder->sub[sub], name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    st.st_ctim.tv_sec > time(NULL) - SECOND_NAME_SECONDS ||
	    !has_other_name(folder, name, st.st_ino))
		return 0;
	if (unlinkat(folder->sub[sub], name, 0) != 0 && errno != ENOENT)
		return error_errno(err, ERROR_LOCAL, "cannot remove %s/%s", folder->path, place);
	folder->dirty[sub] = true;
	name_index_free(&folder->index); /* it may know the message by this name */
	return 0;
}
