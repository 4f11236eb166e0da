/*
 * Loaded into the daemon: in the place of the C library's fork(2), so that a program is started without a copy of the
 * daemon's page tables. Node starts every program by fork and exec; of a process of 100 MB each fork copies 25,000 entries,
 * and what it writes next is copied page by page: 10 to 25 ms on a host that is a virtual machine itself, in which nothing
 * else happens. As vfork(2) does, the child borrows the memory until its exec, and the thread that made it waits.
 *
 * fork(2) returns in the child to code that goes on in the same stack, which would overwrite the address that the parent
 * returns to. So that address is kept in a register, of which the child has a copy of its own: as in the C library's vfork.
 * Node's child (uv__process_child_init in libuv) does nothing before its exec that may not be done in borrowed memory but
 * one: it sets `environ`. That is put back before the parent goes on. Its signals are blocked until then.
 */
#include <errno.h>

__attribute__((visibility("hidden"), used)) int quick_fork_failed(int number);
int quick_fork_failed(int number)
{
  errno = number;
  return -1;
}

#if defined(__x86_64__)
__asm__(
  ".text\n.globl fork\n.type fork, @function\n"
  "fork:\n"
  "  endbr64\n"
  "  popq %rdi\n"
  "  movq environ@GOTPCREL(%rip), %rsi\n"
  "  movq (%rsi), %rdx\n"
  "  movl $58, %eax\n" /* vfork */
  "  syscall\n"
  "  pushq %rdi\n"
  "  testq %rax, %rax\n"
  "  jz 1f\n"
  "  movq %rdx, (%rsi)\n"
  "  js 2f\n"
  "1: ret\n"
  "2: negl %eax\n"
  "  movl %eax, %edi\n"
  "  jmp quick_fork_failed\n"
  ".size fork, . - fork\n");
#elif defined(__aarch64__)
__asm__(
  ".text\n.globl fork\n.type fork, %function\n"
  "fork:\n"
  "  adrp x9, :got:environ\n"
  "  ldr x9, [x9, #:got_lo12:environ]\n"
  "  ldr x10, [x9]\n"
  "  mov x0, #0x4111\n" /* CLONE_VM | CLONE_VFORK | SIGCHLD */
  "  mov x1, #0\n"      /* the same stack */
  "  mov x2, #0\n"
  "  mov x3, #0\n"
  "  mov x4, #0\n"
  "  mov x8, #220\n" /* clone */
  "  svc #0\n"
  "  cbz x0, 1f\n"
  "  str x10, [x9]\n"
  "  tbnz x0, #63, 2f\n"
  "1: ret\n"
  "2: neg w0, w0\n"
  "  b quick_fork_failed\n"
  ".size fork, . - fork\n");
#else
#error "no fork for this architecture"
#endif
