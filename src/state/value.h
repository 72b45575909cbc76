/* The values of the base as bytes. Private to the floor, and to its fuzz target.
 *
 * Every value begins with a byte that gives the version of its form. Numbers are variable
 * length (seven bits a byte, the lowest first), strings have their length in front and a NUL
 * behind, which is not counted: a base name can then be used where it lies in the map.
 * Sets of keywords are lists of the account's keyword ids, because the numbers of sets are
 * only valid in one pool in memory.
 *
 * What is decoded comes from a file that may be damaged: nothing read is trusted, and all
 * value_get functions return false for bytes that value_put would not have written. */
#ifndef MAILTWIN_STATE_VALUE_H
#define MAILTWIN_STATE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/text.h"
#include "core/record.h"
#include "state/state.h"

#define VALUE_VERSION 1

/* Translates between sets and lists of ids. Most neighbours have the same set, so the last
 * one decoded is remembered. */
struct keyword_codec {
	struct keyword_pool *pool; /* borrowed */
	uint8_t last[32];          /* a list as it is stored */
	size_t last_len;           /* 0: none yet */
	uint32_t last_set;
};

/* The uid is the key's, not the value's; so are folder and base of an attempt. */
void value_put_record(struct text *out, struct keyword_codec *codec, const struct record *record);
/* base points into data. */
bool value_get_record(struct keyword_codec *codec, const void *data, size_t len,
		      struct record *record);

void value_put_attempt(struct text *out, struct keyword_codec *codec,
		       const struct attempt *attempt);
bool value_get_attempt(struct keyword_codec *codec, const void *data, size_t len,
		       struct attempt *attempt);

/* The id is the key's. Strings are copied into the arena. */
void value_put_folder(struct text *out, const struct folder_record *folder);
bool value_get_folder(struct arena *arena, const void *data, size_t len,
		      struct folder_record *folder);

void value_put_meta(struct text *out, const struct state_meta *meta);
bool value_get_meta(const void *data, size_t len, struct state_meta *meta);

/* A lone number: the UID in `files`, the next folder id. */
void value_put_number(struct text *out, uint32_t number);
bool value_get_number(const void *data, size_t len, uint32_t *number);

/* A keyword's name; it points into data. */
void value_put_name(struct text *out, const char *name);
bool value_get_name(const void *data, size_t len, const char **name);

#endif
