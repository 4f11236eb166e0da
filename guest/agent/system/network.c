/* Network namespaces, rtnetlink, connections of probes. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "system.h"

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

const JSCFunctionListEntry network_functions[] = {
    JS_CFUNC_DEF("unshareNet", 0, js_unshare_net),
    JS_CFUNC_DEF("setnsNet", 1, js_setns_net),
    JS_CFUNC_DEF("netlink", 1, js_netlink),
    JS_CFUNC_DEF("interfaceIndex", 1, js_interface_index),
    JS_CFUNC_DEF("connect", 2, js_connect),
    JS_CFUNC_DEF("socketError", 1, js_socket_error),
};
const int network_function_count = (int)(sizeof network_functions / sizeof network_functions[0]);
