/* The progress line: on standard error, on a terminal only, redrawn at most ten times a second. */
#ifndef MAILTWIN_CMD_PROGRESS_H
#define MAILTWIN_CMD_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/sync.h"

#define PROGRESS_INTERVAL 0.1 /* seconds between two drawings */

struct progress_view {       /* one account */
	const char *account; /* NULL: not running */
	enum sync_phase phase;
	char folder[200];
	uint64_t done;
	uint64_t total;
	uint64_t bytes;
	double phase_began;    /* monotonic seconds */
	uint64_t bytes_before; /* when the phase began */
	uint64_t done_before;
};

/* Notes news, keeping what the rate is reckoned from. */
void progress_note(struct progress_view *view, const struct progress_view *news, double now);

/* The line for the views that run, at most width columns; caller frees. */
char *progress_line(const struct progress_view *const *views, size_t n, size_t width, double now);

/* True if standard error is a terminal that can redraw a line. */
bool progress_possible(void);
/* Draws, unless that was done a moment ago; returns seconds until the next drawing makes sense. */
double progress_draw(const struct progress_view *const *views, size_t n, double now);
/* Takes the line away, before anything else is printed and at the end. */
void progress_clear(void);

#endif
