/* The command line. Options may stand before and after COMMAND and between accounts, whatever
 * POSIXLY_CORRECT says: the leading '-' makes getopt hand over the other words in their order. */
#include <getopt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"

#define LONG_ONLY 256 /* plus the bit's number: options without a letter */

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"dry-run", no_argument, NULL, LONG_ONLY + OPT_DRY_RUN},
	{"json", no_argument, NULL, LONG_ONLY + OPT_JSON},
	{"allow-delete", no_argument, NULL, LONG_ONLY + OPT_ALLOW_DELETE},
	{"undo-delete", no_argument, NULL, LONG_ONLY + OPT_UNDO_DELETE},
	{"full", no_argument, NULL, LONG_ONLY + OPT_FULL},
	{"wait", no_argument, NULL, LONG_ONLY + OPT_WAIT},
	{"repair", no_argument, NULL, LONG_ONLY + OPT_REPAIR},
	{NULL, 0, NULL, 0},
};

static int take_word(struct options *options, const char *word, struct error *err)
{
	if (options->command != NULL) {
		options->operands[options->n_operands++] = word;
		return 0;
	}
	options->command = find_command(word);
	if (options->command == NULL)
		return error_set(err, ERROR_USAGE, "unknown command '%s'; see: mailtwin help",
				 word);
	return 0;
}

static int unknown_option(int argc, char **argv, struct error *err)
{
	const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";

	if (optopt != 0 && optopt < LONG_ONLY && strncmp(word, "--", 2) != 0)
		return error_set(err, ERROR_USAGE, "unknown option -%c; see: mailtwin help",
				 optopt);
	return error_set(err, ERROR_USAGE,
			 optopt != 0 ? "option %s takes no value; see: mailtwin help"
				     : "unknown option %s; see: mailtwin help",
			 word);
}

static int take_option(struct options *options, int letter, int argc, char **argv,
		       struct error *err)
{
	switch (letter) {
	case 1: return take_word(options, optarg, err);
	case 'c': options->config_path = optarg; break;
	case 'q': options->quiet = true; break;
	case 'v': options->verbose++; break;
	case 'h': options->help = true; break;
	case 'V': options->version = true; break;
	case 'n': options->bits |= OPT_DRY_RUN; break;
	case ':': return error_set(err, ERROR_USAGE, "option %s wants a value", argv[optind - 1]);
	default:
		if (letter < LONG_ONLY)
			return unknown_option(argc, argv, err);
		options->bits |= (unsigned)(letter - LONG_ONLY);
	}
	return 0;
}

static const char *option_name(unsigned bit)
{
	for (const struct option *o = long_options; o->name != NULL; o++) {
		if (o->val == LONG_ONLY + (int)bit)
			return o->name;
	}
	return "";
}

/* Not before the end: "mailtwin --json status" is as good as the other way round. */
static int check_bits(const struct options *options, struct error *err)
{
	const struct command *command = options->command;
	unsigned wrong = options->bits & ~(command != NULL ? command->bits : 0U);

	if (options->help || options->version)
		return 0;
	if (wrong != 0 && command != NULL)
		return error_set(err, ERROR_USAGE, "%s takes no option --%s; see: mailtwin help %s",
				 command->name, option_name(wrong & -wrong), command->name);
	if ((options->bits & OPT_ALLOW_DELETE) && (options->bits & OPT_UNDO_DELETE))
		return error_set(err, ERROR_USAGE,
				 "--allow-delete and --undo-delete exclude each other");
	return 0;
}

/* As many as the synopsis shows. */
static int check_operands(const struct options *options, struct error *err)
{
	const struct command *command = options->command;
	size_t most = SIZE_MAX;

	if (options->help || options->version || command == NULL)
		return 0;
	if (strstr(command->operands, "...") == NULL)
		most = *command->operands != '\0';
	if (options->n_operands > most)
		return error_set(err, ERROR_USAGE, "unexpected word '%s'; see: mailtwin help %s",
				 options->operands[most], command->name);
	return 0;
}

int options_parse(struct options *options, int argc, char **argv, struct error *err)
{
	int letter;

	memset(options, 0, sizeof(*options));
	options->operands = xcalloc((size_t)argc + 1, sizeof(char *));
	opterr = 0;
	optind = 0; /* also forgets the state of a former parse */
	while ((letter = getopt_long(argc, argv, "-:c:qvhn", long_options, NULL)) != -1) {
		if (take_option(options, letter, argc, argv, err) != 0)
			return -1;
	}
	for (; optind < argc; optind++) { /* after "--" */
		if (take_word(options, argv[optind], err) != 0)
			return -1;
	}
	return check_bits(options, err) != 0 ? -1 : check_operands(options, err);
}

void options_release(struct options *options)
{
	free(options->operands);
	options->operands = NULL;
}
