#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void error_clear(struct error *err)
{
	if (err != NULL) {
		err->kind = ERROR_NONE;
		err->text[0] = '\0';
	}
}

int error_set(struct error *err, enum error_kind kind, const char *fmt, ...)
{
	va_list args;

	if (err == NULL)
		return -1;
	err->kind = kind;
	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return -1;
}

int error_errno(struct error *err, enum error_kind kind, const char *fmt, ...)
{
	int saved = errno;
	size_t len;
	va_list args;

	if (err == NULL)
		return -1;
	err->kind = kind;
	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", strerror(saved));
	return -1;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list args;
	size_t len, rest;

	if (err == NULL)
		return -1;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	len = strlen(text);
	if (len + 3 > sizeof(text))
		return -1;
	memcpy(text + len, ": ", 2);
	rest = sizeof(text) - len - 3;
	memcpy(text + len + 2, err->text, rest);
	text[sizeof(text) - 1] = '\0';
	memcpy(err->text, text, sizeof(text));
	return -1;
}
