/* Lines for programs. jansson refuses text that is not UTF-8, and names of files and folders may be
 * anything: each byte that is not UTF-8 becomes U+FFFD. Members stand in the order in which they
 * were put in. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/text.h"
#include "cmd/report.h"
#include "sync/words.h"

static json_t *repaired(const char *string)
{
	struct text text = {0};
	size_t left = strlen(string), len;
	json_t *json;

	while (left != 0) {
		len = utf8_sequence(string, left);
		if (len != 0)
			text_add(&text, string, len);
		else
			text_puts(&text, "\xef\xbf\xbd");
		len += len == 0;
		string += len;
		left -= len;
	}
	json = json_stringn(text_get(&text), text.len);
	text_release(&text);
	return json;
}

static void put_text(json_t *object, const char *name, const char *value)
{
	json_object_set_new(object, name, value != NULL ? repaired(value) : json_null());
}

static void put_number(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, json_integer((json_int_t)value));
}

static void put_time(json_t *object, const char *name, int64_t seconds)
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

static json_t *new_event(const char *event, const char *account)
{
	json_t *object = json_object();

	put_text(object, "event", event);
	put_text(object, "account", account);
	return object;
}

static char *finish(json_t *object)
{
	char *line = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(12));

	json_decref(object);
	if (line == NULL)
		abort(); /* no memory: nothing else is left that could fail */
	return line;
}

char *json_change(const char *account, const struct sync_change *change)
{
	json_t *object = new_event("change", account);

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
	json_t *object = new_event("problem", account);

	put_text(object, "folder", folder);
	put_text(object, "kind", problem_kind_name(kind));
	put_text(object, "message", message);
	return finish(object);
}

char *json_summary(const char *account, int status, const struct sync_summary *summary,
		   double seconds)
{
	json_t *object = new_event("summary", account);
	struct summary_number numbers[SUMMARY_NUMBERS];

	summary_numbers(summary, numbers);
	put_number(object, "exit", (uint64_t)status);
	for (size_t i = 0; i < SUMMARY_NUMBERS; i++)
		put_number(object, numbers[i].name, numbers[i].value);
	json_object_set_new(object, "seconds",
			    json_real((double)(int64_t)(seconds * 100 + 0.5) / 100));
	return finish(object);
}

static void put_counts(json_t *object, const struct status_counts *counts)
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
	json_t *object = new_event("folder", account);

	put_text(object, "folder", folder);
	put_counts(object, counts);
	return finish(object);
}

char *json_status_account(const char *account, const struct status_counts *counts, int64_t now,
			  int status)
{
	json_t *object = new_event("account", account);

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
	json_t *object = new_event("folder", account);

	put_text(object, "folder", line->name);
	put_text(object, "remote", line->remote);
	put_text(object, "local", line->local);
	put_text(object, "special", special_use_name(line->special));
	json_object_set_new(object, "chosen", json_boolean(line->chosen));
	put_text(object, "reason", line->reason);
	return finish(object);
}
