/* Network namespaces, rtnetlink, connections of probes, and the end of those of others. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

/* Whether a TCP socket speaks over the card: its own address is none of the loopback. */
static int leaves(int fd)
{
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    if (getsockname(fd, (struct sockaddr *)&own, &size) < 0) return 0;
    if (own.ss_family == AF_INET) return (ntohl(((struct sockaddr_in *)&own)->sin_addr.s_addr) >> 24) != 127;
    if (own.ss_family != AF_INET6) return 0;
    struct in6_addr *address = &((struct sockaddr_in6 *)&own)->sin6_addr;
    return !IN6_IS_ADDR_LOOPBACK(address) && !(IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

/* As if the other side had reset it; where somebody waits in it and the kernel forbids that, as if it had closed it. */
static void cut(int fd)
{
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    if (connect(fd, &none, sizeof none) < 0) shutdown(fd, SHUT_RDWR);
}

/* What waits to be accepted was meant for somebody else. */
static void cut_waiting(int fd)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    struct linger reset = { .l_onoff = 1 };
    while (poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN) != 0) {
        int waiting = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (waiting < 0) return;
        if (leaves(waiting)) setsockopt(waiting, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(waiting);
    }
}

/* Ends the connection that a process has as this descriptor of its own; one that stays inside the machine goes on. True where there was one. */
FUNCTION(js_cut_connection)
{
    int process = (int)syscall(SYS_pidfd_open, number(ctx, argv[0]), 0);
    if (process < 0) return fail(ctx, "pidfd_open");
    int fd = (int)syscall(SYS_pidfd_getfd, process, number(ctx, argv[1]), 0), saved = errno;
    close(process);
    errno = saved;
    if (fd < 0) return errno == EBADF ? JS_FALSE : fail(ctx, "pidfd_getfd");
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    int found = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state != TCP_CLOSE;
    if (found && info.tcpi_state == TCP_LISTEN) cut_waiting(fd);
    else if (found && (found = leaves(fd))) cut(fd);
    close(fd);
    return JS_NewBool(ctx, found);
}

const JSCFunctionListEntry network_functions[] = {
    JS_CFUNC_DEF("unshareNet", 0, js_unshare_net),
    JS_CFUNC_DEF("setnsNet", 1, js_setns_net),
    JS_CFUNC_DEF("netlink", 1, js_netlink),
    JS_CFUNC_DEF("interfaceIndex", 1, js_interface_index),
    JS_CFUNC_DEF("connect", 2, js_connect),
    JS_CFUNC_DEF("socketError", 1, js_socket_error),
    JS_CFUNC_DEF("cutConnection", 2, js_cut_connection),
};
const int network_function_count = (int)(sizeof network_functions / sizeof network_functions[0]);
