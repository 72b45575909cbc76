/* mailtwin sync: read the configuration, find out what is meant, run the accounts, tell the worst. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cmd/sync_job.h"

/* The folders that the operands name for an account; none if it is named without one. */
static int collect_patterns(struct job *job, const struct options *options, struct arena *arena,
			    struct error *err)
{
	size_t len = strlen(job->account->name);
	bool all = false;

	job->patterns = arena_alloc(arena, (options->n_operands + 1) * sizeof(char *));
	for (size_t i = 0; i < options->n_operands; i++) {
		const char *word = options->operands[i];

		if (strcspn(word, ":") != len || strncmp(word, job->account->name, len) != 0)
			continue;
		if (word[len] == '\0')
			all = true;
		else if (word[len + 1] == '\0')
			return error_set(err, ERROR_USAGE, "expected a folder after '%s'", word);
		else
			job->patterns[job->n_patterns++] = word + len + 1;
	}
	if (all)
		job->n_patterns = 0;
	return 0;
}

static int make_jobs(struct sync_run *run, const struct config *config, struct arena *arena,
		     struct error *err)
{
	const struct account_config **accounts;

	if (select_accounts(config, run->options, arena, &accounts, &run->n_jobs, err) != 0)
		return -1;
	run->jobs = arena_alloc(arena, run->n_jobs * sizeof(*run->jobs));
	for (size_t i = 0; i < run->n_jobs; i++) {
		run->jobs[i].account = accounts[i];
		run->jobs[i].fd = -1;
		run->jobs[i].command.fd = -1;
		if (collect_patterns(&run->jobs[i], run->options, arena, err) != 0)
			return -1;
	}
	return 0;
}

static int sync_accounts(const struct options *options, const struct config *config,
			 struct arena *arena)
{
	struct sync_run run = {.options = options, .at_once = config->jobs};
	struct error err = {0};
	int status = EXIT_FINE;

	/* Lines of -v would tear it apart. */
	run.show_progress = log_get_level() == LOG_NORMAL && progress_possible();
	if (make_jobs(&run, config, arena, &err) != 0 || run_jobs(&run, &err) != 0)
		return complain(&err);
	for (size_t i = 0; i < run.n_jobs; i++)
		status = worse_status(status, run.jobs[i].exit);
	return status;
}

int cmd_sync(const struct options *options)
{
	struct arena *arena;
	struct config *config;
	int status = load_config(&config, options);

	if (status != 0)
		return status;
	arena = arena_new();
	status = sync_accounts(options, config, arena);
	arena_free(&arena);
	config_free(&config);
	return status;
}
