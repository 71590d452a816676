/* inotify(7), for which Python has no module of its own. */

#include <sys/inotify.h>

#include "native.h"

/* Return a new descriptor that never waits. */
int64_t memtierd_inotify_open(void)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* Return the number of the watch: the one that there is when the same directory is watched already. */
int64_t memtierd_inotify_add(int inotify_fd, const char *path, uint32_t mask)
{
	int watch = inotify_add_watch(inotify_fd, path, mask);

	return watch < 0 ? -errno : watch;
}

int64_t memtierd_inotify_remove(int inotify_fd, int watch)
{
	return inotify_rm_watch(inotify_fd, watch) < 0 ? -errno : 0;
}
