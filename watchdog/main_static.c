// SPDX-License-Identifier: Apache-2.0
/*
 * The entry point of oomsnap-dump: `dump` and `inspect` in one fully static program, to be copied
 * into a container that has no libraries and no shell, and run there by hand.
 *
 * It is the same code as oomsnap's own two subcommands, linked without libsystemd and libbpf: the
 * linker takes out of watchdog.a only what those two reach. The one thing they would reach on the
 * far side is the system bus (`dump --unit`), and a container has none; unit_cgroup() below stands
 * in its place and says so. Nothing here looks up a user, a host or a locale, which a static glibc
 * could not do without the shared one.
 *
 * As with oomsnap, descriptors 0 to 2 are made sure to exist before anything is opened.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "cmd.h"
#include "exit_code.h"
#include "os/fd.h"
#include "os/unit.h"
#include "standard_out.h"

/* os/unit.h: here always -ECONNREFUSED, which stands for "there is no system bus here". */
int unit_cgroup(const char *name, char *dir, size_t size)
{
	(void)name;
	(void)dir;
	(void)size;
	return -ECONNREFUSED;
}

static void usage(FILE *to)
{
	(void)fprintf(to,
		"Usage: oomsnap-dump COMMAND [ARGUMENT...]\n\n"
		"  dump      write the core of a running process, and let it run on\n"
		"  inspect   tell what is in a core, and whether it is complete\n"
		"\noomsnap-dump COMMAND --help tells its options; oomsnap-dump --version.\n");
}

int main(int argc, char **argv)
{
	fd_ensure_standard();
	fault_init();
	if (argc < 2) {
		usage(stderr);
		return EXIT_CODE_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		usage(stdout);
		return standard_out_end(EXIT_CODE_OK);
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("oomsnap-dump %s\n", OOMSNAP_VERSION);
		return standard_out_end(EXIT_CODE_OK);
	}
	if (strcmp(argv[1], "dump") == 0)
		return cmd_dump(argc - 1, argv + 1);
	if (strcmp(argv[1], "inspect") == 0)
		return cmd_inspect(argc - 1, argv + 1);
	(void)fprintf(stderr,
		"oomsnap-dump: there is no command '%s' here; oomsnap itself has more\n", argv[1]);
	return EXIT_CODE_USAGE;
}
