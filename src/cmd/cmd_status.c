/* mailtwin status: what the last sync left, from the base alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/report.h"
#include "state/state.h"

static struct status_counts counts_of(const struct folder_record *folder)
{
	return (struct status_counts){
		.folders = 1,
		.messages = folder->messages,
		.unread = folder->unread,
		.held = folder->held,
		.parked = folder->parked,
		.skipped = folder->skipped,
		.last_sync = folder->last_sync,
	};
}

static void add_counts(struct status_counts *sum, const struct status_counts *counts)
{
	sum->folders += counts->folders;
	sum->messages += counts->messages;
	sum->unread += counts->unread;
	sum->held += counts->held;
	sum->parked += counts->parked;
	sum->skipped += counts->skipped;
	if (counts->last_sync > sum->last_sync)
		sum->last_sync = counts->last_sync;
}

static int by_name(const void *a, const void *b)
{
	const struct folder_record *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Places that only hold others are not shown. An account that was never synchronized has none. */
static int read_folders(const struct account_config *account, struct arena *arena,
			struct folder_record **folders, size_t *n, struct error *err)
{
	struct state *state;
	int64_t in_order;
	size_t all, kept = 0;
	int result;

	*n = 0;
	if (state_open(&state, account->state, true, err) != 0)
		return err->kind == ERROR_NOT_FOUND ? 0 : -1;
	result = state_get_folders(state, arena, folders, &all, err);
	in_order = state_in_order(state);
	state_close(&state);
	if (result != 0)
		return -1;
	for (size_t i = 0; i < all; i++) {
		struct folder_record *folder = &(*folders)[i];

		if (folder->last_sync != 0 && folder->last_sync < in_order)
			folder->last_sync = in_order;
		if (!folder->noselect)
			(*folders)[kept++] = *folder;
	}
	*n = kept;
	if (kept > 1)
		qsort(*folders, kept, sizeof(**folders), by_name);
	return 0;
}

static int status_from(const struct status_counts *sum)
{
	if (sum->held != 0)
		return EXIT_HELD;
	return sum->parked != 0 ? EXIT_UNDONE : EXIT_FINE;
}

/* ---- for programs ---- */

static void print_line(char *line)
{
	puts(line);
	free(line);
}

static void print_json(const char *account, const struct folder_record *folders, size_t n,
		       const struct status_counts *sum, int status)
{
	for (size_t i = 0; i < n; i++) {
		struct status_counts counts = counts_of(&folders[i]);

		print_line(json_status_folder(account, folders[i].name, &counts));
	}
	print_line(json_status_account(account, sum, (int64_t)time(NULL), status));
}

/* ---- for people ---- */

static char *visible(const char *string)
{
	struct text text = {0};

	text_put_visible(&text, string);
	return text_steal(&text);
}

/* "3 held, 1 parked"; "" if there is nothing of the kind. Caller frees. */
static char *troubles(const struct status_counts *counts)
{
	const struct {
		uint64_t n;
		const char *name;
	} kinds[] = {
		{counts->held, "held"}, {counts->parked, "parked"}, {counts->skipped, "skipped"}};
	struct text text = {0};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char *number = human_number(kinds[i].n);

		if (kinds[i].n != 0)
			text_printf(&text, "%s%s %s", text.len == 0 ? "" : ", ", number,
				    kinds[i].name);
		free(number);
	}
	return text_steal(&text);
}

static char *age_of(int64_t last_sync)
{
	int64_t now = (int64_t)time(NULL);

	if (last_sync <= 0)
		return xstrdup("never");
	return human_age(now > last_sync ? now - last_sync : 0);
}

/* The name comes last: it may be of any length. */
static void print_row(const char *name, const struct status_counts *counts)
{
	char *messages = human_number(counts->messages), *unread = human_number(counts->unread);
	char *trouble = troubles(counts), *age = age_of(counts->last_sync);

	printf("  %10s  %8s  %-14s  %s", messages, unread, age, name);
	if (*trouble != '\0')
		printf("  (%s)", trouble);
	putchar('\n');
	free(messages);
	free(unread);
	free(trouble);
	free(age);
}

static void print_heading(const char *account, const struct status_counts *sum)
{
	char *messages = human_number(sum->messages), *unread = human_number(sum->unread);
	char *trouble = troubles(sum), *age = age_of(sum->last_sync);

	if (sum->folders == 0)
		printf("%s: never synchronized\n", account);
	else
		printf("%s: %llu folder%s, %s message%s, %s unread%s%s, synchronized %s\n", account,
		       (unsigned long long)sum->folders, sum->folders == 1 ? "" : "s", messages,
		       sum->messages == 1 ? "" : "s", unread, *trouble != '\0' ? ", " : "", trouble,
		       age);
	free(messages);
	free(unread);
	free(trouble);
	free(age);
}

static void print_table(const char *account, const struct folder_record *folders, size_t n,
			const struct status_counts *sum)
{
	print_heading(account, sum);
	if (n != 0)
		printf("  %10s  %8s  %-14s  folder\n", "messages", "unread", "synchronized");
	for (size_t i = 0; i < n; i++) {
		char *name = visible(folders[i].name);
		struct status_counts counts = counts_of(&folders[i]);

		print_row(name, &counts);
		free(name);
	}
}

/* ---- the command ---- */

static int show_account(const struct account_config *account, bool json)
{
	struct arena *arena = arena_new();
	struct folder_record *folders = NULL;
	struct status_counts sum = {0};
	struct error err = {0};
	size_t n = 0;
	int status;

	if (read_folders(account, arena, &folders, &n, &err) != 0) {
		error_wrap(&err, "%s", account->name);
		status = complain(&err);
	} else {
		for (size_t i = 0; i < n; i++) {
			struct status_counts counts = counts_of(&folders[i]);

			add_counts(&sum, &counts);
		}
		status = status_from(&sum);
	}
	if (json)
		print_json(account->name, folders, n, &sum, status);
	else if (n != 0 || err.kind == ERROR_NONE || err.kind == ERROR_NOT_FOUND)
		print_table(account->name, folders, n, &sum);
	arena_free(&arena);
	return status;
}

int cmd_status(const struct options *options)
{
	return each_account(options, show_account);
}
