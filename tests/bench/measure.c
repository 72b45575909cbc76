/* measure FILE program [argument...]
 *
 * Runs a program and writes to FILE, in one line: wall seconds, user seconds, system seconds and
 * peak resident KiB, of it and of the children it waited for. A benchmark in Python cannot ask
 * wait4 itself: the kernel counts the memory that a process had before exec, and that of a Python
 * is larger than what is measured. The exit status is the program's (128 + signal if one ended
 * it). */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double seconds(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argc, char *argv[])
{
	struct rusage usage;
	double start;
	FILE *report;
	pid_t child;
	int status;

	if (argc < 3) {
		fputs("usage: measure file program [argument...]\n", stderr);
		return 64;
	}
	start = now();
	child = fork();
	if (child == 0) {
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	while (wait4(child, &status, 0, &usage) != child)
		;
	start = now() - start;
	report = fopen(argv[1], "w");
	if (report == NULL ||
	    fprintf(report, "%.6f %.6f %.6f %ld\n", start, seconds(usage.ru_utime),
		    seconds(usage.ru_stime), usage.ru_maxrss) < 0 ||
	    fclose(report) != 0) {
		perror(argv[1]);
		return 125;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
