#include "core/index.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

struct index_entry {
	uint64_t key;
	uint32_t value;
	uint32_t next;
};

void index_release(struct index *index)
{
	free(index->entries);
	free(index->heads);
	memset(index, 0, sizeof(*index));
}

void index_add(struct index *index, uint64_t key, uint32_t value)
{
	index->entries = grow(index->entries, index->n, &index->room, sizeof(*index->entries));
	index->entries[index->n++] =
		(struct index_entry){.key = key, .value = value, .next = INDEX_END};
}

void index_build(struct index *index)
{
	index->n_heads = 16;
	while (index->n_heads < index->n)
		index->n_heads *= 2;
	index->heads = xreallocarray(index->heads, index->n_heads, sizeof(*index->heads));
	memset(index->heads, 0xff, index->n_heads * sizeof(*index->heads));
	for (size_t i = index->n; i-- > 0;) { /* backwards, so that chains run forwards */
		uint32_t *head = &index->heads[index->entries[i].key & (index->n_heads - 1)];

		index->entries[i].next = *head;
		*head = (uint32_t)i;
	}
}

static uint32_t same_key(const struct index *index, uint32_t entry, uint64_t key)
{
	while (entry != INDEX_END && index->entries[entry].key != key)
		entry = index->entries[entry].next;
	return entry;
}

uint32_t index_first(const struct index *index, uint64_t key)
{
	if (index->heads == NULL)
		return INDEX_END;
	return same_key(index, index->heads[key & (index->n_heads - 1)], key);
}

uint32_t index_next(const struct index *index, uint32_t entry)
{
	return same_key(index, index->entries[entry].next, index->entries[entry].key);
}

uint32_t index_value(const struct index *index, uint32_t entry)
{
	return index->entries[entry].value;
}

uint64_t index_key_number(uint64_t number)
{
	number ^= number >> 31;
	number *= UINT64_C(0x9e3779b97f4a7c15);
	return number ^ number >> 29;
}

/* Eight bytes at a step; base names differ mostly in digits, so each step mixes well. */
uint64_t index_key_bytes(const char *data, size_t len)
{
	uint64_t key = 0x9e3779b97f4a7c15ULL ^ len, word;

	for (; len >= 8; data += 8, len -= 8) {
		memcpy(&word, data, 8);
		key = (key ^ word) * 0xff51afd7ed558ccdULL;
		key ^= key >> 32;
	}
	word = 0;
	memcpy(&word, data, len);
	key = (key ^ word) * 0xc4ceb9fe1a85ec53ULL;
	return key ^ (key >> 29);
}

uint64_t index_key_string(const char *string)
{
	return index_key_bytes(string, strlen(string));
}

uint64_t index_key_hash(const struct hash *hash)
{
	uint64_t key;

	memcpy(&key, hash->bytes, sizeof(key));
	return key;
}
