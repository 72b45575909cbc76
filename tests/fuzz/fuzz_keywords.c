/* The file dovecot-keywords: what is read from any bytes, written again, reads the same. */
#include "maildir/maildir_private.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keywords_file file, again;
	struct text text = {0};

	keywords_parse((const char *)data, size, &file);
	for (size_t i = 0; i < LETTER_COUNT; i++) {
		if (file.names[i] == NULL)
			continue;
		require(file.names[i][0] != '\0' && strpbrk(file.names[i], "\r\n ") == NULL);
		text_printf(&text, "%zu %s\n", i, file.names[i]);
	}
	keywords_parse(text_get(&text), text.len, &again);
	require(!again.torn);
	for (size_t i = 0; i < LETTER_COUNT; i++) {
		require((file.names[i] == NULL) == (again.names[i] == NULL));
		require(file.names[i] == NULL || strcmp(file.names[i], again.names[i]) == 0);
	}
	keywords_file_release(&again);
	keywords_file_release(&file);
	text_release(&text);
	return 0;
}
