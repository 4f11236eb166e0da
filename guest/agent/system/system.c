/*
 * The system calls that QuickJS' own os module lacks, as one native module `sys`.
 *
 * Every function throws a TypeError-free plain Error "<call>: <strerror>" on failure, so that the agent's
 * TypeScript never has to look at return codes. Nothing here decides anything: mounts, namespaces,
 * processes and netlink are composed in TypeScript. Linked statically into /init of the guest OS.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/random.h>
#include <net/if.h>
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <quickjs.h>

#define FUNCTION(name) static JSValue name(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv)

static JSValue fail(JSContext *ctx, const char *call)
{
    return JS_ThrowInternalError(ctx, "%s: %s", call, strerror(errno));
}

/* A C string argument, or NULL for null and undefined; free with JS_FreeCString. */
static const char *text(JSContext *ctx, JSValueConst value)
{
    if (JS_IsNull(value) || JS_IsUndefined(value)) return NULL;
    return JS_ToCString(ctx, value);
}

static int32_t number(JSContext *ctx, JSValueConst value)
{
    int32_t out = 0;
    JS_ToInt32(ctx, &out, value);
    return out;
}

FUNCTION(js_mount)
{
    const char *source = text(ctx, argv[0]), *target = text(ctx, argv[1]), *type = text(ctx, argv[2]), *data = text(ctx, argv[4]);
    int result = mount(source ? source : "none", target, type, (unsigned long)number(ctx, argv[3]), data);
    int saved = errno;
    JS_FreeCString(ctx, source); JS_FreeCString(ctx, target); JS_FreeCString(ctx, type); JS_FreeCString(ctx, data);
    errno = saved;
    return result < 0 ? fail(ctx, "mount") : JS_UNDEFINED;
}

FUNCTION(js_umount)
{
    const char *target = text(ctx, argv[0]);
    int result = umount2(target, number(ctx, argv[1])), saved = errno;
    JS_FreeCString(ctx, target);
    errno = saved;
    return result < 0 ? fail(ctx, "umount2") : JS_UNDEFINED;
}

/* Moves the mount at `path` over / and enters it, so that pivot_root works afterwards (an initramfs root cannot pivot). */
FUNCTION(js_switch_root)
{
    const char *path = text(ctx, argv[0]);
    int result = chdir(path);
    if (result == 0) result = mount(".", "/", NULL, MS_MOVE, NULL);
    if (result == 0) result = chroot(".");
    if (result == 0) result = chdir("/");
    int saved = errno;
    JS_FreeCString(ctx, path);
    errno = saved;
    return result < 0 ? fail(ctx, "switch root") : JS_UNDEFINED;
}

FUNCTION(js_load_module)
{
    const char *path = text(ctx, argv[0]);
    int fd = open(path, O_RDONLY | O_CLOEXEC), result = -1, saved = errno;
    if (fd >= 0) {
        result = (int)syscall(SYS_finit_module, fd, "", 0);
        saved = errno;
        close(fd);
    }
    JS_FreeCString(ctx, path);
    errno = saved;
    return result < 0 && errno != EEXIST ? fail(ctx, "finit_module") : JS_UNDEFINED;
}

FUNCTION(js_set_hostname)
{
    const char *name = text(ctx, argv[0]);
    int result = sethostname(name, strlen(name)), saved = errno;
    JS_FreeCString(ctx, name);
    errno = saved;
    return result < 0 ? fail(ctx, "sethostname") : JS_UNDEFINED;
}

FUNCTION(js_set_time)
{
    double milliseconds = 0;
    JS_ToFloat64(ctx, &milliseconds, argv[0]);
    struct timespec now = { .tv_sec = (time_t)(milliseconds / 1000), .tv_nsec = (long)((milliseconds - (double)((time_t)(milliseconds / 1000)) * 1000) * 1e6) };
    return clock_settime(CLOCK_REALTIME, &now) < 0 ? fail(ctx, "clock_settime") : JS_UNDEFINED;
}

FUNCTION(js_monotonic)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return JS_NewFloat64(ctx, (double)now.tv_sec * 1000 + (double)now.tv_nsec / 1e6);
}

/* Credits the bytes as entropy and makes the kernel draw a fresh key at once (random(4), ioctls). */
FUNCTION(js_add_entropy)
{
    size_t size = 0;
    uint8_t *bytes = JS_GetArrayBuffer(ctx, &size, argv[0]);
    if (bytes == NULL || size == 0 || size > 512) return JS_ThrowInternalError(ctx, "entropy: 1 to 512 bytes");
    struct rand_pool_info *info = calloc(1, sizeof *info + size);
    if (info == NULL) return fail(ctx, "calloc");
    info->entropy_count = (int)size * 8;
    info->buf_size = (int)size;
    memcpy(info->buf, bytes, size);
    int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    int result = fd < 0 ? -1 : ioctl(fd, RNDADDENTROPY, info);
    if (result == 0) result = ioctl(fd, RNDRESEEDCRNG);
    int saved = errno;
    if (fd >= 0) close(fd);
    free(info);
    errno = saved;
    return result < 0 ? fail(ctx, "reseed") : JS_UNDEFINED;
}

FUNCTION(js_power)
{
    sync();
    return reboot(number(ctx, argv[0]) ? RB_AUTOBOOT : RB_POWER_OFF) < 0 ? fail(ctx, "reboot") : JS_UNDEFINED;
}

FUNCTION(js_sync) { sync(); return JS_UNDEFINED; }

FUNCTION(js_chmod)
{
    const char *path = text(ctx, argv[0]);
    int result = chmod(path, (mode_t)number(ctx, argv[1])), saved = errno;
    JS_FreeCString(ctx, path);
    errno = saved;
    return result < 0 ? fail(ctx, "chmod") : JS_UNDEFINED;
}

FUNCTION(js_chown)
{
    const char *path = text(ctx, argv[0]);
    int result = lchown(path, (uid_t)number(ctx, argv[1]), (gid_t)number(ctx, argv[2])), saved = errno;
    JS_FreeCString(ctx, path);
    errno = saved;
    return result < 0 ? fail(ctx, "lchown") : JS_UNDEFINED;
}

/* Freezes (1) or thaws (0) the file system that holds path; see ioctl_fifreeze(2). */
FUNCTION(js_freeze)
{
    const char *path = text(ctx, argv[0]);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result = fd < 0 ? -1 : ioctl(fd, number(ctx, argv[1]) ? FIFREEZE : FITHAW, 0), saved = errno;
    if (fd >= 0) close(fd);
    JS_FreeCString(ctx, path);
    errno = saved;
    return result < 0 && errno != EBUSY && errno != EINVAL ? fail(ctx, "freeze") : JS_UNDEFINED;
}

FUNCTION(js_unshare_net) { return unshare(CLONE_NEWNET) < 0 ? fail(ctx, "unshare") : JS_UNDEFINED; }

FUNCTION(js_setns_net) { return setns(number(ctx, argv[0]), CLONE_NEWNET) < 0 ? fail(ctx, "setns") : JS_UNDEFINED; }

/* One rtnetlink request in the current network namespace; throws what the kernel answers. */
FUNCTION(js_netlink)
{
    size_t size = 0;
    uint8_t *request = JS_GetArrayBuffer(ctx, &size, argv[0]);
    if (request == NULL) return JS_EXCEPTION;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0) return fail(ctx, "netlink");
    char reply[8192];
    ssize_t got = send(fd, request, size, 0) < 0 ? -1 : recv(fd, reply, sizeof reply, 0);
    int saved = errno;
    close(fd);
    errno = saved;
    if (got < (ssize_t)sizeof(struct nlmsghdr)) return fail(ctx, "netlink");
    struct nlmsghdr *header = (struct nlmsghdr *)reply;
    if (header->nlmsg_type != NLMSG_ERROR) return JS_ThrowInternalError(ctx, "netlink: unexpected reply %d", header->nlmsg_type);
    struct nlmsgerr *answer = NLMSG_DATA(header);
    errno = -answer->error;
    return answer->error != 0 ? fail(ctx, "netlink") : JS_UNDEFINED;
}

FUNCTION(js_interface_index)
{
    const char *name = text(ctx, argv[0]);
    unsigned index = if_nametoindex(name);
    JS_FreeCString(ctx, name);
    return JS_NewInt32(ctx, (int)index);
}

/* A non-blocking connection attempt; the outcome is read with socketError once the descriptor is writable. */
FUNCTION(js_connect)
{
    const char *address = text(ctx, argv[0]);
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)number(ctx, argv[1])) };
    int valid = inet_pton(AF_INET, address, &to.sin_addr);
    JS_FreeCString(ctx, address);
    if (valid != 1) return JS_ThrowInternalError(ctx, "connect: not an address");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fail(ctx, "socket");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        int saved = errno;
        close(fd);
        errno = saved;
        return fail(ctx, "connect");
    }
    return JS_NewInt32(ctx, fd);
}

FUNCTION(js_socket_error)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(number(ctx, argv[0]), SOL_SOCKET, SO_ERROR, &error, &size) < 0) return fail(ctx, "getsockopt");
    return error == 0 ? JS_NewString(ctx, "") : JS_NewString(ctx, strerror(error));
}

FUNCTION(js_nonblocking)
{
    int fd = number(ctx, argv[0]), flags = fcntl(fd, F_GETFL);
    return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? fail(ctx, "fcntl") : JS_UNDEFINED;
}

/* read(2) and write(2): bytes moved, 0 at the end, -1 where it would block. */
FUNCTION(js_read)
{
    size_t size = 0;
    uint8_t *bytes = JS_GetArrayBuffer(ctx, &size, argv[1]);
    if (bytes == NULL) return JS_EXCEPTION;
    ssize_t got = read(number(ctx, argv[0]), bytes, size);
    if (got < 0 && errno != EAGAIN && errno != EINTR) return errno == EIO ? JS_NewInt32(ctx, 0) : fail(ctx, "read");
    return JS_NewInt32(ctx, (int)got);
}

FUNCTION(js_write)
{
    size_t size = 0;
    uint8_t *bytes = JS_GetArrayBuffer(ctx, &size, argv[1]);
    int32_t offset = number(ctx, argv[2]), length = number(ctx, argv[3]);
    if (bytes == NULL || offset < 0 || length < 0 || (size_t)offset + (size_t)length > size) return JS_ThrowInternalError(ctx, "write: range");
    ssize_t put = write(number(ctx, argv[0]), bytes + offset, (size_t)length);
    if (put < 0 && errno != EAGAIN && errno != EINTR) return fail(ctx, "write");
    return JS_NewInt32(ctx, (int)put);
}

/* A whole small file as text, whatever size the kernel says it has (proc and sysfs lie); null where it cannot be read. */
FUNCTION(js_read_text)
{
    const char *path = text(ctx, argv[0]);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    JS_FreeCString(ctx, path);
    if (fd < 0) return JS_NULL;
    size_t size = 0, room = 4096;
    char *bytes = malloc(room);
    ssize_t got = 0;
    while (bytes != NULL && (got = read(fd, bytes + size, room - size)) > 0) {
        size += (size_t)got;
        if (size < room) continue;
        if (room >= 8 * 1024 * 1024) break;
        char *larger = realloc(bytes, room *= 2);
        if (larger == NULL) break;
        bytes = larger;
    }
    close(fd);
    JSValue value = got < 0 || bytes == NULL ? JS_NULL : JS_NewStringLen(ctx, bytes, size);
    free(bytes);
    return value;
}

/* poll(2) over an array of struct pollfd, for at most so many milliseconds (-1: for ever). */
FUNCTION(js_poll_all)
{
    size_t size = 0;
    uint8_t *list = JS_GetArrayBuffer(ctx, &size, argv[0]);
    if (list == NULL && size != 0) return JS_EXCEPTION;
    int ready = poll((struct pollfd *)list, size / sizeof(struct pollfd), number(ctx, argv[1]));
    return ready < 0 && errno != EINTR ? fail(ctx, "poll") : JS_NewInt32(ctx, ready);
}

/* Whether nobody is at the other end of a port. */
FUNCTION(js_hung_up)
{
    struct pollfd one = { .fd = number(ctx, argv[0]), .events = POLLIN };
    return JS_NewBool(ctx, poll(&one, 1, 0) < 0 || (one.revents & POLLHUP));
}

/* The function that main.c calls for ever. */
JSValue agent_turn;
int agent_has_turn;
FUNCTION(js_set_turn)
{
    if (agent_has_turn) JS_FreeValue(ctx, agent_turn);
    agent_has_turn = 1;
    agent_turn = JS_DupValue(ctx, argv[0]);
    return JS_UNDEFINED;
}

/*
 * Opens a path as a process sees it whose root is `root`: links, also absolute ones, never lead out (openat2(2),
 * RESOLVE_IN_ROOT). kind: 0 read, 1 write anew, 2 append, 3 a handle only, 4 read and write. Returns the descriptor or -errno.
 */
FUNCTION(js_open_in)
{
    static const uint64_t flags[8] = { O_RDONLY | O_NONBLOCK | O_NOCTTY, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY, O_PATH, O_RDWR | O_NONBLOCK | O_NOCTTY };
    const char *root = text(ctx, argv[0]), *path = text(ctx, argv[1]);
    int kind = number(ctx, argv[2]) & 7, result = -1;
    struct open_how how = { .flags = flags[kind] | O_CLOEXEC, .mode = kind == 1 || kind == 2 ? (uint64_t)number(ctx, argv[3]) : 0, .resolve = RESOLVE_IN_ROOT };
    int base = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (base >= 0) result = (int)syscall(SYS_openat2, base, path, &how, sizeof how);
    int saved = errno;
    if (base >= 0) close(base);
    JS_FreeCString(ctx, root); JS_FreeCString(ctx, path);
    return JS_NewInt32(ctx, result < 0 ? -saved : result);
}

/* [mode, uid, gid, size] of a descriptor. */
FUNCTION(js_fstat)
{
    struct stat info;
    if (fstat(number(ctx, argv[0]), &info) < 0) return fail(ctx, "fstat");
    double values[] = { info.st_mode, info.st_uid, info.st_gid, (double)info.st_size };
    JSValue list = JS_NewArray(ctx);
    for (uint32_t i = 0; i < 4; i++) JS_SetPropertyUint32(ctx, list, i, JS_NewFloat64(ctx, values[i]));
    return list;
}

/* [mode, uid, gid, size] of a path, links not followed; null where there is nothing. */
FUNCTION(js_lstat)
{
    struct stat info;
    const char *path = text(ctx, argv[0]);
    int result = lstat(path, &info);
    JS_FreeCString(ctx, path);
    if (result < 0) return JS_NULL;
    double values[] = { info.st_mode, info.st_uid, info.st_gid, (double)info.st_size };
    JSValue list = JS_NewArray(ctx);
    for (uint32_t i = 0; i < 4; i++) JS_SetPropertyUint32(ctx, list, i, JS_NewFloat64(ctx, values[i]));
    return list;
}

FUNCTION(js_pipe)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return fail(ctx, "pipe");
    JSValue pair = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, pair, 0, JS_NewInt32(ctx, ends[0]));
    JS_SetPropertyUint32(ctx, pair, 1, JS_NewInt32(ctx, ends[1]));
    return pair;
}

/* A terminal of the devpts that `ptmx` (an open descriptor, which becomes the master) belongs to; returns the slave. */
FUNCTION(js_open_pty)
{
    struct winsize size = { .ws_row = (unsigned short)number(ctx, argv[1]), .ws_col = (unsigned short)number(ctx, argv[2]) };
    int master = number(ctx, argv[0]), locked = 0;
    if (ioctl(master, TIOCSPTLCK, &locked) < 0) return fail(ctx, "TIOCSPTLCK");
    int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0 || ioctl(master, TIOCSWINSZ, &size) < 0) return fail(ctx, "TIOCGPTPEER");
    return JS_NewInt32(ctx, slave);
}

FUNCTION(js_set_window)
{
    struct winsize size = { .ws_row = (unsigned short)number(ctx, argv[1]), .ws_col = (unsigned short)number(ctx, argv[2]) };
    return ioctl(number(ctx, argv[0]), TIOCSWINSZ, &size) < 0 ? fail(ctx, "TIOCSWINSZ") : JS_UNDEFINED;
}

static char **strings(JSContext *ctx, JSValueConst array)
{
    int64_t count = 0;
    JSValue length = JS_GetPropertyStr(ctx, array, "length");
    JS_ToInt64(ctx, &count, length);
    JS_FreeValue(ctx, length);
    char **list = calloc((size_t)count + 1, sizeof *list);
    for (int64_t i = 0; list != NULL && i < count; i++) {
        JSValue item = JS_GetPropertyUint32(ctx, array, (uint32_t)i);
        const char *value = JS_ToCString(ctx, item);
        list[i] = strdup(value ? value : "");
        JS_FreeCString(ctx, value);
        JS_FreeValue(ctx, item);
    }
    return list;
}

static void free_strings(char **list)
{
    for (char **one = list; one != NULL && *one != NULL; one++) free(*one);
    free(list);
}

static int32_t field(JSContext *ctx, JSValueConst object, const char *name, int32_t otherwise)
{
    JSValue value = JS_GetPropertyStr(ctx, object, name);
    int32_t out = JS_IsUndefined(value) || JS_IsNull(value) ? otherwise : number(ctx, value);
    JS_FreeValue(ctx, value);
    return out;
}

struct entry {
    int stdio[3], namespaces[6], namespace_count, cgroup, root, terminal, uid, gid, group_count;
    gid_t groups[64];
    uint32_t capabilities_low, capabilities_high;
    int drop_capabilities;
    const char *directory;
    char **argv, **env;
};

static void report(int fd, const char *what)
{
    dprintf(fd, "%d %s", errno, what);
    _exit(errno == ENOENT ? 127 : 126);
}

static void limit_capabilities(const struct entry *e, int error)
{
    for (int cap = 0; cap < 64; cap++) {
        uint32_t word = cap < 32 ? e->capabilities_low : e->capabilities_high;
        if (!(word & (1u << (cap & 31)))) prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    }
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { e->capabilities_low, e->capabilities_low, 0 }, { e->capabilities_high, e->capabilities_high, 0 },
    };
    if (e->uid != 0) { data[0].effective = data[0].permitted = 0; data[1].effective = data[1].permitted = 0; }
    if (syscall(SYS_capset, &header, data) < 0) report(error, "capset");
}

/* The last part of a child's way: terminal, identity, exec. Never returns. */
static void become(const struct entry *e, int error)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    if (e->terminal && ioctl(e->stdio[0], TIOCSCTTY, 0) < 0) report(error, "controlling terminal");
    if (e->terminal && fchown(e->stdio[0], (uid_t)e->uid, (gid_t)-1) < 0) report(error, "terminal's owner");
    for (int i = 0; i < 3; i++) if (dup2(e->stdio[i], i) < 0) report(error, "dup2");
    if (e->drop_capabilities) prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
    if (setgroups((size_t)e->group_count, e->groups) < 0) report(error, "setgroups");
    if (setgid((gid_t)e->gid) < 0) report(error, "setgid");
    if (e->drop_capabilities && e->uid == 0) limit_capabilities(e, error);
    if (e->drop_capabilities && e->uid != 0) {
        for (int cap = 0; cap < 64; cap++) {
            uint32_t word = cap < 32 ? e->capabilities_low : e->capabilities_high;
            if (!(word & (1u << (cap & 31)))) prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
        }
    }
    if (setuid((uid_t)e->uid) < 0) report(error, "setuid");
    if (e->directory != NULL && chdir(e->directory) < 0) report(error, "working directory");
    syscall(SYS_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */); /* nothing of ours goes in, the line to the host least of all */
    environ = e->env; /* so that the program is looked for in the PATH it will have */
    execvp(e->argv[0], e->argv);
    report(error, e->argv[0]);
}

/*
 * Starts a program. {argv, env, stdio: [in, out, err], cwd?, terminal?, namespaces?: [fd…], pidNamespace?: fd and
 * ownPidNamespace?: fd to come back to, cgroup?: fd of cgroup.procs,
 * root?: fd of the root folder, uid?, gid?, groups?, capabilities?: [low, high]}. Returns the pid of the program as this
 * namespace sees it; throws "<errno> <what>" where it could not be started (ENOENT: no such program).
 */
FUNCTION(js_spawn)
{
    struct entry e = { .cgroup = -1, .root = -1 };
    JSValueConst o = argv[0];
    JSValue value = JS_GetPropertyStr(ctx, o, "argv"); e.argv = strings(ctx, value); JS_FreeValue(ctx, value);
    value = JS_GetPropertyStr(ctx, o, "env"); e.env = strings(ctx, value); JS_FreeValue(ctx, value);
    value = JS_GetPropertyStr(ctx, o, "stdio");
    for (uint32_t i = 0; i < 3; i++) { JSValue one = JS_GetPropertyUint32(ctx, value, i); e.stdio[i] = number(ctx, one); JS_FreeValue(ctx, one); }
    JS_FreeValue(ctx, value);
    value = JS_GetPropertyStr(ctx, o, "namespaces");
    if (JS_IsArray(ctx, value)) for (; e.namespace_count < 6; e.namespace_count++) {
        JSValue one = JS_GetPropertyUint32(ctx, value, (uint32_t)e.namespace_count);
        if (JS_IsUndefined(one)) break;
        e.namespaces[e.namespace_count] = number(ctx, one);
        JS_FreeValue(ctx, one);
    }
    JS_FreeValue(ctx, value);
    value = JS_GetPropertyStr(ctx, o, "groups");
    if (JS_IsArray(ctx, value)) for (; e.group_count < 64; e.group_count++) {
        JSValue one = JS_GetPropertyUint32(ctx, value, (uint32_t)e.group_count);
        if (JS_IsUndefined(one)) break;
        e.groups[e.group_count] = (gid_t)number(ctx, one);
        JS_FreeValue(ctx, one);
    }
    JS_FreeValue(ctx, value);
    value = JS_GetPropertyStr(ctx, o, "capabilities");
    if (JS_IsArray(ctx, value)) {
        e.drop_capabilities = 1;
        JSValue low = JS_GetPropertyUint32(ctx, value, 0), high = JS_GetPropertyUint32(ctx, value, 1);
        JS_ToUint32(ctx, &e.capabilities_low, low); JS_ToUint32(ctx, &e.capabilities_high, high);
        JS_FreeValue(ctx, low); JS_FreeValue(ctx, high);
    }
    JS_FreeValue(ctx, value);
    e.cgroup = field(ctx, o, "cgroup", -1); e.root = field(ctx, o, "root", -1); e.terminal = field(ctx, o, "terminal", 0);
    int pid_namespace = field(ctx, o, "pidNamespace", -1), own_pid_namespace = field(ctx, o, "ownPidNamespace", -1);
    e.uid = field(ctx, o, "uid", 0); e.gid = field(ctx, o, "gid", 0);
    value = JS_GetPropertyStr(ctx, o, "cwd");
    e.directory = text(ctx, value);
    JS_FreeValue(ctx, value);

    int channel[2];
    pid_t pid = -1;
    /* A pid namespace takes only children of whoever entered it; entering and leaving it here keeps us the child's parent. */
    int entered = pid_namespace < 0 || setns(pid_namespace, CLONE_NEWPID) == 0;
    if (entered && pipe2(channel, O_CLOEXEC) == 0) {
        pid = fork();
        if (pid != 0 && pid_namespace >= 0) setns(own_pid_namespace, CLONE_NEWPID);
        if (pid == 0) {
            if (e.cgroup >= 0 && write(e.cgroup, "0", 1) < 0) report(channel[1], "cgroup");
            for (int i = 0; i < e.namespace_count; i++) if (setns(e.namespaces[i], 0) < 0) report(channel[1], "setns");
            if (e.root >= 0 && (fchdir(e.root) < 0 || chroot(".") < 0)) report(channel[1], "root");
            become(&e, channel[1]);
        }
        close(channel[1]);
    }
    JS_FreeCString(ctx, e.directory);
    free_strings(e.argv); free_strings(e.env);
    if (pid < 0) return fail(ctx, "fork");
    char message[256];
    ssize_t got = read(channel[0], message, sizeof message - 1);
    close(channel[0]);
    if (got > 0) {
        message[got] = 0;
        waitpid(pid, NULL, 0);
        return JS_ThrowInternalError(ctx, "%s", message);
    }
    return JS_NewInt32(ctx, pid);
}

/* Asks the kernel for SIGIO when the descriptor's other end comes or goes. */
FUNCTION(js_notify_changes)
{
    int fd = number(ctx, argv[0]);
    if (fcntl(fd, F_SETOWN, getpid()) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC | O_NONBLOCK) < 0) return fail(ctx, "O_ASYNC");
    return JS_UNDEFINED;
}

/*
 * A descriptor that is readable when a child has ended or a watched port changed. Instead of a signal handler: one that sets a flag can be
 * missed between the look at the flag and the wait for descriptors.
 */
FUNCTION(js_signals)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGIO);
    sigaddset(&set, SIGINT); /* Ctrl-Alt-Del, where the kernel leaves it to us */
    int fd = sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -1 : signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? fail(ctx, "signalfd") : JS_NewInt32(ctx, fd);
}

/* A terminal as a line of plain bytes: nothing is changed, echoed or taken as a signal. */
FUNCTION(js_raw_terminal)
{
    struct termios settings;
    if (tcgetattr(number(ctx, argv[0]), &settings) < 0) return fail(ctx, "tcgetattr");
    cfmakeraw(&settings);
    return tcsetattr(number(ctx, argv[0]), TCSANOW, &settings) < 0 ? fail(ctx, "tcsetattr") : JS_UNDEFINED;
}

/* The next ended child as [pid, status], or null. */
FUNCTION(js_reap)
{
    int status = 0;
    pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return JS_NULL;
    JSValue pair = JS_NewArray(ctx);
    JS_SetPropertyUint32(ctx, pair, 0, JS_NewInt32(ctx, pid));
    JS_SetPropertyUint32(ctx, pair, 1, JS_NewInt32(ctx, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)));
    return pair;
}

FUNCTION(js_kill) { return kill(number(ctx, argv[0]), number(ctx, argv[1])) < 0 && errno != ESRCH ? fail(ctx, "kill") : JS_UNDEFINED; }

FUNCTION(js_encode)
{
    size_t size = 0;
    const char *bytes = JS_ToCStringLen(ctx, &size, argv[0]);
    if (bytes == NULL) return JS_EXCEPTION;
    JSValue buffer = JS_NewArrayBufferCopy(ctx, (const uint8_t *)bytes, size);
    JS_FreeCString(ctx, bytes);
    return buffer;
}

FUNCTION(js_decode)
{
    size_t size = 0;
    uint8_t *bytes = JS_GetArrayBuffer(ctx, &size, argv[0]);
    int32_t offset = number(ctx, argv[1]), length = number(ctx, argv[2]);
    if (bytes == NULL || offset < 0 || length < 0 || (size_t)offset + (size_t)length > size) return JS_ThrowInternalError(ctx, "decode: range");
    return JS_NewStringLen(ctx, (const char *)bytes + offset, (size_t)length);
}

static const char base64_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

FUNCTION(js_to_base64)
{
    size_t size = 0;
    uint8_t *in = JS_GetArrayBuffer(ctx, &size, argv[0]);
    int32_t offset = number(ctx, argv[1]), length = number(ctx, argv[2]);
    if ((in == NULL && size != 0) || offset < 0 || length < 0 || (size_t)offset + (size_t)length > size) return JS_ThrowInternalError(ctx, "base64: range");
    char *out = malloc((size_t)length / 3 * 4 + 8), *to = out;
    if (out == NULL) return fail(ctx, "malloc");
    for (int32_t i = 0; i < length; i += 3) {
        const uint8_t *at = in + offset + i;
        int left = length - i;
        uint32_t bits = (uint32_t)at[0] << 16 | (left > 1 ? (uint32_t)at[1] << 8 : 0) | (left > 2 ? at[2] : 0);
        *to++ = base64_letters[bits >> 18];
        *to++ = base64_letters[bits >> 12 & 63];
        *to++ = left > 1 ? base64_letters[bits >> 6 & 63] : '=';
        *to++ = left > 2 ? base64_letters[bits & 63] : '=';
    }
    JSValue value = JS_NewStringLen(ctx, out, (size_t)(to - out));
    free(out);
    return value;
}

FUNCTION(js_from_base64)
{
    static int8_t values[256];
    if (values['B'] == 0) {
        memset(values, -1, sizeof values);
        for (int i = 0; i < 64; i++) values[(uint8_t)base64_letters[i]] = (int8_t)i;
    }
    size_t size = 0;
    const char *in = JS_ToCStringLen(ctx, &size, argv[0]);
    uint8_t *out = in == NULL ? NULL : malloc(size / 4 * 3 + 3);
    if (out == NULL) return JS_EXCEPTION;
    size_t to = 0;
    uint32_t held = 0;
    int bits = 0;
    for (size_t i = 0; i < size && in[i] != '='; i++) {
        int value = values[(uint8_t)in[i]];
        if (value < 0) break;
        held = held << 6 | (uint32_t)value;
        if ((bits += 6) >= 8) out[to++] = (uint8_t)(held >> (bits -= 8));
    }
    JS_FreeCString(ctx, in);
    JSValue buffer = JS_NewArrayBufferCopy(ctx, out, to);
    free(out);
    return buffer;
}

static const JSCFunctionListEntry functions[] = {
    JS_CFUNC_DEF("mount", 5, js_mount), JS_CFUNC_DEF("umount", 2, js_umount), JS_CFUNC_DEF("switchRoot", 1, js_switch_root),
    JS_CFUNC_DEF("loadModule", 1, js_load_module), JS_CFUNC_DEF("setHostname", 1, js_set_hostname), JS_CFUNC_DEF("setTime", 1, js_set_time),
    JS_CFUNC_DEF("monotonic", 0, js_monotonic), JS_CFUNC_DEF("addEntropy", 1, js_add_entropy), JS_CFUNC_DEF("power", 1, js_power),
    JS_CFUNC_DEF("sync", 0, js_sync), JS_CFUNC_DEF("chmod", 2, js_chmod), JS_CFUNC_DEF("chown", 3, js_chown), JS_CFUNC_DEF("freeze", 2, js_freeze),
    JS_CFUNC_DEF("unshareNet", 0, js_unshare_net), JS_CFUNC_DEF("setnsNet", 1, js_setns_net), JS_CFUNC_DEF("netlink", 1, js_netlink),
    JS_CFUNC_DEF("interfaceIndex", 1, js_interface_index), JS_CFUNC_DEF("connect", 2, js_connect), JS_CFUNC_DEF("socketError", 1, js_socket_error),
    JS_CFUNC_DEF("nonblocking", 1, js_nonblocking), JS_CFUNC_DEF("read", 2, js_read), JS_CFUNC_DEF("write", 4, js_write), JS_CFUNC_DEF("pollAll", 2, js_poll_all), JS_CFUNC_DEF("hungUp", 1, js_hung_up),
    JS_CFUNC_DEF("setTurn", 1, js_set_turn), JS_CFUNC_DEF("openIn", 4, js_open_in), JS_CFUNC_DEF("fstat", 1, js_fstat), JS_CFUNC_DEF("lstat", 1, js_lstat),
    JS_CFUNC_DEF("readText", 1, js_read_text), JS_CFUNC_DEF("signals", 0, js_signals), JS_CFUNC_DEF("notifyChanges", 1, js_notify_changes), JS_CFUNC_DEF("rawTerminal", 1, js_raw_terminal),
    JS_CFUNC_DEF("pipe", 0, js_pipe), JS_CFUNC_DEF("openPty", 3, js_open_pty), JS_CFUNC_DEF("toBase64", 3, js_to_base64), JS_CFUNC_DEF("fromBase64", 1, js_from_base64), JS_CFUNC_DEF("setWindow", 3, js_set_window),
    JS_CFUNC_DEF("spawn", 1, js_spawn), JS_CFUNC_DEF("reap", 0, js_reap), JS_CFUNC_DEF("kill", 2, js_kill),
    JS_CFUNC_DEF("encode", 1, js_encode), JS_CFUNC_DEF("decode", 3, js_decode),
};
#define COUNT (int)(sizeof functions / sizeof functions[0])

static int fill(JSContext *ctx, JSModuleDef *module) { return JS_SetModuleExportList(ctx, module, functions, COUNT); }

JSModuleDef *js_init_module_sys(JSContext *ctx, const char *name)
{
    JSModuleDef *module = JS_NewCModule(ctx, name, fill);
    if (module != NULL) JS_AddModuleExportList(ctx, module, functions, COUNT);
    return module;
}
