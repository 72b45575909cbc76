/* Lines for people. Whatever came from outside is made visible: a mailbox name must not be able to
 * move the cursor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cmd/report.h"
#include "sync/words.h"

void summary_numbers(const struct sync_summary *summary,
		     struct summary_number numbers[SUMMARY_NUMBERS])
{
	static const char *const changes[CHANGE_COUNT] = {
		[CHANGE_DOWNLOAD] = "downloaded",
		[CHANGE_UPLOAD] = "uploaded",
		[CHANGE_MOVE_LOCAL] = "moved_local",
		[CHANGE_MOVE_REMOTE] = "moved_remote",
		[CHANGE_COPY_REMOTE] = "copied_remote",
		[CHANGE_FLAGS_LOCAL] = "flags_local",
		[CHANGE_FLAGS_REMOTE] = "flags_remote",
		[CHANGE_DELETE_LOCAL] = "deleted_local",
		[CHANGE_DELETE_REMOTE] = "deleted_remote",
		[CHANGE_FOLDER_CREATE_LOCAL] = "folders_created_local",
		[CHANGE_FOLDER_CREATE_REMOTE] = "folders_created_remote",
		[CHANGE_FOLDER_DELETE_LOCAL] = "folders_deleted_local",
		[CHANGE_FOLDER_DELETE_REMOTE] = "folders_deleted_remote",
		[CHANGE_FOLDER_RENAME_LOCAL] = "folders_renamed_local",
		[CHANGE_FOLDER_RENAME_REMOTE] = "folders_renamed_remote",
	};
	size_t n = 0;

	numbers[n++] = (struct summary_number){"folders", summary->folders};
	numbers[n++] = (struct summary_number){"messages", summary->messages};
	for (int verb = 0; verb < CHANGE_COUNT; verb++)
		numbers[n++] = (struct summary_number){changes[verb], summary->changes[verb]};
	numbers[n++] = (struct summary_number){"held", summary->held};
	numbers[n++] = (struct summary_number){"refused", summary->refused};
	numbers[n++] = (struct summary_number){"skipped", summary->skipped};
	numbers[n++] = (struct summary_number){"bytes_in", summary->bytes_in};
	numbers[n++] = (struct summary_number){"bytes_out", summary->bytes_out};
	numbers[n++] = (struct summary_number){"round_trips", summary->round_trips};
}

bool summary_has_changes(const struct sync_summary *summary)
{
	for (int verb = 0; verb < CHANGE_COUNT; verb++) {
		if (summary->changes[verb] != 0)
			return true;
	}
	return false;
}

char *human_number(uint64_t value)
{
	char digits[24];
	struct text text = {0};
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);

	for (size_t i = 0; i < len; i++) {
		if (i != 0 && (len - i) % 3 == 0)
			text_putc(&text, ',');
		text_putc(&text, digits[i]);
	}
	return text_steal(&text);
}

char *human_size(uint64_t octets)
{
	static const char *const units[] = {"kB", "MB", "GB", "TB"};
	double size = (double)octets / 1000;
	size_t unit = 0;

	if (octets < 1000)
		return xasprintf("%llu B", (unsigned long long)octets);
	for (; size >= 999.95 && unit + 1 < ARRAY_SIZE(units); unit++)
		size /= 1000;
	return xasprintf(size < 99.95 ? "%.1f %s" : "%.0f %s", size, units[unit]);
}

char *human_age(int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} units[] = {{365 * 86400, "year"}, {30 * 86400, "month"}, {7 * 86400, "week"},
		     {86400, "day"},        {3600, "hour"},        {60, "minute"}};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		long long n = (long long)(seconds / units[i].seconds);

		if (n > 0)
			return xasprintf("%lld %s%s ago", n, units[i].name, n == 1 ? "" : "s");
	}
	return xstrdup("just now");
}

char *human_change(const char *account, const struct sync_change *change)
{
	struct text text = {0};

	if (account != NULL)
		text_printf(&text, "%s: ", account);
	if (change->folder != NULL) {
		text_put_visible(&text, change->folder);
		text_puts(&text, ": ");
	}
	text_puts(&text, change_verb_name(change->verb));
	if (change->uid != 0)
		text_printf(&text, " uid %u", change->uid);
	if (change->file != NULL) {
		text_putc(&text, ' ');
		text_put_visible(&text, change->file);
	}
	if (change->to != NULL) {
		text_puts(&text, " to ");
		text_put_visible(&text, change->to);
	}
	return text_steal(&text);
}

char *human_problem(const char *account, const char *folder, const char *message)
{
	struct text text = {0};

	text_printf(&text, "mailtwin: %s: ", account);
	if (folder != NULL) {
		text_put_visible(&text, folder);
		text_puts(&text, ": ");
	}
	text_put_visible(&text, message);
	return text_steal(&text);
}

static void add_count(struct text *text, uint64_t n, const char *what)
{
	char *number;

	if (n == 0)
		return;
	number = human_number(n);
	text_printf(text, "%s%s %s", text->len == 0 ? "" : ", ", number, what);
	free(number);
}

static void add_flags(struct text *text, uint64_t n)
{
	add_count(text, n, n == 1 ? "flag change" : "flag changes");
}

static void add_folders(struct text *text, uint64_t n, const char *what)
{
	if (n != 0)
		text_printf(text, "%s%llu folder%s %s", text->len == 0 ? "" : ", ",
			    (unsigned long long)n, n == 1 ? "" : "s", what);
}

static void add_changes(struct text *text, const uint64_t changes[CHANGE_COUNT])
{
	add_count(text, changes[CHANGE_DOWNLOAD], "new");
	add_count(text, changes[CHANGE_UPLOAD], "sent");
	add_count(text, changes[CHANGE_MOVE_LOCAL] + changes[CHANGE_MOVE_REMOTE], "moved");
	add_count(text, changes[CHANGE_COPY_REMOTE], "copied");
	add_flags(text, changes[CHANGE_FLAGS_LOCAL] + changes[CHANGE_FLAGS_REMOTE]);
	add_count(text, changes[CHANGE_DELETE_LOCAL] + changes[CHANGE_DELETE_REMOTE], "deleted");
	add_folders(text,
		    changes[CHANGE_FOLDER_CREATE_LOCAL] + changes[CHANGE_FOLDER_CREATE_REMOTE],
		    "created");
	add_folders(text,
		    changes[CHANGE_FOLDER_RENAME_LOCAL] + changes[CHANGE_FOLDER_RENAME_REMOTE],
		    "renamed");
	add_folders(text,
		    changes[CHANGE_FOLDER_DELETE_LOCAL] + changes[CHANGE_FOLDER_DELETE_REMOTE],
		    "removed");
}

char *human_summary(const char *account, const struct sync_summary *summary, double seconds,
		    bool dry_run)
{
	struct text counts = {0};
	char *line;

	add_changes(&counts, summary->changes);
	if (counts.len == 0)
		text_puts(&counts, dry_run ? "nothing to do" : "nothing changed");
	add_count(&counts, summary->held, "held");
	line = xasprintf("%s: %s%s (%.1f s)", account, dry_run ? "dry run: " : "",
			 text_get(&counts), seconds);
	text_release(&counts);
	return line;
}
