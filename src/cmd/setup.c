/* What commands need before they can begin: the configuration, the accounts that are meant, and
 * a password. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/process.h"
#include "cmd/cmd.h"

static const char first_steps[] =
	"\n"
	"To begin, make that file, with this in it and your own words filled in:\n"
	"\n"
	"    account work {\n"
	"        host = 'imap.example.org'\n"
	"        user = 'alice@example.org'\n"
	"        password-command = 'pass show mail/work'\n"
	"        maildir = '~/Mail/work'\n"
	"    }\n"
	"\n"
	"Then see what would happen, and let it happen:\n"
	"\n"
	"    mailtwin sync --dry-run\n"
	"    mailtwin sync\n"
	"\n"
	"mailtwin.conf(5) explains every option; -c FILE or $MAILTWIN_CONFIG name another file.\n"
	"(In a later version `mailtwin init' will ask a few questions and write it for you.)\n";

int load_config(struct config **config, const struct options *options)
{
	struct error err = {0};

	if (config_load(config, options->config_path, &err) == 0)
		return 0;
	if (err.kind != ERROR_NOT_FOUND)
		return complain(&err);
	err.kind = ERROR_CONFIG;
	complain(&err);
	fputs(first_steps, stderr);
	return EXIT_CONFIGURED;
}

static int unknown_account(const struct config *config, const char *name, struct error *err)
{
	struct text known = {0};

	for (size_t i = 0; i < config->n_accounts; i++)
		text_printf(&known, "%s%s", i != 0 ? ", " : "", config->accounts[i].name);
	error_set(err, ERROR_USAGE, "unknown account '%s'; %s has: %s", name, config->path,
		  text_get(&known));
	text_release(&known);
	return -1;
}

static bool contains(const struct account_config *const *accounts, size_t n,
		     const struct account_config *account)
{
	for (size_t i = 0; i < n; i++) {
		if (accounts[i] == account)
			return true;
	}
	return false;
}

int select_accounts(const struct config *config, const struct options *options, struct arena *arena,
		    const struct account_config ***accounts, size_t *n, struct error *err)
{
	size_t room = config->n_accounts + options->n_operands;
	const struct account_config **list = arena_alloc(arena, room * sizeof(*list));

	*accounts = list;
	*n = 0;
	for (size_t i = 0; options->n_operands == 0 && i < config->n_accounts; i++)
		list[(*n)++] = &config->accounts[i];
	for (size_t i = 0; i < options->n_operands; i++) {
		const char *word = options->operands[i];
		bool folders = strchr(options->command->operands, ':') != NULL;
		size_t len = folders ? strcspn(word, ":") : strlen(word);
		char *name = arena_strndup(arena, word, len);
		const struct account_config *account = config_account(config, name);

		if (account == NULL)
			return unknown_account(config, name, err);
		if (!contains(list, *n, account))
			list[(*n)++] = account;
	}
	return 0;
}

int check_password_output(int status, const char *line, size_t len, char **password,
			  struct error *err)
{
	*password = NULL;
	if (status != 0) {
		char *what = process_describe(status);

		error_set(err, ERROR_LOGIN, "password-command %s", what);
		free(what);
		return -1;
	}
	if (len != 0 && line[len - 1] == '\r')
		len--;
	if (len == 0)
		return error_set(err, ERROR_LOGIN, "password-command printed no password");
	if (memchr(line, '\0', len) != NULL)
		return error_set(err, ERROR_LOGIN, "password-command printed a NUL");
	*password = xstrndup(line, len);
	return 0;
}

int get_password(const struct account_config *account, char **password, struct error *err)
{
	struct process_options command = {.command = account->password_command, .capture = true};
	struct text line = {0};
	int status, result;

	*password = xstrdup(account->password);
	if (account->password_command == NULL)
		return 0;
	if (process_run(&command, -1, &line, &status, err) != 0)
		return -1;
	result = check_password_output(status, text_get(&line), line.len, password, err);
	if (line.data != NULL)
		explicit_bzero(line.data, line.room);
	text_release(&line);
	return result;
}

int each_account(const struct options *options, account_fn *fn)
{
	const struct account_config **accounts;
	struct config *config;
	struct arena *arena;
	struct error err = {0};
	size_t n;
	int status = load_config(&config, options);

	if (status != 0)
		return status;
	arena = arena_new();
	if (select_accounts(config, options, arena, &accounts, &n, &err) != 0) {
		status = complain(&err);
		n = 0;
	}
	for (size_t i = 0; i < n; i++)
		status = worse_status(status, fn(accounts[i], (options->bits & OPT_JSON) != 0));
	arena_free(&arena);
	config_free(&config);
	return status;
}
