#include "base/file_system.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "base/memory.h"

/* Is its number, as in <linux/magic.h>, among these? 1 yes, 0 no, -1 it cannot be asked for. */
static int is_file_system(int fd, const uint32_t *numbers, size_t n)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if ((uint32_t)fs.f_type == numbers[i])
			return 1;
	}
	return 0;
}

bool file_system_is_local(int fd)
{
	/* And of file systems that have no number there. */
	static const uint32_t shared[] = {
		0x6969,     0x517b,     0xfe534d42, 0xff534d42, 0x01021997, 0x65735546, 0x5346414f,
		0x6b414653, 0x73757245, 0x00c36400, 0x01161970, 0x7461636f, 0x0bd00bd0, 0x47504653,
		0x786f4256, 0x564c,     0x19830326, 0xaad7aaea, 0x013111a8,
	};

	return is_file_system(fd, shared, ARRAY_SIZE(shared)) == 0;
}

/* Of the file systems that are made for disks, and tmpfs: ext4, XFS, btrfs. */
static bool is_well_known(int fd)
{
	static const uint32_t known[] = {0xef53, 0x58465342, 0x9123683e, 0x01021994};

	return is_file_system(fd, known, ARRAY_SIZE(known)) == 1;
}

static bool linux_is_at_least(unsigned long major, unsigned long minor)
{
	unsigned long its_major, its_minor;
	struct utsname system;
	char *end;

	if (uname(&system) != 0)
		return false;
	its_major = strtoul(system.release, &end, 10);
	its_minor = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
	return its_major > major || (its_major == major && its_minor >= minor);
}

bool file_system_has_fine_times(int fd)
{
	return linux_is_at_least(6, 13) && is_well_known(fd);
}

bool file_system_reuses_inodes(int fd)
{
	static const uint32_t growing[] = {0x01021994, 0x9123683e}; /* tmpfs, btrfs */

	return is_file_system(fd, growing, ARRAY_SIZE(growing)) != 1;
}

bool file_system_syncs_at_once(int fd)
{
	return linux_is_at_least(5, 8) && is_well_known(fd);
}

bool file_system_is_in_memory(int fd)
{
	static const uint32_t tmpfs[] = {0x01021994};

	return is_file_system(fd, tmpfs, ARRAY_SIZE(tmpfs)) == 1;
}

uint64_t file_systems_unwritten(void)
{
	uint64_t kib, sum = 0;
	unsigned found = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "re");

	while (file != NULL && found < 2 && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "Dirty: %" SCNu64, &kib) != 1 &&
		    sscanf(line, "Writeback: %" SCNu64, &kib) != 1)
			continue;
		sum += kib << 10;
		found++;
	}
	if (file != NULL)
		fclose(file);
	return found == 2 ? sum : UINT64_MAX;
}
