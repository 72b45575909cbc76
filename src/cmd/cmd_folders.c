/* mailtwin folders: what is on the server, what is on disk, and what of it is synchronized. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/process.h"
#include "cmd/cmd.h"
#include "cmd/report.h"
#include "sync/words.h"

static void put_padded(struct text *text, const char *string, size_t width)
{
	size_t before = text->len, used = 0;

	text_put_visible(text, string);
	for (size_t i = before; i < text->len; i++) /* bytes that begin a character */
		used += ((unsigned char)text->data[i] & 0xc0) != 0x80;
	for (; used < width; used++)
		text_putc(text, ' ');
}

static char *human_folder(const struct folder_line *line, size_t width)
{
	const char *special = special_use_name(line->special);
	const char *where = line->remote == NULL ? "disk" : line->local == NULL ? "server" : "both";
	struct text text = {0};

	text_puts(&text, line->chosen ? "  + " : "  - ");
	put_padded(&text, line->name, width);
	text_puts(&text, "  ");
	put_padded(&text, where, special != NULL || line->reason != NULL ? 6 : 0);
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
	size_t width = 0;

	if (!json)
		printf("%s\n", account->name);
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(lines[i].name);

		width = len > width && len <= 40 ? len : width;
	}
	for (size_t i = 0; i < n; i++) {
		char *line = json ? json_folder(account->name, &lines[i])
				  : human_folder(&lines[i], width);

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
