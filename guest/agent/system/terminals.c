/* Terminals. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include "system.h"

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

/* A terminal as a line of plain bytes: nothing is changed, echoed or taken as a signal. */
FUNCTION(js_raw_terminal)
{
    struct termios settings;
    if (tcgetattr(number(ctx, argv[0]), &settings) < 0) return fail(ctx, "tcgetattr");
    cfmakeraw(&settings);
    return tcsetattr(number(ctx, argv[0]), TCSANOW, &settings) < 0 ? fail(ctx, "tcsetattr") : JS_UNDEFINED;
}

const JSCFunctionListEntry terminal_functions[] = {
    JS_CFUNC_DEF("openPty", 3, js_open_pty),
    JS_CFUNC_DEF("setWindow", 3, js_set_window),
    JS_CFUNC_DEF("rawTerminal", 1, js_raw_terminal),
};
const int terminal_function_count = (int)(sizeof terminal_functions / sizeof terminal_functions[0]);
