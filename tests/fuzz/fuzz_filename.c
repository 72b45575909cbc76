/* File names of messages: whatever a name is made of, its parts put together again are the
 * name, and what letters_merge and filename_build make of it is read back as the same message. */
#include "maildir/maildir_private.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void change(const char *name, const struct name_parts *parts)
{
	char letters[64], again[64], built[NAME_MAX + 1], *base;
	struct name_parts read_back;
	bool changed;

	if (letters_merge(parts->letters, parts->letters_len, "RSa", "FTz", letters, &changed) != 0)
		return;
	require(strpbrk(letters, "FTz") == NULL && strchr(letters, 'S') != NULL);
	for (size_t i = 1; letters[0] != '\0' && letters[i] != '\0'; i++)
		require((unsigned char)letters[i - 1] < (unsigned char)letters[i]);
	base = xstrndup(name, parts->base_len);
	if (filename_build(built, base, letters, parts->tail, NULL) == 0) {
		require(filename_parse(built, &read_back) == filename_parse(name, &read_back) ||
			!parts->has_info);
		filename_parse(built, &read_back);
		require(read_back.has_info && read_back.base_len == parts->base_len);
		require(memcmp(built, name, parts->base_len) == 0);
		require(strcmp(read_back.tail, parts->tail) == 0);
		require(read_back.letters_len == strlen(letters));
		require(letters_merge(read_back.letters, read_back.letters_len, "RSa", "FTz", again,
				      &changed) == 0);
		require(!changed && strcmp(again, letters) == 0);
	}
	free(base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *name = xstrndup((const char *)data, size);
	struct name_parts parts;
	enum name_kind kind = filename_parse(name, &parts);

	require(parts.base_len <= strlen(name));
	require(parts.info == name + parts.base_len);
	require(parts.letters + parts.letters_len == parts.tail);
	require(parts.tail <= name + strlen(name));
	if (kind == NAME_MESSAGE)
		change(name, &parts);
	free(name);
	return 0;
}
