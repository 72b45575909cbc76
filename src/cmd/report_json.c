/* Lines for programs. Names of files and folders may be anything, and JSON is UTF-8: each byte that is not
 * becomes U+FFFD. Members stand in the order in which they were put in. Written by hand: a pull tells a
 * line for each message, and building a tree for it took a fifth of all instructions. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/text.h"
#include "cmd/report.h"
#include "sync/words.h"

/* How many octets from here on stand for themselves. */
static size_t plain_run(const char *string)
{
	size_t n = 0;

	while (string[n] >= ' ' && string[n] <= '~' && string[n] != '"' && string[n] != '\\')
		n++;
	return n;
}

/* The character at string, of which left octets are left; how many it takes. */
static size_t put_character(struct text *out, const char *string, size_t left)
{
	static const char letters[] = "\"\\\b\f\n\r\t", escapes[] = "\"\\bfnrt";
	const char *letter = strchr(letters, *string);
	size_t len = utf8_sequence(string, left);

	if (letter != NULL)
		text_printf(out, "\\%c", escapes[letter - letters]);
	else if ((unsigned char)*string < ' ')
		text_printf(out, "\\u%04X", (unsigned)(unsigned char)*string);
	else if (len == 0)
		text_puts(out, "\xef\xbf\xbd");
	else
		text_add(out, string, len);
	return len + (len == 0);
}

static void put_string(struct text *out, const char *string)
{
	size_t left = strlen(string), len;

	text_putc(out, '"');
	while (left != 0) {
		len = plain_run(string);
		if (len != 0)
			text_add(out, string, len);
		else
			len = put_character(out, string, left);
		string += len;
		left -= len;
	}
	text_putc(out, '"');
}

static void put_name(struct text *object, const char *name)
{
	text_putc(object, object->len == 0 ? '{' : ',');
	put_string(object, name);
	text_putc(object, ':');
}

static void put_word(struct text *object, const char *name, const char *word)
{
	put_name(object, name);
	text_puts(object, word);
}

static void put_text(struct text *object, const char *name, const char *value)
{
	put_name(object, name);
	if (value != NULL)
		put_string(object, value);
	else
		text_puts(object, "null");
}

static void put_number(struct text *object, const char *name, uint64_t value)
{
	put_name(object, name);
	text_printf(object, "%" PRIu64, value);
}

/* To the hundredth, without a locale's comma. */
static void put_seconds(struct text *object, const char *name, double seconds)
{
	uint64_t hundredths = seconds > 0 ? (uint64_t)(seconds * 100 + 0.5) : 0;

	put_name(object, name);
	text_printf(object, "%" PRIu64 ".%" PRIu64, hundredths / 100, hundredths / 10 % 10);
	if (hundredths % 10 != 0)
		text_printf(object, "%" PRIu64, hundredths % 10);
}

static void put_time(struct text *object, const char *name, int64_t seconds)
{
	time_t time = (time_t)seconds;
	char text[40];
	struct tm tm;

	if (seconds <= 0 || gmtime_r(&time, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		put_text(object, name, NULL);
	else
		put_text(object, name, text);
}

static struct text *new_event(const char *event, const char *account)
{
	struct text *object = xcalloc(1, sizeof(*object));

	put_text(object, "event", event);
	put_text(object, "account", account);
	return object;
}

static char *finish(struct text *object)
{
	char *line;

	text_putc(object, '}');
	line = text_steal(object);
	free(object);
	return line;
}

char *json_change(const char *account, const struct sync_change *change)
{
	struct text *object = new_event("change", account);

	put_text(object, "folder", change->folder);
	put_text(object, "verb", change_verb_name(change->verb));
	if (change->uid != 0)
		put_number(object, "uid", change->uid);
	else
		put_text(object, "uid", NULL);
	put_text(object, "file", change->file);
	put_text(object, "to", change->to);
	return finish(object);
}

char *json_problem(const char *account, enum problem_kind kind, const char *folder,
		   const char *message)
{
	struct text *object = new_event("problem", account);

	put_text(object, "folder", folder);
	put_text(object, "kind", problem_kind_name(kind));
	put_text(object, "message", message);
	return finish(object);
}

char *json_summary(const char *account, int status, const struct sync_summary *summary,
		   double seconds)
{
	struct text *object = new_event("summary", account);
	struct summary_number numbers[SUMMARY_NUMBERS];

	summary_numbers(summary, numbers);
	put_number(object, "exit", (uint64_t)status);
	for (size_t i = 0; i < SUMMARY_NUMBERS; i++)
		put_number(object, numbers[i].name, numbers[i].value);
	put_seconds(object, "seconds", seconds);
	return finish(object);
}

static void put_counts(struct text *object, const struct status_counts *counts)
{
	put_number(object, "messages", counts->messages);
	put_number(object, "unread", counts->unread);
	put_number(object, "held", counts->held);
	put_number(object, "parked", counts->parked);
	put_number(object, "skipped", counts->skipped);
	put_time(object, "last_sync", counts->last_sync);
}

char *json_status_folder(const char *account, const char *folder,
			 const struct status_counts *counts)
{
	struct text *object = new_event("folder", account);

	put_text(object, "folder", folder);
	put_counts(object, counts);
	return finish(object);
}

char *json_status_account(const char *account, const struct status_counts *counts, int64_t now,
			  int status)
{
	struct text *object = new_event("account", account);

	put_number(object, "folders", counts->folders);
	put_counts(object, counts);
	if (counts->last_sync > 0)
		put_number(object, "age",
			   now > counts->last_sync ? (uint64_t)(now - counts->last_sync) : 0);
	else
		put_text(object, "age", NULL);
	put_number(object, "exit", (uint64_t)status);
	return finish(object);
}

char *json_folder(const char *account, const struct folder_line *line)
{
	struct text *object = new_event("folder", account);

	put_text(object, "folder", line->name);
	put_text(object, "remote", line->remote);
	put_text(object, "local", line->local);
	put_text(object, "special", special_use_name(line->special));
	put_word(object, "chosen", line->chosen ? "true" : "false");
	put_text(object, "reason", line->reason);
	return finish(object);
}
