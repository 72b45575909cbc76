/* Modified UTF-7 (RFC 3501 section 5.1.3). A mailbox can be written in it in one way only;
 * servers let others through all the same, and two spellings of one name would be two
 * mailboxes that share a folder. So whatever was decoded is encoded again, and accepted only
 * if the same bytes come out. */
#include "core/names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/* ---- decoding ---- */

static bool is_printable(char c)
{
	return c >= 0x20 && c <= 0x7e;
}

static int base64_value(char c)
{
	const char *found = c != '\0' ? strchr(alphabet, c) : NULL;

	return found != NULL ? (int)(found - alphabet) : -1;
}

static void put_utf8(struct text *out, uint32_t code)
{
	if (code < 0x80) {
		text_putc(out, (char)code);
		return;
	}
	if (code < 0x800) {
		text_putc(out, (char)(0xc0 | code >> 6));
	} else {
		if (code < 0x10000) {
			text_putc(out, (char)(0xe0 | code >> 12));
		} else {
			text_putc(out, (char)(0xf0 | code >> 18));
			text_putc(out, (char)(0x80 | (code >> 12 & 0x3f)));
		}
		text_putc(out, (char)(0x80 | (code >> 6 & 0x3f)));
	}
	text_putc(out, (char)(0x80 | (code & 0x3f)));
}

/* *high is the first half of a surrogate pair, 0 if none waits for its second. */
static bool put_unit(struct text *out, uint32_t *high, uint32_t unit)
{
	bool second = unit >= 0xdc00 && unit <= 0xdfff;

	if (unit == 0 || second != (*high != 0))
		return false;
	if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
		return true;
	}
	if (second)
		unit = 0x10000 + ((*high - 0xd800) << 10 | (unit - 0xdc00));
	*high = 0;
	put_utf8(out, unit);
	return true;
}

/* From after '&' to after '-'; NULL if it is not valid. */
static const char *decode_base64(const char *at, struct text *out)
{
	uint32_t bits = 0, high = 0;
	unsigned n = 0;
	int value;

	for (; *at != '-'; at++) {
		value = base64_value(*at);
		if (value < 0)
			return NULL;
		bits = bits << 6 | (uint32_t)value;
		n += 6;
		if (n < 16)
			continue;
		n -= 16;
		if (!put_unit(out, &high, bits >> n & 0xffff))
			return NULL;
	}
	return high == 0 ? at + 1 : NULL;
}

static bool decode(const char *at, struct text *out)
{
	while (at != NULL && *at != '\0') {
		if (at[0] == '&' && at[1] == '-') {
			text_putc(out, '&');
			at += 2;
		} else if (*at == '&') {
			at = decode_base64(at + 1, out);
		} else if (is_printable(*at)) {
			text_putc(out, *at++);
		} else {
			return false;
		}
	}
	return at != NULL;
}

char *utf7_decode(const char *wire)
{
	struct text out = {0};
	char *again;
	bool valid;

	if (!decode(wire, &out)) {
		text_release(&out);
		return NULL;
	}
	again = utf7_encode(text_get(&out));
	valid = strcmp(again, wire) == 0;
	free(again);
	if (!valid)
		text_release(&out);
	return valid ? text_steal(&out) : NULL;
}

/* ---- encoding ---- */

struct encoder {
	struct text out;
	uint32_t bits;
	unsigned n; /* bits not yet written, less than 6 between units */
	bool open;  /* within base64 */
};

static void encode_unit(struct encoder *encoder, uint32_t unit)
{
	if (!encoder->open)
		text_putc(&encoder->out, '&');
	encoder->open = true;
	encoder->bits = encoder->bits << 16 | unit;
	encoder->n += 16;
	while (encoder->n >= 6) {
		encoder->n -= 6;
		text_putc(&encoder->out, alphabet[encoder->bits >> encoder->n & 0x3f]);
	}
}

static void encode_close(struct encoder *encoder)
{
	if (encoder->n != 0)
		text_putc(&encoder->out, alphabet[encoder->bits << (6 - encoder->n) & 0x3f]);
	if (encoder->open)
		text_putc(&encoder->out, '-');
	encoder->open = false;
	encoder->n = 0;
}

static uint32_t code_point(const char *p, size_t len)
{
	uint32_t code = (unsigned char)*p;

	if (len > 1)
		code &= 0x7fU >> len;
	for (size_t i = 1; i < len; i++)
		code = code << 6 | ((unsigned char)p[i] & 0x3f);
	return code;
}

char *utf7_encode(const char *utf8)
{
	struct encoder encoder = {0};
	size_t left = strlen(utf8), len;
	uint32_t code;

	for (; left != 0; utf8 += len, left -= len) {
		len = utf8_sequence(utf8, left);
		if (len == 0 || is_printable(*utf8)) {
			encode_close(&encoder);
			text_putc(&encoder.out, *utf8);
			if (*utf8 == '&')
				text_putc(&encoder.out, '-');
			len = 1;
			continue;
		}
		code = code_point(utf8, len);
		if (code >= 0x10000) {
			encode_unit(&encoder, 0xd800 | (code - 0x10000) >> 10);
			encode_unit(&encoder, 0xdc00 | (code & 0x3ff));
		} else {
			encode_unit(&encoder, code);
		}
	}
	encode_close(&encoder);
	return text_steal(&encoder.out);
}
