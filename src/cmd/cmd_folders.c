/* mailtwin folders: what is on the server, what is on disk, and what of it is synchronized. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/process.h"
#include "cmd/cmd.h"
#include "cmd/report.h"
#include "sync/words.h"

/* The name comes after what has a fixed width: it may be of any length. */
static char *human_folder(const struct folder_line *line)
{
	const char *special = special_use_name(line->special);
	const char *where = line->remote == NULL ? "disk" : line->local == NULL ? "server" : "both";
	struct text text = {0};

	text_printf(&text, "  %c %-6s  ", line->chosen ? '+' : '-', where);
	text_put_visible(&text, line->name);
	if (special != NULL)
		text_printf(&text, "  %s", special);
	if (line->reason != NULL) {
		text_puts(&text, "  (");
		text_put_visible(&text, line->reason);
		text_putc(&text, ')');
	}
	return text_steal(&text);
}

static void print_folders(const struct account_config *account, const struct folder_line *lines,
			  size_t n, bool json)
{
	if (!json)
		printf("%s\n", account->name);
	for (size_t i = 0; i < n; i++) {
		char *line = json ? json_folder(account->name, &lines[i]) : human_folder(&lines[i]);

		puts(line);
		free(line);
	}
}

static int list_account(const struct account_config *account, bool json)
{
	struct arena *arena = arena_new();
	struct folder_line *lines = NULL;
	struct error err = {0};
	char *password = NULL;
	size_t n = 0;
	int status = EXIT_FINE;

	log_set_prefix(account->name);
	if (get_password(account, &password, &err) != 0 ||
	    sync_list_folders(account, password, arena, &lines, &n, &err) != 0) {
		error_wrap(&err, "%s", account->name);
		status = complain(&err);
	} else {
		print_folders(account, lines, n, json);
	}
	wipe(password);
	free(password);
	log_set_prefix(NULL);
	arena_free(&arena);
	return status;
}

int cmd_folders(const struct options *options)
{
	return each_account(options, list_account);
}
