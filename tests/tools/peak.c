/* peak FILE program [argument...]
 *
 * Runs a program and writes to FILE the peak resident memory, in KiB, of it and of the
 * children it waited for. A test in Python cannot ask wait4 itself: the kernel counts the
 * memory that a process had before exec, and that of a Python is larger than what is measured.
 * The exit status is the program's (128 + signal if one ended it). */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;

static void pass_on(int signal)
{
	if (child > 0)
		kill(child, signal);
}

int main(int argc, char *argv[])
{
	struct rusage usage;
	FILE *report;
	int status;

	if (argc < 3) {
		fputs("usage: peak file program [argument...]\n", stderr);
		return 64;
	}
	signal(SIGTERM, pass_on);
	signal(SIGINT, pass_on);
	child = fork();
	if (child == 0) {
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	while (wait4(child, &status, 0, &usage) != child)
		;
	report = fopen(argv[1], "w");
	if (report == NULL || fprintf(report, "%ld\n", usage.ru_maxrss) < 0 ||
	    fclose(report) != 0) {
		perror(argv[1]);
		return 125;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
