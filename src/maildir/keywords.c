/* The file dovecot-keywords: which keyword each of the letters a to z stands for.
 *
 * Dovecot reads it in the same folder, so we take its lock (dotlock.c) and replace the file as a
 * whole. A line that makes no sense is not guessed at: the
 * file is called torn, and the caller then draws no conclusion from letters. A last line
 * without its line end is one of these, for the name in it may be cut short. */
#include "maildir/maildir_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text.h"

#define FILE_NAME "dovecot-keywords"
#define FILE_MAX ((size_t)1024 * 1024)

static bool is_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)name[i];

		if (c <= 0x20 || c == 0x7f)
			return false;
	}
	return len != 0;
}

/* "<index> <name>"; false if it makes no sense. */
static bool take_line(const char *line, size_t len, struct keywords_file *file)
{
	const char *space = memchr(line, ' ', len);
	size_t index = 0, digits;

	if (space == NULL)
		return false;
	digits = (size_t)(space - line);
	if (digits == 0 || digits > 6 || !is_name(space + 1, len - digits - 1))
		return false;
	for (size_t i = 0; i < digits; i++) {
		if (!ascii_is_digit(line[i]))
			return false;
		index = index * 10 + (size_t)(line[i] - '0');
	}
	if (index >= LETTER_COUNT)
		return true; /* Dovecot keeps these in its index alone */
	if (file->names[index] != NULL)
		return false;
	file->names[index] = xstrndup(space + 1, len - digits - 1);
	return true;
}

void keywords_parse(const char *data, size_t len, struct keywords_file *file)
{
	memset(file, 0, sizeof(*file));
	while (len != 0) {
		const char *end = memchr(data, '\n', len);
		size_t line = end != NULL ? (size_t)(end - data) : len;

		if (end == NULL || !take_line(data, line, file))
			file->torn = true;
		if (end == NULL)
			return;
		data += line + 1;
		len -= line + 1;
	}
}

void keywords_file_release(struct keywords_file *file)
{
	for (size_t i = 0; i < LETTER_COUNT; i++)
		free(file->names[i]);
	memset(file, 0, sizeof(*file));
}

int keywords_file_read(struct maildir_folder *folder, struct keywords_file *file, struct error *err)
{
	char *data;
	size_t len;

	memset(file, 0, sizeof(*file));
	if (file_read_small(folder->fd, FILE_NAME, FILE_MAX, &data, &len) != 0) {
		if (errno == ENOENT)
			return 0;
		return error_errno(err, folder_trouble(errno), "cannot read %s/" FILE_NAME,
				   folder->path);
	}
	keywords_parse(data, len, file);
	free(data);
	return 0;
}

static int write_locked(struct maildir_folder *folder, const struct text *text, struct error *err)
{
	char *old = NULL;
	size_t len = 0;
	bool same;

	/* What is as it should be is not touched; nor is an empty file made. */
	if (file_read_small(folder->fd, FILE_NAME, FILE_MAX, &old, &len) != 0)
		same = errno == ENOENT && text->len == 0;
	else
		same = len == text->len && memcmp(old, text_get(text), len) == 0;
	free(old);
	if (same)
		return 0;
	return file_replace(folder->fd, FILE_NAME, text_get(text), text->len, err);
}

int keywords_file_write(struct maildir_folder *folder, const struct keywords_file *file,
			struct error *err)
{
	struct text text = {0};
	int result = 0;

	for (size_t i = 0; i < LETTER_COUNT && result == 0; i++) {
		const char *name = file->names[i];

		if (name != NULL && !is_name(name, strlen(name)))
			result = error_set(err, ERROR_LOCAL,
					   "a keyword of %s cannot stand in " FILE_NAME,
					   folder->path);
		else if (name != NULL)
			text_printf(&text, "%zu %s\n", i, name);
	}
	if (result == 0)
		result = dotlock_take(folder, err);
	if (result == 0) {
		result = write_locked(folder, &text, err);
		dotlock_release(folder);
		if (result != 0)
			error_wrap(err, "%s", folder->path);
	}
	text_release(&text);
	return result;
}
