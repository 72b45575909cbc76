/* Moving a message to another folder, and copying it where that folder is on another device.
 *
 * The copy is durable under its new name before the original goes, so that a crash leaves two
 * copies at worst. */
#include "maildir/maildir_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

#define TRIES 4
#define BUFFER (128 * 1024)

/* The directory and name that the file gets in its new folder. */
static int target_place(const struct place *from, const char *new_base, const char *letters,
			struct place *target, struct error *err)
{
	struct name_parts parts;
	char sorted[64];
	bool changed;

	if (new_base[0] == '\0' || new_base[0] == '.' || strchr(new_base, '/') != NULL ||
	    strstr(new_base, ":2,") != NULL || strlen(new_base) > NAME_MAX)
		return error_set(err, ERROR_LOCAL, "\"%.200s\" cannot be the name of a message",
				 new_base);
	filename_parse(from->name, &parts);
	target->sub = from->sub;
	if (letters == NULL) {
		if (strlen(new_base) + strlen(parts.info) > NAME_MAX)
			return error_set(err, ERROR_REFUSED, "%.80s...: file name too long",
					 new_base);
		memcpy(target->name, new_base, strlen(new_base) + 1);
		memcpy(target->name + strlen(new_base), parts.info, strlen(parts.info) + 1);
		return 0;
	}
	if (letters_merge("", 0, letters, NULL, sorted, &changed) != 0)
		return error_set(err, ERROR_LOCAL, "%.200s: flags that no file name can hold",
				 new_base);
	if (sorted[0] != '\0')
		target->sub = SUB_CUR;
	if (target->sub == SUB_NEW) {
		memcpy(target->name, new_base, strlen(new_base) + 1);
		return 0;
	}
	return filename_build(target->name, new_base, sorted, parts.tail, err);
}

static int copy_bytes(int from, int to)
{
	char *buffer = xmalloc(BUFFER);
	ssize_t n;
	int saved;

	while ((n = read(from, buffer, BUFFER)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || file_write_all(to, buffer, (size_t)n) != 0) {
			n = -1;
			break;
		}
	}
	saved = errno;
	free(buffer);
	errno = saved;
	return n < 0 ? -1 : 0;
}

static int copy_to_tmp(int source, const struct stat *st, int copy)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};

	if (copy_bytes(source, copy) != 0 || futimens(copy, times) != 0)
		return -1;
	return fsync(copy);
}

/* A reader that renamed the original meanwhile is right: then the copy goes. */
static int unlink_source(const struct maildir_folder *from, const struct place *place,
			 const struct maildir_folder *to, const struct place *target)
{
	int saved;

	if (unlinkat(from->sub[place->sub], place->name, 0) == 0)
		return 0;
	saved = errno;
	unlinkat(to->sub[target->sub], target->name, 0);
	errno = saved;
	return -1;
}

/* Leaves errno as move_name does. */
static int move_by_copy(struct maildir_folder *from, const struct place *place,
			struct maildir_folder *to, const struct place *target, struct error *err)
{
	int source, copy, result = -1, saved;
	char name[NAME_MAX + 1];
	struct stat st;

	source = openat(from->sub[place->sub], place->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (source < 0)
		return -1;
	copy = tmp_create(to, name, err);
	if (copy >= 0 && fstat(source, &st) == 0 && copy_to_tmp(source, &st, copy) == 0)
		result = move_name(to->sub[SUB_TMP], name, to->sub[target->sub], target->name);
	if (result == 0)
		result = fsync(to->sub[target->sub]);
	if (result == 0)
		result = unlink_source(from, place, to, target);
	saved = errno;
	if (copy >= 0) {
		close(copy);
		unlinkat(to->sub[SUB_TMP], name, 0);
	}
	close(source);
	errno = saved;
	return result;
}

static int move_file(struct maildir_folder *from, const struct place *place,
		     struct maildir_folder *to, const struct place *target, struct error *err)
{
	if (move_name(from->sub[place->sub], place->name, to->sub[target->sub], target->name) !=
		    0 &&
	    (errno != EXDEV || move_by_copy(from, place, to, target, err) != 0))
		return -1;
	from->dirty[place->sub] = true;
	return 0;
}

int maildir_move(struct maildir_folder *from, const char *base, struct maildir_folder *to,
		 const char *new_base, const char *letters, struct error *err)
{
	struct place place, target, taken;
	struct error absent = {0};

	if (locate(to, new_base, LOCATE_QUICKLY, &taken, &absent) == 0)
		return error_set(err, ERROR_CHANGED, "%s/%s: the name is taken", to->path,
				 taken.name);
	for (int i = 0; i < TRIES; i++) {
		if (locate(from, base, LOCATE_SURELY, &place, err) != 0 ||
		    target_place(&place, new_base, letters, &target, err) != 0)
			return -1;
		if (move_file(from, &place, to, &target, err) == 0) {
			folder_note(to, new_base, target.sub, target.name);
			return 0;
		}
		if (errno == EEXIST)
			return error_set(err, ERROR_CHANGED, "%s/%s: the name is taken", to->path,
					 target.name);
		if (errno != ENOENT)
			return error_errno(err, ERROR_LOCAL, "cannot move %s/%s to %s", from->path,
					   place.name, to->path);
	}
	return error_set(err, ERROR_CHANGED, "%s/%.200s: another program keeps renaming it",
			 from->path, base);
}
