/* Opens, with the keeper's rights, what the VMM gets as descriptors: it needs no file name and no right of its own. */
#include "launcher.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  errno = 0;
  if (strlen(path) >= sizeof address.sun_path) fail("'%s' is no name of a socket", path);
  strcpy(address.sun_path, path);
  unlink(path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0) fail("cannot listen on %s", path);
  return fd;
}

/* A listening socket in the current folder: a relative name, so that the folder's length does not matter. */
int listen_on(const char *name)
{
  errno = 0;
  if (strchr(name, '/') != NULL) fail("'%s' is no name of a socket", name);
  return listen_at(name);
}

/*
 * One that another jail may see: alone in a folder of its own, which is bound there. Whoever sees it may connect; here
 * nobody does, since our folder is root's. The folder stays when we are gone, so that a later socket in it is found.
 */
static int listen_shared(const char *name)
{
  char path[80] = "shared/";
  errno = 0;
  if (strchr(name, '/') != NULL || strlen(name) > 32) fail("'%s' is no name of a socket", name);
  if ((mkdir("shared", 0755) != 0 && errno != EEXIST) || chmod("shared", 0755) != 0) fail("cannot make the shared folder");
  int fd = listen_at(strcat(path, name));
  if (chmod(path, 0666) != 0) fail("cannot share %s", path);
  return fd;
}

/* Whoever is there is waited for so long at a time. @param whom for the error's words */
int connect_to(const char *path, const char *whom, int seconds)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  errno = 0;
  if (strlen(path) >= sizeof address.sun_path) fail("the socket's path is longer than 107 bytes");
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct timeval limit = { .tv_sec = seconds };
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) fail("socket");
  if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("cannot reach %s", whom);
  return fd;
}

int open_disk(const char *path, bool writable)
{
  int fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) fail("cannot open the disk %s", path);
  struct stat status;
  if (fstat(fd, &status) != 0) fail("cannot look at the disk %s", path);
  errno = 0;
  if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode)) fail("the disk %s is neither a file nor a block device", path);
  if (fcntl(fd, F_SETFL, 0) != 0) fail("fcntl");
  return fd;
}

/*
 * A hold on a disk, as long as the VMM lives: for programs whose own locks let others write (exports of
 * qemu-storage-daemon do). It reads and writes nothing by it.
 */
static int lock_disk(const char *path, bool alone)
{
  int fd = open_disk(path, false);
  if (flock(fd, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) { errno = 0; fail("the disk %s is in use", path); }
  return fd;
}

static int open_tap(const char *name, short more)
{
  struct ifreq request = { .ifr_flags = (short)(IFF_TAP | IFF_NO_PI | more) };
  errno = 0;
  if (strlen(name) >= sizeof request.ifr_name) fail("'%s' is no name of an interface", name);
  strcpy(request.ifr_name, name);
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail("cannot open /dev/net/tun");
  if (ioctl(fd, TUNSETIFF, &request) != 0) fail("cannot open the tap %s", name);
  return fd;
}

static int open_pair(int *ours)
{
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) fail("socketpair");
  if (fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0) fail("fcntl");
  *ours = pair[0];
  return pair[1];
}

/*
 * QEMU's main loop and the thread of its monitors may both see one connection: the one that comes second would wait in accept for
 * the next, and with it whatever that thread does.
 */
static int never_waiting(int listener)
{
  if (fcntl(listener, F_SETFL, O_NONBLOCK) != 0) fail("fcntl");
  return listener;
}

static int open_one(const struct entry *entry, struct descriptors *all)
{
  if (same(entry->key, "listen")) return never_waiting(listen_on(entry->value));
  if (same(entry->key, "listen-shared")) return never_waiting(listen_shared(entry->value));
  if (same(entry->key, "console")) return open_pair(&all->console);
  if (same(entry->key, "line")) return open_pair(&all->line);
  if (same(entry->key, "tap")) return open_tap(entry->value, IFF_VNET_HDR);
  if (same(entry->key, "plain-tap")) return open_tap(entry->value, 0);
  if (same(entry->key, "disk-ro")) return open_disk(entry->value, false);
  if (same(entry->key, "disk-rw")) return open_disk(entry->value, true);
  if (same(entry->key, "lock-alone")) return lock_disk(entry->value, true);
  if (same(entry->key, "lock-shared")) return lock_disk(entry->value, false);
  if (same(entry->key, "template-memory")) return held_for_template(entry->value, held_memory);
  if (same(entry->key, "template-state")) return state_of_template(entry->value);
  if (same(entry->key, "sealed-memory")) return held_for_clone(entry->value, held_memory);
  if (same(entry->key, "sealed-state")) return held_for_clone(entry->value, held_state);
  if (same(entry->key, "copied-memory")) return copied_memory(entry->value);
  if (same(entry->key, "empty-memory")) return empty_memory(entry->value);
  if (same(entry->key, "empty-state")) return empty_state();
  if (same(entry->key, "inherit")) return atoi(entry->value);
  return -1;
}

/* A disk that the VMM opens by name: mounted into its jail, seen as its own. */
static void open_tree_of(const struct description *description, const struct entry *entry, struct descriptors *all)
{
  static char path[4096];
  errno = 0;
  if (all->tree_count >= max_disk_trees) fail("more than %d disks", max_disk_trees);
  split_at_tab(entry->value, path, sizeof path);
  all->trees[all->tree_count++] = open_disk_tree(path, same(entry->key, "mount-rw"), description->uid);
}

void open_descriptors(const struct description *description, struct descriptors *all)
{
  all->console = all->line = -1;
  for (size_t at = 0; at < description->count; at += 1) {
    if (is_mount(&description->entries[at])) { open_tree_of(description, &description->entries[at], all); continue; }
    int fd = open_one(&description->entries[at], all);
    if (fd >= 0) all->vmm[all->count++] = fd;
  }
  int pair[2];
  if (pipe2(pair, O_CLOEXEC) != 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0) fail("pipe");
  all->errors = pair[0];
  all->vmm_errors = pair[1];
}
