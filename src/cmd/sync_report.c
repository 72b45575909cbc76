/* What the parent prints about its accounts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/report.h"
#include "cmd/sync_job.h"

/* Standard output is flushed once a turn of the loop, not with each of 100,000 lines. */
void print_line(FILE *out, const char *line)
{
	progress_clear();
	if (out == stderr)
		fflush(stdout);
	fprintf(out, "%s\n", line);
}

void job_problem(struct sync_run *run, struct job *job, enum problem_kind kind, const char *message)
{
	bool json = (run->options->bits & OPT_JSON) != 0;
	char *line = json ? json_problem(job->account->name, kind, NULL, message)
			  : human_problem(job->account->name, NULL, message);

	print_line(json ? stdout : stderr, line);
	free(line);
}

static void print_hint(const struct job *job)
{
	const char *name = job->account->name;
	char *line =
		xasprintf("mailtwin: %s: %llu deletion%s held by the guard. If they are meant: "
			  "mailtwin sync --allow-delete %s. To bring the messages back: "
			  "mailtwin sync --undo-delete %s",
			  name, (unsigned long long)job->final.summary.held,
			  job->final.summary.held == 1 ? " is" : "s are", name, name);

	print_line(stderr, line);
	free(line);
}

static void print_human_summary(const struct sync_run *run, const struct job *job)
{
	bool dry_run = (run->options->bits & OPT_DRY_RUN) != 0;
	bool worth = summary_has_changes(&job->final.summary) || isatty(STDOUT_FILENO);
	char *line;

	if (run->options->quiet || !worth || !job->has_final)
		return;
	if (job->final.result != 0 && !summary_has_changes(&job->final.summary))
		return;
	line = human_summary(job->account->name, &job->final.summary, job->seconds, dry_run);
	print_line(stdout, line);
	free(line);
}

void job_summary(struct sync_run *run, struct job *job)
{
	char *line;

	if (run->options->bits & OPT_JSON) {
		line = json_summary(job->account->name, job->exit, &job->final.summary,
				    job->seconds);
		print_line(stdout, line);
		free(line);
	} else {
		print_human_summary(run, job);
	}
	if (job->final.summary.held != 0)
		print_hint(job);
}

static void take_line(FILE *out, const char *payload, size_t len)
{
	char *line = xstrndup(payload, len);

	print_line(out, line);
	free(line);
}

static void take_progress(struct sync_run *run, struct job *job, const char *payload)
{
	struct progress_view news;

	memcpy(&news, payload, sizeof(news));
	if (run->show_progress)
		progress_note(&job->progress, &news, monotonic_now());
}

void job_message(struct sync_run *run, struct job *job, const struct message_header *header,
		 const char *payload)
{
	switch (header->kind) {
	case MESSAGE_OUT: take_line(stdout, payload, header->len); break;
	case MESSAGE_ERR: take_line(stderr, payload, header->len); break;
	case MESSAGE_CHANGED: job->disk_changed = true; break;
	case MESSAGE_PROGRESS:
		if (header->len == sizeof(struct progress_view))
			take_progress(run, job, payload);
		break;
	case MESSAGE_FINAL:
		if (header->len != sizeof(job->final))
			break;
		memcpy(&job->final, payload, sizeof(job->final));
		job->has_final = true;
		job->disk_changed = job->disk_changed || job->final.summary.disk_changed;
		break;
	}
}
