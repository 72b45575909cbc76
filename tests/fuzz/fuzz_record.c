/* Values of the base from arbitrary bytes: nothing crashes or reads past the end, and what was
 * accepted is written again as the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "state/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fixture {
	struct keyword_codec codec;
	struct arena *arena;
	struct text again;
};

static void fuzz_record(struct fixture *fixture, const uint8_t *value, size_t len)
{
	struct record record;

	if (value_get_record(&fixture->codec, value, len, &record))
		value_put_record(&fixture->again, &fixture->codec, &record);
}

static void fuzz_attempt(struct fixture *fixture, const uint8_t *value, size_t len)
{
	struct attempt attempt;

	if (value_get_attempt(&fixture->codec, value, len, &attempt))
		value_put_attempt(&fixture->again, &fixture->codec, &attempt);
}

static void fuzz_folder(struct fixture *fixture, const uint8_t *value, size_t len)
{
	struct folder_record folder;

	if (value_get_folder(fixture->arena, value, len, &folder))
		value_put_folder(&fixture->again, &folder);
}

static void fuzz_meta(struct fixture *fixture, const uint8_t *value, size_t len)
{
	struct state_meta meta;

	if (value_get_meta(value, len, &meta))
		value_put_meta(&fixture->again, &meta);
}

static void fuzz_small(struct fixture *fixture, const uint8_t *value, size_t len)
{
	const char *name;
	uint32_t number;

	if (value_get_number(value, len, &number))
		value_put_number(&fixture->again, number);
	else if (value_get_name(value, len, &name))
		value_put_name(&fixture->again, name);
}

/* The first byte chooses the kind of value. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const kinds[])(struct fixture *, const uint8_t *, size_t) = {
		fuzz_record, fuzz_attempt, fuzz_folder, fuzz_meta, fuzz_small,
	};
	static const char *const words[] = {"$Junk", "work", "later", "todo"};
	struct fixture fixture = {.arena = arena_new()};
	uint8_t *value;

	if (size < 1)
		return arena_free(&fixture.arena), 0;
	/* Of exactly this size, so that the sanitizer sees what is read behind it. */
	value = xmalloc(size - 1);
	memcpy(value, data + 1, size - 1);
	fixture.codec.pool = keyword_pool_new();
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		keyword_id(fixture.codec.pool, words[i], strlen(words[i]));
	kinds[data[0] % ARRAY_SIZE(kinds)](&fixture, value, size - 1);
	if (fixture.again.len > 0 &&
	    (fixture.again.len != size - 1 || memcmp(fixture.again.data, value, size - 1) != 0))
		abort();
	keyword_pool_free(&fixture.codec.pool);
	arena_free(&fixture.arena);
	text_release(&fixture.again);
	free(value);
	return 0;
}
