#include "cmd/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/text.h"
#include "cmd/report.h"

static double last_drawn;
static bool is_drawn;

static const char *phase_name(enum sync_phase phase)
{
	switch (phase) {
	case PHASE_CONNECT: return "connecting";
	case PHASE_LOOK: return "looking";
	case PHASE_DOWNLOAD: return "downloading";
	case PHASE_UPLOAD: return "uploading";
	case PHASE_CHANGE: return "changing";
	case PHASE_FINISH: return "finishing";
	}
	return "";
}

void progress_note(struct progress_view *view, const struct progress_view *news, double now)
{
	struct progress_view old = *view;
	bool same = old.phase == news->phase && old.phase_began != 0 && news->done >= old.done;

	*view = *news;
	view->account = old.account;
	view->folder[sizeof(view->folder) - 1] = '\0';
	view->phase_began = same ? old.phase_began : now;
	view->bytes_before = same ? old.bytes_before : news->bytes;
	view->done_before = same ? old.done_before : news->done;
}

static void add_duration(struct text *text, double seconds)
{
	long long s = seconds < 1e9 ? (long long)(seconds + 0.5) : 0;

	if (s >= 3600)
		text_printf(text, ", %lld:%02lld:%02lld left", s / 3600, s / 60 % 60, s % 60);
	else
		text_printf(text, ", %lld:%02lld left", s / 60, s % 60);
}

static void add_transfer(struct text *text, const struct progress_view *view, double now)
{
	double seconds = now - view->phase_began;
	uint64_t bytes = view->bytes - view->bytes_before, done = view->done - view->done_before;
	char *size = human_size(view->bytes), *rate;

	text_printf(text, ", %s", size);
	free(size);
	if (seconds < 1 || bytes == 0)
		return;
	rate = human_size((uint64_t)((double)bytes / seconds));
	text_printf(text, ", %s/s", rate);
	free(rate);
	if (done != 0 && view->total > view->done)
		add_duration(text, seconds * (double)(view->total - view->done) / (double)done);
}

static void add_counts(struct text *text, const struct progress_view *view)
{
	char *done = human_number(view->done), *total = human_number(view->total);

	if (view->total != 0)
		text_printf(text, " %s/%s", done, total);
	else if (view->done != 0)
		text_printf(text, " %s", done);
	free(done);
	free(total);
}

static void add_one(struct text *text, const struct progress_view *view, double now)
{
	text_printf(text, "%s: %s", view->account, phase_name(view->phase));
	add_counts(text, view);
	if (view->phase == PHASE_DOWNLOAD)
		add_transfer(text, view, now);
	if (view->folder[0] != '\0') {
		text_puts(text, ", ");
		text_put_visible(text, view->folder);
	}
}

static uint32_t code_point(const char *p, size_t len)
{
	static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t point = (unsigned char)p[0] & first_bits[len];

	for (size_t i = 1; i < len; i++)
		point = point << 6 | ((unsigned char)p[i] & 0x3f);
	return point;
}

/* Near enough for a line that is only cut: combining marks take none, East Asian ones two. */
static size_t columns(uint32_t point)
{
	if (point >= 0x300 && point <= 0x36f)
		return 0;
	return (point >= 0x1100 && point <= 0x115f) || (point >= 0x2e80 && point <= 0xa4cf) ||
			       (point >= 0xac00 && point <= 0xd7a3) ||
			       (point >= 0xf900 && point <= 0xfaff) ||
			       (point >= 0xfe30 && point <= 0xfe6f) ||
			       (point >= 0xff00 && point <= 0xff60) ||
			       (point >= 0x1f300 && point <= 0x1faff) ||
			       (point >= 0x20000 && point <= 0x3fffd)
		       ? 2
		       : 1;
}

static void cut(struct text *text, size_t width)
{
	size_t used = 0, i = 0, len;

	for (; i < text->len; i += len) {
		len = utf8_sequence(text->data + i, text->len - i);
		if (len == 0) /* cannot be: it was made visible */
			len = 1;
		used += columns(code_point(text->data + i, len));
		if (used > width)
			break;
	}
	text->len = i;
	if (text->data != NULL)
		text->data[i] = '\0';
}

char *progress_line(const struct progress_view *const *views, size_t n, size_t width, double now)
{
	struct text text = {0};

	for (size_t i = 0; i < n; i++) {
		if (n == 1) {
			add_one(&text, views[i], now);
		} else {
			text_printf(&text, "%s%s: %s", i == 0 ? "" : " | ", views[i]->account,
				    phase_name(views[i]->phase));
			add_counts(&text, views[i]);
		}
	}
	cut(&text, width);
	return text_steal(&text);
}

bool progress_possible(void)
{
	const char *term = getenv("TERM");

	return isatty(STDERR_FILENO) && term != NULL && *term != '\0' && strcmp(term, "dumb") != 0;
}

static size_t terminal_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
		return size.ws_col - 1U; /* the last column makes some terminals wrap */
	return 79;
}

double progress_draw(const struct progress_view *const *views, size_t n, double now)
{
	char *line;

	if (n == 0)
		return 1;
	if (last_drawn != 0 && now - last_drawn < PROGRESS_INTERVAL)
		return PROGRESS_INTERVAL - (now - last_drawn);
	line = progress_line(views, n, terminal_width(), now);
	fprintf(stderr, "\r%s\033[K", line);
	fflush(stderr);
	free(line);
	last_drawn = now;
	is_drawn = true;
	return 1; /* the rate and the time left go on while nothing comes */
}

void progress_clear(void)
{
	if (is_drawn)
		fputs("\r\033[K", stderr);
	is_drawn = false;
}
