#include <signal.h>

#include "base/log.h"
#include "cmd/cmd.h"

static void set_log_level(const struct options *options)
{
	if (options->quiet)
		log_set_level(LOG_QUIET);
	else if (options->verbose >= 2)
		log_set_level(LOG_PROTOCOL);
	else if (options->verbose == 1)
		log_set_level(LOG_VERBOSE);
}

static int dispatch(const struct options *options)
{
	if (options->version)
		return cmd_version(options);
	if (options->help || options->command == NULL)
		return cmd_help(options);
	return options->command->run(options);
}

int main(int argc, char **argv)
{
	struct options options;
	struct error err = {0};
	int status;

	signal(SIGPIPE, SIG_IGN); /* a reader that left is an error of writing, found at the end */
	if (options_parse(&options, argc, argv, &err) != 0) {
		status = complain(&err);
	} else {
		set_log_level(&options);
		status = close_output(dispatch(&options));
	}
	options_release(&options);
	return status;
}
