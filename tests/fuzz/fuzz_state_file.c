/* The walker of LMDB's pages on arbitrary files: it ends, without a crash and without reading
 * anything that is not there. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct verify_file file;

	if (fd < 0)
		fd = memfd_create("data.mdb", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	if (!verify_begin(&file, fd)) {
		if (file.reason == NULL)
			abort();
		return 0;
	}
	if (verify_pages(&file, file.txnid, NULL) == 0 && file.reason == NULL)
		abort();
	verify_pages(&file, file.txnid, "meta");
	return 0;
}
