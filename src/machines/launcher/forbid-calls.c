/*
 * Our own seccomp filter beneath QEMU's: what no VMM ever needs and what leads out of a jail, were QEMU's filter not
 * there yet (it starts late) or wrong. Calls are refused with EPERM, foreign call tables end the process.
 */
#include "launcher.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define OUR_CALLS AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_CALLS AUDIT_ARCH_AARCH64
#endif

enum { foreign_bit = 0x40000000 }; /* x32 */

static const unsigned forbidden[] = {
  SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns, SYS_mknodat, SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_fsmount,
  SYS_mount_setattr, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp, SYS_keyctl, SYS_add_key, SYS_request_key,
  SYS_bpf, SYS_perf_event_open, SYS_io_uring_setup, SYS_open_by_handle_at, SYS_name_to_handle_at, SYS_init_module, SYS_finit_module, SYS_delete_module,
  SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_sethostname, SYS_setdomainname, SYS_acct, SYS_quotactl, SYS_syslog, SYS_clone3,
#if defined(__x86_64__)
  SYS_mknod, SYS_iopl, SYS_ioperm, SYS_modify_ldt,
#endif
};

enum { forbidden_count = sizeof forbidden / sizeof forbidden[0], namespaces = 0x7E020000 /* CLONE_NEW* but time */ };

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define ADD(...) filter[length++] = (struct sock_filter)__VA_ARGS__
#define REFUSE(error) ANSWER(SECCOMP_RET_ERRNO | (error))

/* Takes effect on the calling thread and on all that come of it. */
static void install(struct sock_filter *filter, unsigned short length)
{
  struct sock_fprog program = { .len = length, .filter = filter };
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) fail("seccomp");
}

/* @param traces ptrace is left: it reaches the children in the VMM's own pid namespace and nobody else */
void forbid_calls(bool traces)
{
  static struct sock_filter filter[2 * forbidden_count + 32];
  unsigned short length = 0;
  ADD(LOAD(arch));
  ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_CALLS, 1, 0));
  ADD(ANSWER(SECCOMP_RET_KILL_PROCESS));
  ADD(LOAD(nr));
  ADD(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, foreign_bit, 0, 1));
  ADD(ANSWER(SECCOMP_RET_KILL_PROCESS));
  for (size_t at = 0; at < forbidden_count; at += 1) {
    if (traces && forbidden[at] == SYS_ptrace) continue;
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, forbidden[at], 0, 1));
    // clone3 hides its flags from filters; libraries fall back to clone where the kernel does not know it.
    ADD(REFUSE(forbidden[at] == SYS_clone3 ? ENOSYS : EPERM));
  }
  ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3));
  ADD(LOAD(args[0]));
  ADD(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, namespaces, 0, 5));
  ADD(REFUSE(EPERM));
  // Sockets come by inheritance; a UNIX socket may be made (vhost-user), any other leads to a network.
  ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3));
  ADD(LOAD(args[0]));
  ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_UNIX, 1, 0));
  ADD(REFUSE(EPERM));
  ADD(ANSWER(SECCOMP_RET_ALLOW));
  install(filter, length);
}

/*
 * What QEMU's own filter does not let through where it is told `-sandbox on` with everything denied that it can deny: for
 * copies of a zygote, which has no such filter, since it could not make copies with it. QEMU 7.2's softmmu/qemu-seccomp.c is the
 * list; where that ends the process, these calls are refused.
 */
static const unsigned sandboxed[] = {
  SYS_reboot, SYS_swapon, SYS_swapoff, SYS_syslog, SYS_mount, SYS_umount2, SYS_kexec_load, SYS_setuid, SYS_setgid, SYS_setpgid, SYS_setsid, SYS_setreuid,
  SYS_setregid, SYS_setresuid, SYS_setresgid, SYS_setfsuid, SYS_setfsgid, SYS_execve, SYS_execveat, SYS_setpriority, SYS_sched_setparam,
  SYS_sched_setscheduler, SYS_sched_setaffinity,
#if defined(__x86_64__)
  SYS_fork, SYS_vfork, SYS_ustat, SYS_sysfs, SYS_uselib, SYS_vserver, SYS_tuxcall, SYS_security, SYS_putpmsg, SYS_getpmsg, SYS_afs_syscall, SYS__sysctl,
  SYS_create_module, SYS_get_kernel_syms, SYS_query_module,
#endif
};

void forbid_as_sandbox(void)
{
  enum { count = sizeof sandboxed / sizeof sandboxed[0] };
  static struct sock_filter filter[2 * count + 16];
  unsigned short length = 0;
  ADD(LOAD(nr));
  for (size_t at = 0; at < count; at += 1) {
    ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, sandboxed[at], 0, 1));
    ADD(REFUSE(EPERM));
  }
  ADD(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3));
  ADD(LOAD(args[0]));
  ADD(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0)); // threads, no processes
  ADD(REFUSE(EPERM));
  ADD(ANSWER(SECCOMP_RET_ALLOW));
  install(filter, length);
}

/* A ring of io_uring is shared with the kernel and cannot be copied; QEMU does without one where there is none. */
void forbid_rings(void)
{
  struct sock_filter filter[] = { LOAD(nr), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1), REFUSE(ENOSYS), ANSWER(SECCOMP_RET_ALLOW) };
  install(filter, sizeof filter / sizeof filter[0]);
}
