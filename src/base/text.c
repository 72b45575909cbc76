#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void text_release(struct text *text)
{
	free(text->data);
	memset(text, 0, sizeof(*text));
}

void text_clear(struct text *text)
{
	text->len = 0;
	if (text->data != NULL)
		text->data[0] = '\0';
}

static void reserve(struct text *text, size_t more)
{
	size_t room = text->room != 0 ? text->room : 64;

	if (text->len + more + 1 <= text->room)
		return;
	while (room < text->len + more + 1)
		room += room / 2;
	text->data = xreallocarray(text->data, room, 1);
	text->room = room;
}

void text_add(struct text *text, const void *data, size_t len)
{
	reserve(text, len);
	if (len != 0)
		memcpy(text->data + text->len, data, len);
	text->len += len;
	text->data[text->len] = '\0';
}

void text_puts(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

void text_putc(struct text *text, char c)
{
	text_add(text, &c, 1);
}

void text_printf(struct text *text, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0)
		return;
	reserve(text, (size_t)len);
	va_start(args, fmt);
	vsnprintf(text->data + text->len, (size_t)len + 1, fmt, args);
	va_end(args);
	text->len += (size_t)len;
}

const char *text_get(const struct text *text)
{
	return text->data != NULL ? text->data : "";
}

char *text_steal(struct text *text)
{
	char *data = text->data != NULL ? text->data : xstrdup("");

	memset(text, 0, sizeof(*text));
	return data;
}

void text_put_visible(struct text *text, const char *string)
{
	size_t left = strlen(string), len;

	while (left != 0) {
		unsigned char c = (unsigned char)*string;

		len = utf8_sequence(string, left);
		if (len == 0 || c < 0x20 || c == 0x7f ||
		    (len == 2 && c == 0xc2 && (unsigned char)string[1] < 0xa0)) {
			text_printf(text, "\\x%02X", c);
			len = 1;
		} else {
			text_add(text, string, len);
		}
		string += len;
		left -= len;
	}
}

char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

char ascii_upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
}

bool ascii_is_alpha(char c)
{
	c = ascii_lower(c);
	return c >= 'a' && c <= 'z';
}

bool ascii_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool ascii_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int ascii_ncasecmp(const char *a, const char *b, size_t len)
{
	for (; len != 0; a++, b++, len--) {
		unsigned char x = (unsigned char)ascii_lower(*a);
		unsigned char y = (unsigned char)ascii_lower(*b);

		if (x != y)
			return x < y ? -1 : 1;
		if (x == '\0')
			return 0;
	}
	return 0;
}

int ascii_casecmp(const char *a, const char *b)
{
	return ascii_ncasecmp(a, b, (size_t)-1);
}

bool ascii_case_equal(const char *a, const char *b)
{
	return ascii_casecmp(a, b) == 0;
}

void copy_text(char *out, size_t size, const char *string)
{
	size_t len = strlen(string);

	if (len >= size) {
		len = size - 1;
		while (len > 0 && ((unsigned char)string[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(out, string, len);
	out[len] = '\0';
}

bool starts_with(const char *string, const char *prefix)
{
	return strncmp(string, prefix, strlen(prefix)) == 0;
}

static size_t sequence_length(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return 2;
	if (c >= 0xe0 && c <= 0xef)
		return 3;
	return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

size_t utf8_sequence(const char *p, size_t len)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t need, i;

	if (len == 0)
		return 0;
	need = sequence_length(u[0]);
	if (need == 0 || need > len)
		return 0;
	for (i = 1; i < need; i++) {
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f))
		return 0; /* overlong; surrogates */
	if ((u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
		return 0; /* overlong; beyond U+10FFFF */
	return need;
}

bool utf8_valid(const char *p, size_t len)
{
	while (len != 0) {
		size_t n = utf8_sequence(p, len);

		if (n == 0)
			return false;
		p += n;
		len -= n;
	}
	return true;
}

bool parse_number(const char *string, uint64_t max, uint64_t *value)
{
	uint64_t n = 0;

	if (*string == '\0')
		return false;
	for (; *string != '\0'; string++) {
		uint64_t digit = (uint64_t)(*string - '0');

		if (!ascii_is_digit(*string) || n > (max - digit) / 10 || digit > max)
			return false;
		n = n * 10 + digit;
	}
	*value = n;
	return true;
}
