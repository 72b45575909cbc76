/* Reading and writing the parts that values are made of (value.h). Private to the floor. */
#ifndef MAILTWIN_STATE_BYTES_H
#define MAILTWIN_STATE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "core/fingerprint.h"

/* Reads forward; after the first thing that does not make sense all further reads give 0. */
struct bytes {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

uint64_t bytes_number(struct bytes *in, uint64_t max);
int64_t bytes_signed(struct bytes *in);
const char *bytes_string(struct bytes *in, size_t *len); /* in place; "" if bad */
void bytes_string_into(struct bytes *in, char *out, size_t room);
struct hash bytes_hash(struct bytes *in);
uint8_t bytes_byte(struct bytes *in);
bool bytes_ended(const struct bytes *in); /* all was read, and all of it was good */

void bytes_put_number(struct text *out, uint64_t number);
void bytes_put_signed(struct text *out, int64_t number);
void bytes_put_string(struct text *out, const char *string, size_t len);
void bytes_put_hash(struct text *out, const struct hash *hash);
void bytes_put_byte(struct text *out, unsigned byte);

#endif
