#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0.1.0"
#endif

static const char account_help[] = "  --json     one JSON object a line\n";

const struct command commands[] = {
	{"sync", "[ACCOUNT[:FOLDER]...]",
	 "bring both sides together; all accounts if none is named",
	 "  -n, --dry-run   show what would be done, change nothing\n"
	 "  --json          one JSON object a line\n"
	 "  --allow-delete  let the deletions pass that the guard holds\n"
	 "  --undo-delete   bring back what was deleted, from the other side\n"
	 "  --full          compare everything, take no shortcut\n"
	 "  --wait          wait for another run of the account to end\n"
	 "FOLDER may be a pattern: * stands for anything, % for anything but /.\n",
	 OPT_DRY_RUN | OPT_JSON | OPT_ALLOW_DELETE | OPT_UNDO_DELETE | OPT_FULL | OPT_WAIT,
	 cmd_sync},
	{"status", "[ACCOUNT...]", "what the last sync left, without a connection", account_help,
	 OPT_JSON, cmd_status},
	{"folders", "[ACCOUNT...]", "the folders of both sides, and which are chosen", account_help,
	 OPT_JSON, cmd_folders},
	{"check", "[ACCOUNT...]", "compare everything (not supported yet)", "",
	 OPT_JSON | OPT_REPAIR, cmd_check},
	{"init", "[ADDRESS]", "write a configuration (not supported yet)", "", 0, cmd_init},
	{"help", "[COMMAND]", "explain a command", "", 0, cmd_help},
	{"version", "", "say which version this is", "", 0, cmd_version},
	{.name = NULL},
};

const struct command *find_command(const char *name)
{
	for (const struct command *command = commands; command->name != NULL; command++) {
		if (strcmp(command->name, name) == 0)
			return command;
	}
	return NULL;
}

static void print_usage(FILE *out)
{
	fputs("usage: mailtwin [-c FILE] [-q] [-v]... COMMAND [OPTIONS] [ACCOUNT[:FOLDER]...]\n\n",
	      out);
	for (const struct command *command = commands; command->name != NULL; command++)
		fprintf(out, "  %-8s %s\n", command->name, command->summary);
}

static void print_all(void)
{
	print_usage(stdout);
	fputs("\n"
	      "  -c FILE    use this configuration\n"
	      "  -q         errors only\n"
	      "  -v, -vv    say what is done and why; show the protocol\n"
	      "  -h         explain the command\n"
	      "  --version  say which version this is\n"
	      "\n"
	      "mailtwin(1) tells more, mailtwin.conf(5) how to write a configuration.\n",
	      stdout);
}

static void print_command(const struct command *command)
{
	printf("usage: mailtwin %s%s%s%s\n\n%s\n", command->name,
	       command->bits != 0 ? " [OPTIONS]" : "", *command->operands != '\0' ? " " : "",
	       command->operands, command->summary);
	if (*command->help != '\0')
		printf("\n%s", command->help);
}

/* Also where -h and a missing COMMAND lead. */
int cmd_help(const struct options *options)
{
	const struct command *command = options->command;
	struct error err;

	if (command == NULL && !options->help) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (command != NULL && command->run == cmd_help) {
		command = options->n_operands != 0 ? find_command(options->operands[0]) : NULL;
		if (command == NULL && options->n_operands != 0) {
			error_set(&err, ERROR_USAGE, "unknown command '%s'; see: mailtwin help",
				  options->operands[0]);
			return complain(&err);
		}
	}
	if (command != NULL)
		print_command(command);
	else
		print_all();
	return EXIT_FINE;
}

int cmd_version(const struct options *options)
{
	(void)options;
	puts("mailtwin " PACKAGE_VERSION);
	return EXIT_FINE;
}

static int not_supported(const char *name)
{
	struct error err;

	error_set(&err, ERROR_USAGE, "%s: not supported yet", name);
	return complain(&err);
}

int cmd_check(const struct options *options)
{
	return not_supported(options->command->name);
}

int cmd_init(const struct options *options)
{
	return not_supported(options->command->name);
}
