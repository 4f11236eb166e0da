/* Files, pipes and waiting for them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "system.h"

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

/* Asks the kernel for SIGIO when the descriptor's other end comes or goes. */
FUNCTION(js_notify_changes)
{
    int fd = number(ctx, argv[0]);
    if (fcntl(fd, F_SETOWN, getpid()) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC | O_NONBLOCK) < 0) return fail(ctx, "O_ASYNC");
    return JS_UNDEFINED;
}

/* A descriptor that tells which names come to a folder and go, as struct inotify_event. */
FUNCTION(js_watch_folder)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0) return fail(ctx, "inotify_init1");
    const char *path = text(ctx, argv[0]);
    int watch = inotify_add_watch(fd, path, IN_CREATE | IN_DELETE | IN_ONLYDIR), saved = errno;
    JS_FreeCString(ctx, path);
    if (watch >= 0) return JS_NewInt32(ctx, fd);
    close(fd);
    errno = saved;
    return fail(ctx, "inotify_add_watch");
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

const JSCFunctionListEntry file_functions[] = {
    JS_CFUNC_DEF("chmod", 2, js_chmod),
    JS_CFUNC_DEF("chown", 3, js_chown),
    JS_CFUNC_DEF("nonblocking", 1, js_nonblocking),
    JS_CFUNC_DEF("read", 2, js_read),
    JS_CFUNC_DEF("write", 4, js_write),
    JS_CFUNC_DEF("readText", 1, js_read_text),
    JS_CFUNC_DEF("openIn", 4, js_open_in),
    JS_CFUNC_DEF("fstat", 1, js_fstat),
    JS_CFUNC_DEF("lstat", 1, js_lstat),
    JS_CFUNC_DEF("pipe", 0, js_pipe),
    JS_CFUNC_DEF("pollAll", 2, js_poll_all),
    JS_CFUNC_DEF("hungUp", 1, js_hung_up),
    JS_CFUNC_DEF("notifyChanges", 1, js_notify_changes),
    JS_CFUNC_DEF("watchFolder", 1, js_watch_folder),
    JS_CFUNC_DEF("setTurn", 1, js_set_turn),
};
const int file_function_count = (int)(sizeof file_functions / sizeof file_functions[0]);
