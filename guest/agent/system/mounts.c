/* Mounts and roots. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "system.h"

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

/* A copy of the mount at `path`, belonging to no place yet (open_tree(2)); with what is mounted below it where `deep`. */
FUNCTION(js_open_tree)
{
    const char *path = text(ctx, argv[0]);
    int deep = number(ctx, argv[1]) ? AT_RECURSIVE : 0;
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | deep), saved = errno;
    JS_FreeCString(ctx, path);
    errno = saved;
    return fd < 0 ? fail(ctx, "open_tree") : JS_NewInt32(ctx, fd);
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

const JSCFunctionListEntry mount_functions[] = {
    JS_CFUNC_DEF("mount", 5, js_mount),
    JS_CFUNC_DEF("umount", 2, js_umount),
    JS_CFUNC_DEF("openTree", 2, js_open_tree),
    JS_CFUNC_DEF("switchRoot", 1, js_switch_root),
    JS_CFUNC_DEF("freeze", 2, js_freeze),
};
const int mount_function_count = (int)(sizeof mount_functions / sizeof mount_functions[0]);
