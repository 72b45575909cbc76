/* A multimap from 64-bit keys to numbers, for matching: many entries may share a key, and the
 * caller compares what the key was made of. */
#ifndef MAILTWIN_CORE_INDEX_H
#define MAILTWIN_CORE_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "core/fingerprint.h"

#define INDEX_END UINT32_MAX

struct index {
	struct index_entry *entries;
	size_t n;
	size_t room;
	uint32_t *heads; /* a power of two of them; NULL until index_build */
	size_t n_heads;
};

void index_release(struct index *index);
void index_add(struct index *index, uint64_t key, uint32_t value);
/* After the last index_add, before the first look-up. */
void index_build(struct index *index);
/* The first entry with the key, in the order they were added; INDEX_END if there is none. */
uint32_t index_first(const struct index *index, uint64_t key);
uint32_t index_next(const struct index *index, uint32_t entry); /* the next with the same key */
uint32_t index_value(const struct index *index, uint32_t entry);

uint64_t index_key_bytes(const char *data, size_t len);
uint64_t index_key_string(const char *string); /* of the bytes before the NUL */
uint64_t index_key_hash(const struct hash *hash);
uint64_t index_key_number(uint64_t number);

#endif
