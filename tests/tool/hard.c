// SPDX-License-Identifier: Apache-2.0
/*
 * hard: a process whose memory is hard to dump, and what a core of it must hold.
 *
 *   hard KIND [FILE]
 *
 * Prints lines "page ADDRESS BYTE" (a page full of that byte is in the core), "hole ADDRESS"
 * (zeros, or nothing), "none ADDRESS" (nothing), "same ADDRESS ADDRESS" (both at one place of the
 * core's file), in hexadecimal, then "ready", and sleeps. With every kind every second page of
 * AREA_PAGES is filled, unless it says otherwise:
 *
 *   uffd      the other pages would wait for a userfaultfd that nobody serves
 *   guard     the other pages are guard pages (MADV_GUARD_INSTALL, Linux 6.13)
 *   hugetlb   two huge pages, of which the first one is filled, and a child's as well
 *   device    the ring of a packet socket: memory of the kernel that is mapped into the process
 *   deleted   of FILE, mapped private and shared and removed; the private pages are changed; and
 *             as code and its constants would be, unchanged
 *   shm       of FILE on a memory file system, mapped shared, which stays there
 *   shifting  another process shares the memory and maps and unmaps all the time
 *   views     memory objects (memfd, closed since; System V; anonymous) that are mapped more than
 *             once: whole, read-only, a part, in the other order; and private, with a page changed
 *   sparse    what a careless reader makes the process have, SPARSE of each: memory that a child
 *             shares, in small and in huge pages, all filled; shared memory of which one page
 *             exists; and memory that was never touched
 *
 * Exit status: 2 usage; 3 this kernel, or this process's rights, do not allow it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_packet.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* include/uapi/asm-generic/mman-common.h of 6.13 */
#endif
#define PAGE ((size_t)4096)
#define AREA_PAGES ((size_t)256)
#define AREA (AREA_PAGES * PAGE)
#define HUGE_BYTES ((size_t)2 << 20)
#define SHIFTING_PAGES ((size_t)16)
#define SPARSE ((size_t)8 << 20)

static void need(int ok)
{
	if (!ok)
		exit(3);
}

static unsigned char *map(size_t bytes, int flags, int fd)
{
	unsigned char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	need(p != MAP_FAILED);
	(void)madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

static void tell_page(const unsigned char *page, int byte)
{
	printf("page %" PRIxPTR " %02x\n", (uintptr_t)page, byte);
}

/* Every second page; the others stay what they are. */
static unsigned char *half_filled(int flags, int fd, int byte)
{
	unsigned char *area = map(AREA, flags, fd);

	for (size_t i = 0; i < AREA_PAGES; i += 2) {
		memset(area + i * PAGE, byte, PAGE);
		tell_page(area + i * PAGE, byte);
	}
	return area;
}

static void tell_holes(const unsigned char *area)
{
	for (size_t i = 1; i < AREA_PAGES; i += 2)
		printf("hole %" PRIxPTR "\n", (uintptr_t)(area + i * PAGE));
}

static void uffd(void)
{
	unsigned char *area = half_filled(MAP_PRIVATE | MAP_ANONYMOUS, -1, 0x11);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.range = {.start = (uintptr_t)area, .len = AREA},
		.mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	need(fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 && ioctl(fd, UFFDIO_REGISTER, &reg) == 0);
	tell_holes(area);
}

static void guard(void)
{
	unsigned char *area = half_filled(MAP_PRIVATE | MAP_ANONYMOUS, -1, 0x22);

	for (size_t i = 1; i < AREA_PAGES; i += 2)
		need(madvise(area + i * PAGE, PAGE, MADV_GUARD_INSTALL) == 0);
	tell_holes(area);
}

/* All private memory so far becomes a child's as well, for as long as the caller lives. */
static void share_with_child(void)
{
	switch (fork()) {
	case -1:
		exit(3);
	case 0:
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	default:
		break;
	}
}

static void hugetlb(void)
{
	unsigned char *area = map(2 * HUGE_BYTES, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);

	memset(area, 0x33, HUGE_BYTES);
	for (size_t at = 0; at < HUGE_BYTES; at += PAGE)
		tell_page(area + at, 0x33);
	printf("hole %" PRIxPTR "\n", (uintptr_t)(area + HUGE_BYTES));
	(void)fflush(stdout);
	share_with_child();
}

static void device(void)
{
	const struct tpacket_req ring = {.tp_block_size = (unsigned int)PAGE,
		.tp_block_nr = 4,
		.tp_frame_size = 2048,
		.tp_frame_nr = 8};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	unsigned char *area;

	need(fd >= 0 && setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)) == 0);
	area = map(4 * PAGE, MAP_SHARED, fd);
	printf("none %" PRIxPTR "\n", (uintptr_t)area);
	(void)half_filled(MAP_PRIVATE | MAP_ANONYMOUS, -1, 0x44);
}

static void deleted(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	unsigned char page[4096];
	unsigned char *private;

	memset(page, 0x55, sizeof(page));
	need(fd >= 0);
	for (size_t i = 0; i < AREA_PAGES; i++)
		need(write(fd, page, PAGE) == (ssize_t)PAGE);
	(void)half_filled(MAP_SHARED, fd, 0x66);
	private = half_filled(MAP_PRIVATE, fd, 0x77);
	for (size_t i = 1; i < AREA_PAGES; i += 2)
		tell_page(private + i * PAGE, 0x55);
	for (int prot = PROT_READ; prot <= (PROT_READ | PROT_EXEC); prot += PROT_EXEC) {
		private = mmap(NULL, AREA - PAGE, prot, MAP_PRIVATE, fd, (off_t)PAGE);
		need(private != MAP_FAILED);
		for (size_t i = 1; i < AREA_PAGES; i++)
			tell_page(private + (i - 1) * PAGE, i % 2 ? 0x55 : 0x66);
	}
	need(unlink(path) == 0 && close(fd) == 0);
}

static void shm(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	need(fd >= 0 && ftruncate(fd, (off_t)AREA) == 0);
	(void)half_filled(MAP_SHARED, fd, 0x5a);
	need(close(fd) == 0);
}

__attribute__((noreturn)) static int shift(void *unused)
{
	(void)unused;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		unsigned char *p = mmap(NULL, SHIFTING_PAGES * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		if (p != MAP_FAILED) {
			(void)mprotect(p + PAGE, PAGE, PROT_READ);
			(void)munmap(p, SHIFTING_PAGES * PAGE);
		}
	}
}

static void shifting(void)
{
	unsigned char *stack = map(16 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	(void)half_filled(MAP_PRIVATE | MAP_ANONYMOUS, -1, 0x88);
	need(clone(shift, stack + 16 * PAGE, CLONE_VM | SIGCHLD, NULL) > 0);
}

/* Another view of pages [from, from + pages) of what `of` shows from its page 0 on. */
static unsigned char *view(const unsigned char *of, int fd, size_t from, size_t pages, int prot)
{
	unsigned char *p = mmap(NULL, pages * PAGE, prot, MAP_SHARED, fd, (off_t)(from * PAGE));

	need(p != MAP_FAILED);
	for (size_t i = 0; i < pages; i++) {
		printf("same %" PRIxPTR " %" PRIxPTR "\n", (uintptr_t)(p + i * PAGE),
			(uintptr_t)(of + (from + i) * PAGE));
		if ((from + i) % 2 == 0)
			tell_page(p + i * PAGE, of[(from + i) * PAGE]);
	}
	return p;
}

static void same_area(const unsigned char *a, const unsigned char *b, int byte)
{
	for (size_t i = 0; i < AREA_PAGES; i++) {
		printf("same %" PRIxPTR " %" PRIxPTR "\n", (uintptr_t)(a + i * PAGE),
			(uintptr_t)(b + i * PAGE));
		if (i % 2 == 0)
			tell_page(b + i * PAGE, byte);
	}
}

/*
 * The inode of a System V segment is its id, those of other memory objects are counted, and all are
 * of one device: asks for the id that is the memfd's inode. Not allowed everywhere.
 */
static void ask_for_same_inode(int fd)
{
	int next = open("/proc/sys/kernel/shm_next_id", O_WRONLY | O_CLOEXEC);
	struct stat st;

	if (next >= 0 && fstat(fd, &st) == 0)
		(void)dprintf(next, "%ju", (uintmax_t)st.st_ino);
	if (next >= 0)
		(void)close(next);
}

static void views(void)
{
	int fd = memfd_create("views", MFD_CLOEXEC);
	unsigned char *area;
	unsigned char *private;
	unsigned char *again;
	int id;

	need(fd >= 0 && ftruncate(fd, (off_t)AREA) == 0);
	ask_for_same_inode(fd);
	id = shmget(IPC_PRIVATE, AREA, IPC_CREAT | 0600);
	area = half_filled(MAP_SHARED, fd, 0x99);
	(void)view(area, fd, 0, AREA_PAGES, PROT_READ);
	(void)view(area, fd, AREA_PAGES / 2 - 1, AREA_PAGES / 4, PROT_READ | PROT_WRITE);
	(void)view(area, fd, 0, AREA_PAGES / 8, PROT_READ);
	private = map(AREA, MAP_PRIVATE, fd);
	memset(private, 0xaa, PAGE);
	tell_page(private, 0xaa);
	for (size_t i = 2; i < AREA_PAGES; i += 2)
		tell_page(private + i * PAGE, 0x99);
	need(close(fd) == 0);

	need(id >= 0);
	area = shmat(id, NULL, 0);
	again = shmat(id, NULL, SHM_RDONLY);
	need(shmctl(id, IPC_RMID, NULL) == 0 && (intptr_t)area != -1 && (intptr_t)again != -1);
	for (size_t i = 0; i < AREA_PAGES; i += 2)
		memset(area + i * PAGE, 0xbb, PAGE);
	same_area(area, again, 0xbb);

	area = half_filled(MAP_SHARED | MAP_ANONYMOUS, -1, 0xcc);
	again = mremap(area, 0, AREA, MREMAP_MAYMOVE); /* an old size of 0: a second view */
	need(again != MAP_FAILED);
	same_area(area, again, 0xcc);
}

static void fill_forked(unsigned char *area, int advice, int byte)
{
	(void)madvise(area, SPARSE, advice);
	for (size_t at = 0; at < SPARSE; at += PAGE) {
		memset(area + at, byte, PAGE);
		tell_page(area + at, byte);
	}
}

static void sparse(void)
{
	int fd = memfd_create("sparse", MFD_CLOEXEC);
	unsigned char *area;

	fill_forked(map(SPARSE, MAP_PRIVATE | MAP_ANONYMOUS, -1), MADV_NOHUGEPAGE, 0x99);
	fill_forked(map(SPARSE, MAP_PRIVATE | MAP_ANONYMOUS, -1), MADV_HUGEPAGE, 0xaa);
	need(fd >= 0 && ftruncate(fd, (off_t)SPARSE) == 0);
	area = map(SPARSE, MAP_SHARED, fd);
	memset(area, 0xbb, PAGE);
	tell_page(area, 0xbb);
	printf("hole %" PRIxPTR "\n", (uintptr_t)(area + PAGE));
	area = map(SPARSE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	printf("hole %" PRIxPTR "\n", (uintptr_t)area);
	(void)fflush(stdout);
	share_with_child();
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";

	if (strcmp(kind, "uffd") == 0)
		uffd();
	else if (strcmp(kind, "guard") == 0)
		guard();
	else if (strcmp(kind, "hugetlb") == 0)
		hugetlb();
	else if (strcmp(kind, "device") == 0)
		device();
	else if (strcmp(kind, "deleted") == 0 && argc == 3)
		deleted(argv[2]);
	else if (strcmp(kind, "shm") == 0 && argc == 3)
		shm(argv[2]);
	else if (strcmp(kind, "shifting") == 0)
		shifting();
	else if (strcmp(kind, "views") == 0)
		views();
	else if (strcmp(kind, "sparse") == 0)
		sparse();
	else
		return 2;
	puts("ready");
	(void)fflush(stdout);
	for (;;)
		(void)pause();
}
