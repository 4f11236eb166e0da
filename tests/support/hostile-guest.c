/*
 * What a captured guest can do with its ways out of the machine. A flood ends after so many megabytes or seconds, whatever comes
 * first, and prints how many bytes went; silence prints for how many seconds it was silent.
 *
 *   hostile line <file> <megabytes> <seconds>      takes the agent's descriptor (pidfd_getfd; root may) and writes the file's bytes over and over
 *   hostile alone <file> <megabytes> <seconds>     the same with the agent stopped, so that nothing of it comes in between; ends with the file's end
 *   hostile console <file> <megabytes> <seconds>   to /dev/console
 *   hostile device <file> <megabytes> <seconds>    to the console's device, past the kernel (iopl; x86_64 only)
 *   hostile silence <seconds>                      stops the agent (ptrace; root may), so that it hears nothing and says nothing
 *
 * No C library: it goes into the guest by the words of a command.
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
enum { at_working_folder = -100, write_only = 1, piece_bytes = 4 * 1024 * 1024, com1 = 0x3f8, no_way_out = 2, not_permitted = 3 };
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

static int begins_with(const char *text, long length, const char *wanted)
{
  long at = 0;
  while (wanted[at] != 0 && at < length && text[at] == wanted[at]) at += 1;
  return wanted[at] == 0;
}

static int is_line(long fd)
{
  char name[] = "/proc/self/fd/00", target[16];
  name[14] = (char)('0' + fd / 10);
  name[15] = (char)('0' + fd % 10);
  if (fd < 10) { name[14] = name[15]; name[15] = 0; }
  long length = call(__NR_readlinkat, at_working_folder, (long)name, (long)target, sizeof target);
  return begins_with(target, length, "/dev/vport") || begins_with(target, length, "/dev/ttyS");
}

static long take_line(void)
{
  long agent = call(__NR_pidfd_open, agent_pid, 0, 0, 0);
  for (long fd = 3; fd < 64; fd += 1) {
    long mine = call(__NR_pidfd_getfd, agent, fd, 0, 0);
    if (mine < 0) continue;
    if (mine < 100 && is_line(mine)) return mine;
    call(__NR_close, mine, 0, 0, 0);
  }
  return -1;
}

/* With our end it goes on. */
static void stop_agent(void)
{
  if (call(__NR_ptrace, seize, agent_pid, 0, 0) != 0 || call(__NR_ptrace, interrupt, agent_pid, 0, 0) != 0) call(__NR_exit_group, not_permitted, 0, 0, 0);
}

static void open_device(void)
{
#if defined(__x86_64__)
  if (call(__NR_iopl, 3, 0, 0, 0) == 0) return;
#endif
  call(__NR_exit_group, not_permitted, 0, 0, 0);
}

/* As many bytes as its buffer has room for when it says that it is empty; more would be lost. */
static long write_device(const char *bytes, long count)
{
#if defined(__x86_64__)
  unsigned char status;
  __asm__ volatile("inb %1, %0" : "=a"(status) : "d"((unsigned short)(com1 + 5)));
  if ((status & 0x20) == 0) return 0;
  long most = count < 16 ? count : 16, left = most;
  __asm__ volatile("rep outsb" : "+S"(bytes), "+c"(left) : "d"(com1) : "memory");
  return most;
#else
  return bytes == 0 ? count : 0;
#endif
}

static long number(const char *text)
{
  long value = 0;
  for (; *text != 0; text += 1) value = value * 10 + (*text - '0');
  return value;
}

static void print(long value)
{
  char text[24];
  int at = sizeof text;
  text[--at] = '\n';
  do text[--at] = (char)('0' + value % 10); while ((value /= 10) > 0);
  call(__NR_write, 1, (long)(text + at), (long)sizeof text - at, 0);
}

/* The file over and over, each time whole: what was cut off is gone on with. A negative descriptor is the console's device. */
static long flood(long out, const char *file, long most, long end, int whole)
{
  long total = 0, size = 0, at = 0, in = call(__NR_openat, at_working_folder, (long)file, 0, 0);
  for (long count; size < piece_bytes && (count = call(__NR_read, in, (long)(piece + size), piece_bytes - size, 0)) > 0;) size += count;
  while (size > 0 && ((now() < end && total < most) || (whole && at != 0))) {
    long count = out < 0 ? write_device(piece + at, size - at) : call(__NR_write, out, (long)(piece + at), size - at, 0);
    if (count <= 0) { if (out >= 0) rest(); continue; }
    total += count;
    at = (at + count) % size;
  }
  return total;
}

void begin(long *stack)
{
  char **arguments = (char **)(stack + 1);
  const char *what = arguments[1];
  long began = now();
  if (what[0] == 's') {
    long seconds = number(arguments[2]);
    stop_agent();
    while (now() < began + seconds) rest();
    print(seconds);
    call(__NR_exit_group, 0, 0, 0, 0);
  }
  long out = -1;
  if (what[0] == 'd') open_device();
  else out = what[0] == 'c' ? call(__NR_openat, at_working_folder, (long)"/dev/console", write_only, 0) : take_line();
  if (out < 0 && what[0] != 'd') call(__NR_exit_group, no_way_out, 0, 0, 0);
  if (what[0] == 'a') stop_agent();
  print(flood(out, arguments[2], number(arguments[3]) * 1048576, began + number(arguments[4]), what[0] == 'a'));
  call(__NR_exit_group, 0, 0, 0, 0);
}
