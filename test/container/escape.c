/*
 * Tries to get out of the container that it is started in, instead of cliproxy, and prints one line
 * for each way: its name, and what the kernel said. "open" means that the way was not closed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_alg.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void tell(const char *way, long result) {
  printf("%s\t%s\n", way, result < 0 ? strerrorname_np(errno) : "open");
}

static long write_file(const char *path, int mode) {
  int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);
  if (file < 0) return -1;
  static const char script[] = "#!/cliproxy\n";
  return write(file, script, sizeof script - 1) < 0 || close(file) < 0 ? -1 : 0;
}

static long run(const char *path) {
  char *words[] = {(char *)path, "version", NULL}, *none[] = {NULL};
  return execve(path, words, none);
}

static long start_process(void) {
  long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  return pid;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  tell("write to the root", write_file("/written", 0755));
  tell("write over the executable", open("/cliproxy", O_WRONLY));
  tell("write to the configuration", open("/config/config.yaml", O_WRONLY));
  tell("write to the certificates", write_file("/tls/written", 0600));
  write_file("/tmp/script", 0755);
  tell("run a file from /tmp", run("/tmp/script"));
  tell("run a shell", run("/bin/sh"));
  tell("start a process", start_process());
  tell("start a process without a copy", syscall(SYS_vfork));
  tell("trace a process", ptrace(PTRACE_TRACEME, 0, 0, 0));
  tell("read another's memory", syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0));
  tell("open a raw socket", socket(AF_INET, SOCK_RAW, 1));
  tell("open a packet socket", socket(AF_PACKET, SOCK_RAW, 0));
  tell("open a socket of the kernel's ciphers", socket(AF_ALG, SOCK_SEQPACKET, 0));
  tell("mount", mount("none", "/tmp", "tmpfs", 0, 0));
  tell("mount anew, writable", mount(0, "/", 0, MS_REMOUNT, 0));
  tell("make a namespace", unshare(CLONE_NEWUSER));
  tell("enter a namespace", setns(0, 0));
  tell("become root", syscall(SYS_setuid, 0));
  tell("change the root", chroot("/tmp"));
  tell("load a kernel module", syscall(SYS_init_module, 0, 0, ""));
  tell("load a program into the kernel", syscall(SYS_bpf, BPF_PROG_LOAD, 0, 0));
  tell("queue calls past the filter", syscall(SYS_io_uring_setup, 1, 0));
  tell("reach the keys of the kernel", syscall(SYS_keyctl, 0, 0));
  tell("make a device", syscall(SYS_mknod, "/tmp/device", 020600, 0x101));
  tell("run code from memory", syscall(SYS_memfd_create, "code", 0));
  return 0;
}
