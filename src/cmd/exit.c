#include <stdio.h>

#include "base/text.h"
#include "cmd/cmd.h"

int exit_status_of(const struct error *err)
{
	switch (err->kind) {
	case ERROR_NONE: return EXIT_FINE;
	case ERROR_USAGE: return EXIT_USAGE;
	case ERROR_CONFIG: return EXIT_CONFIGURED;
	case ERROR_LOCAL:
	case ERROR_NOT_FOUND:
	case ERROR_CORRUPT: return EXIT_LOCAL;
	case ERROR_NETWORK:
	case ERROR_SERVER:
	case ERROR_BUSY:
	case ERROR_STOPPED:
	case ERROR_REFUSED:
	case ERROR_CHANGED: return EXIT_TEMPORARY;
	case ERROR_LOGIN:
	case ERROR_CERTIFICATE: return EXIT_FORBIDDEN;
	}
	return EXIT_TEMPORARY;
}

int worse_status(int a, int b)
{
	static const int order[] = {EXIT_USAGE,     EXIT_CONFIGURED, EXIT_FORBIDDEN, EXIT_LOCAL,
				    EXIT_TEMPORARY, EXIT_HELD,       EXIT_UNDONE};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (a == order[i] || b == order[i])
			return order[i];
	}
	return a != 0 ? a : b;
}

int complain(const struct error *err)
{
	struct text line = {0};

	text_puts(&line, "mailtwin: ");
	text_put_visible(&line, err->text);
	text_putc(&line, '\n');
	fflush(stdout); /* so that both streams in one file keep their order */
	fputs(text_get(&line), stderr);
	text_release(&line);
	return exit_status_of(err);
}

int close_output(int status)
{
	struct error err;

	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	error_errno(&err, ERROR_LOCAL, "cannot write to standard output");
	return worse_status(status, complain(&err));
}
