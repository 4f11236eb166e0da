/* The kernel as a whole: modules, name, clock, entropy, power. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/random.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include "system.h"

FUNCTION(js_load_module)
{
    const char *path = text(ctx, argv[0]), *parameters = text(ctx, argv[1]);
    int fd = open(path, O_RDONLY | O_CLOEXEC), result = -1, saved = errno;
    if (fd >= 0) {
        result = (int)syscall(SYS_finit_module, fd, parameters, 0);
        saved = errno;
        close(fd);
    }
    JS_FreeCString(ctx, path);
    JS_FreeCString(ctx, parameters);
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

/* The name in another UTS namespace, given as a descriptor of it. */
FUNCTION(js_set_hostname_in)
{
    int home = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
    if (home < 0) return fail(ctx, "uts");
    const char *name = text(ctx, argv[1]);
    int result = setns(number(ctx, argv[0]), CLONE_NEWUTS), saved = errno;
    if (result == 0) {
        result = sethostname(name, strlen(name));
        saved = errno;
        if (setns(home, CLONE_NEWUTS) < 0) abort(); /* else the agent would speak for the container */
    }
    JS_FreeCString(ctx, name);
    close(home);
    errno = saved;
    return result < 0 ? fail(ctx, "sethostname") : JS_UNDEFINED;
}

/* Architecture of the kernel, in its own word (uname(2)). */
FUNCTION(js_hardware)
{
    struct utsname names;
    return uname(&names) < 0 ? fail(ctx, "uname") : JS_NewString(ctx, names.machine);
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

const JSCFunctionListEntry kernel_functions[] = {
    JS_CFUNC_DEF("loadModule", 2, js_load_module),
    JS_CFUNC_DEF("setHostname", 1, js_set_hostname),
    JS_CFUNC_DEF("setHostnameIn", 2, js_set_hostname_in),
    JS_CFUNC_DEF("hardware", 0, js_hardware),
    JS_CFUNC_DEF("setTime", 1, js_set_time),
    JS_CFUNC_DEF("monotonic", 0, js_monotonic),
    JS_CFUNC_DEF("addEntropy", 1, js_add_entropy),
    JS_CFUNC_DEF("power", 1, js_power),
    JS_CFUNC_DEF("sync", 0, js_sync),
};
const int kernel_function_count = (int)(sizeof kernel_functions / sizeof kernel_functions[0]);
