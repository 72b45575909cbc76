#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

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

/* A stream that is closed would be the number of the next file that is opened, and what is meant for
 * people would be written into it. What stands in for it cannot be used, so that losses are noticed. */
static void hold_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
	}
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

	hold_standard_streams();
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
