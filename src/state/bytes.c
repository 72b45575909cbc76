#include "state/bytes.h"

#include <string.h>

uint8_t bytes_byte(struct bytes *in)
{
	if (in->bad || in->at == in->end) {
		in->bad = true;
		return 0;
	}
	return *in->at++;
}

uint64_t bytes_number(struct bytes *in, uint64_t max)
{
	uint64_t number = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = bytes_byte(in);
		uint64_t part = byte & 0x7fU;

		if (part << shift >> shift != part || (byte == 0 && shift > 0))
			break;
		number |= part << shift;
		if (byte < 0x80) {
			if (number > max)
				break;
			return in->bad ? 0 : number;
		}
	}
	in->bad = true;
	return 0;
}

int64_t bytes_signed(struct bytes *in)
{
	uint64_t number = bytes_number(in, UINT64_MAX);

	return (int64_t)(number >> 1 ^ (~(number & 1) + 1));
}

const char *bytes_string(struct bytes *in, size_t *len)
{
	uint64_t n = bytes_number(in, SIZE_MAX);
	const uint8_t *start = in->at;

	*len = 0;
	if (in->bad || n >= (uint64_t)(in->end - start) || start[n] != '\0' ||
	    memchr(start, '\0', (size_t)n) != NULL) {
		in->bad = true;
		return "";
	}
	*len = (size_t)n;
	in->at += *len + 1;
	return (const char *)start;
}

void bytes_string_into(struct bytes *in, char *out, size_t room)
{
	size_t len;
	const char *string = bytes_string(in, &len);

	if (len >= room) {
		in->bad = true;
		len = 0;
	}
	memcpy(out, string, len);
	out[len] = '\0';
}

struct hash bytes_hash(struct bytes *in)
{
	struct hash hash = {{0}};

	if (in->bad || (size_t)(in->end - in->at) < sizeof(hash.bytes)) {
		in->bad = true;
		return hash;
	}
	memcpy(hash.bytes, in->at, sizeof(hash.bytes));
	in->at += sizeof(hash.bytes);
	return hash;
}

bool bytes_ended(const struct bytes *in)
{
	return !in->bad && in->at == in->end;
}

void bytes_put_number(struct text *out, uint64_t number)
{
	uint8_t bytes[10];
	size_t n = 0;

	for (; number >= 0x80; number >>= 7)
		bytes[n++] = (uint8_t)(number | 0x80);
	bytes[n++] = (uint8_t)number;
	text_add(out, bytes, n);
}

void bytes_put_signed(struct text *out, int64_t number)
{
	uint64_t doubled = (uint64_t)number << 1;

	bytes_put_number(out, number < 0 ? ~doubled : doubled);
}

void bytes_put_string(struct text *out, const char *string, size_t len)
{
	bytes_put_number(out, len);
	text_add(out, string, len);
	bytes_put_byte(out, 0);
}

void bytes_put_hash(struct text *out, const struct hash *hash)
{
	text_add(out, hash->bytes, sizeof(hash->bytes));
}

void bytes_put_byte(struct text *out, unsigned byte)
{
	text_putc(out, (char)byte);
}
