/*
 * What a captured guest can do with the line of its agent:
 *
 *   hostile flood <file> <megabytes>    takes the agent's descriptor (pidfd_getfd; root may) and writes the file's bytes over and over
 *   hostile silence                     stops the agent (ptrace; root may), so that it hears nothing and says nothing
 *
 * They end by themselves after ten seconds, and twenty. Prints how many bytes went, or how many seconds it was silent. No C library: it goes into the guest by
 * the words of a command.
 */
#include <asm/unistd.h>

#if defined(__x86_64__)
__asm__(".globl _start\n_start: mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
static long call(long number, long a, long b, long c, long d)
{
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
  return result;
}
#else
__asm__(".globl _start\n_start: mov x0, sp\n bl begin\n");
static long call(long number, long a, long b, long c, long d)
{
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c, x3 __asm__("x3") = d;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
  return x0;
}
#endif

enum { seize = 0x4206, interrupt = 0x4207, agent_pid = 1 }; /* of ptrace(2) */
enum { at_working_folder = -100, flood_seconds = 10, silent_seconds = 20, piece_bytes = 65536 };
struct time { long seconds, nanoseconds; };
static char piece[piece_bytes];

static long now(void)
{
  struct time time;
  call(__NR_clock_gettime, 1, (long)&time, 0, 0);
  return time.seconds;
}

static void rest(void)
{
  struct time little = { 0, 2000000 };
  call(__NR_nanosleep, (long)&little, 0, 0, 0);
}

static int is_port(long fd)
{
  char name[] = "/proc/self/fd/00", target[16];
  name[14] = (char)('0' + fd / 10);
  name[15] = (char)('0' + fd % 10);
  if (fd < 10) { name[14] = name[15]; name[15] = 0; }
  long length = call(__NR_readlinkat, at_working_folder, (long)name, (long)target, sizeof target);
  static const char wanted[] = "/dev/vport";
  for (int at = 0; at < (int)sizeof wanted - 1; at += 1) if (at >= length || target[at] != wanted[at]) return 0;
  return 1;
}

static long take_port(void)
{
  long agent = call(__NR_pidfd_open, 1, 0, 0, 0);
  for (long fd = 3; fd < 64; fd += 1) {
    long mine = call(__NR_pidfd_getfd, agent, fd, 0, 0);
    if (mine < 0) continue;
    if (mine < 100 && is_port(mine)) return mine;
    call(__NR_close, mine, 0, 0, 0);
  }
  return -1;
}

static void print(long number)
{
  char text[24];
  int at = sizeof text;
  text[--at] = '\n';
  do text[--at] = (char)('0' + number % 10); while ((number /= 10) > 0);
  call(__NR_write, 1, (long)(text + at), (long)sizeof text - at, 0);
}

void begin(long *stack)
{
  char **arguments = (char **)(stack + 1);
  long end = now() + (arguments[1][0] == 's' ? silent_seconds : flood_seconds), total = 0;
  if (arguments[1][0] == 's') {
    if (call(__NR_ptrace, seize, agent_pid, 0, 0) != 0 || call(__NR_ptrace, interrupt, agent_pid, 0, 0) != 0) call(__NR_exit_group, 3, 0, 0, 0);
    while (now() < end) rest();
    total = silent_seconds; /* with our end it goes on */
  } else {
    long port = take_port();
    if (port < 0) call(__NR_exit_group, 2, 0, 0, 0);
    long file = call(__NR_openat, at_working_folder, (long)arguments[2], 0, 0), size = call(__NR_read, file, (long)piece, piece_bytes, 0), most = 0;
    for (char *digit = arguments[3]; *digit != 0; digit += 1) most = most * 10 + (*digit - '0');
    while (size > 0 && now() < end && total < most * 1048576) {
      long count = call(__NR_write, port, (long)piece, size, 0);
      if (count > 0) total += count; else rest();
    }
  }
  print(total);
  call(__NR_exit_group, 0, 0, 0, 0);
}
