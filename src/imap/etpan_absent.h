/* What libetpan's archive refers to and mailtwin never reaches: its sessions log in by SASL (we do so by auth.c
 * and scram.c), and its mbox driver locks files. Defined here, the program needs neither library, which
 * saves one thirtieth of a run that finds nothing to do. Only where libetpan is linked from its archive
 * (configure.ac): beside the shared one these would stand in for the real ones. Included by whoever calls
 * libetpan; the linker keeps one of each. */
#ifndef MAILTWIN_IMAP_ETPAN_ABSENT_H
#define MAILTWIN_IMAP_ETPAN_ABSENT_H

#ifdef ETPAN_FROM_ARCHIVE

#include <stdlib.h>

#define ABSENT(name)                          \
	void name(void);                      \
	__attribute__((weak)) void name(void) \
	{                                     \
		abort();                      \
	}

ABSENT(lockfile_create)
ABSENT(lockfile_remove)
ABSENT(sasl_client_init)
ABSENT(sasl_client_new)
ABSENT(sasl_client_start)
ABSENT(sasl_client_step)
ABSENT(sasl_decode64)
ABSENT(sasl_dispose)
ABSENT(sasl_encode64)

#undef ABSENT

#endif
#endif
