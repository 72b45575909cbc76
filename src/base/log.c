#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/text.h"

static enum log_level current_level = LOG_NORMAL;
static const char *current_prefix;

void log_set_level(enum log_level level)
{
	current_level = level;
}

enum log_level log_get_level(void)
{
	return current_level;
}

void log_set_prefix(const char *prefix)
{
	current_prefix = prefix;
}

/* One write for a line, so that lines of several threads and processes do not mix. */
__attribute__((format(printf, 1, 0))) static void put(const char *fmt, va_list args)
{
	struct text line = {0};
	char *raw;

	if (vasprintf(&raw, fmt, args) < 0)
		return;
	if (current_prefix != NULL)
		text_printf(&line, "%s: ", current_prefix);
	text_put_visible(&line, raw);
	text_putc(&line, '\n');
	fwrite(text_get(&line), 1, line.len, stderr);
	text_release(&line);
	free(raw);
}

void log_verbose(const char *fmt, ...)
{
	va_list args;

	if (current_level < LOG_VERBOSE)
		return;
	va_start(args, fmt);
	put(fmt, args);
	va_end(args);
}

void log_protocol(const char *fmt, ...)
{
	va_list args;

	if (current_level < LOG_PROTOCOL)
		return;
	va_start(args, fmt);
	put(fmt, args);
	va_end(args);
}
