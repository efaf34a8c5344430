/** A profile as Docker, Podman and Kubernetes read it; only what ours need of it. */
export interface SeccompProfile {
  readonly defaultAction: "SCMP_ACT_ERRNO";
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly SeccompRule[];
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO";
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArgument[];
}

export interface SeccompArgument {
  readonly index: number;
  readonly value: number;
  /** With MASKED_EQ `value` is the mask and this is what must remain. */
  readonly valueTwo?: number;
  readonly op: "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ";
}

/** What the engine itself calls between the filter and the start of the program. */
const ofEngine = ["faccessat2", "fstatfs", "epoll_pwait", "getppid", "nanosleep", "tgkill"];

/** How a process ends, which a tracer may not see, and how it goes on after a signal. */
const ofEnds = ["exit", "exit_group", "restart_syscall", "rt_sigreturn"];

/**
 * Rare branches of the runtime and of the C library that no test takes: a file that is larger than
 * a buffer, a clock that is no page of the kernel's, memory that grows in place.
 */
const rare = [
  "clock_gettime",
  "clock_nanosleep",
  "gettimeofday",
  "mremap",
  "poll",
  "readv",
  "writev",
];

/** Older calls by their names on processors that never had those: arm64. */
const newer: Readonly<Record<string, string>> = {
  access: "faccessat",
  chmod: "fchmodat",
  lstat: "newfstatat",
  mkdir: "mkdirat",
  open: "openat",
  poll: "ppoll",
  readlink: "readlinkat",
  rename: "renameat",
  stat: "newfstatat",
  unlink: "unlinkat",
};

/** The launcher of the static executable hands its libraries over as files in memory. */
const ofLauncher = ["memfd_create", "sendfile"];

/** Families of sockets: local, IPv4, IPv6. */
const families = [1, 2, 10];

const cloneThread = 0x1_0000;
const enosys = 38;

/**
 * The profile that allows what was traced and what its start takes, and nothing else. Threads can
 * be made, processes can't: clone3 hides its flags from a filter, so it is said not to exist, and
 * the C library takes clone.
 */
export function profileOf(traced: ReadonlySet<string>, form: "base" | "static"): SeccompProfile {
  const names = new Set([...traced, ...ofEngine, ...ofEnds, ...rare]);
  for (const [old, name] of Object.entries(newer)) if (names.has(old)) names.add(name);
  for (const name of ofLauncher) form === "static" ? names.add(name) : names.delete(name);
  for (const name of ["clone", "clone3", "socket"]) names.delete(name);
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
    syscalls: [
      { names: [...names].sort(), action: "SCMP_ACT_ALLOW" },
      { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: enosys },
      {
        names: ["clone"],
        action: "SCMP_ACT_ALLOW",
        args: [{ index: 0, value: cloneThread, valueTwo: cloneThread, op: "SCMP_CMP_MASKED_EQ" }],
      },
      ...families.map(
        (family): SeccompRule => ({
          names: ["socket"],
          action: "SCMP_ACT_ALLOW",
          args: [{ index: 0, value: family, op: "SCMP_CMP_EQ" }],
        }),
      ),
    ],
  };
}

/** The same without a call: a start under it must fail if the call is needed. */
export function without(profile: SeccompProfile, name: string): SeccompProfile {
  const syscalls = profile.syscalls.map((rule) => ({
    ...rule,
    names: rule.names.filter((other) => other !== name),
  }));
  return { ...profile, syscalls: syscalls.filter(({ names }) => names.length > 0) };
}

/** A program that puts the profile on itself and becomes another one: C, for this processor. */
export function filterProgram(profile: SeccompProfile): string {
  const lines = profile.syscalls.flatMap((rule) =>
    rule.names.map((name) => `#ifdef __NR_${name}\n${instructions(name, rule)}\n#endif`),
  );
  return `#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, what)
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, what)
#define ARGUMENT(i) (offsetof(struct seccomp_data, args) + 8 * (i))
static struct sock_filter code[] = {
LOAD(offsetof(struct seccomp_data, nr)),
${lines.join("\n")}
ANSWER(SECCOMP_RET_ERRNO | ${profile.defaultErrnoRet}),
};
int main(int count, char **words) {
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  if (count < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 70;
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 71;
  execv(words[1], words + 1);
  return 72;
}
`;
}

function instructions(name: string, { action, errnoRet, args }: SeccompRule): string {
  const answer =
    action === "SCMP_ACT_ALLOW" ? "SECCOMP_RET_ALLOW" : `SECCOMP_RET_ERRNO | ${errnoRet ?? 1}`;
  const argument = args?.[0];
  if (argument === undefined) return `UNLESS(__NR_${name}, 1), ANSWER(${answer}),`;
  const { index, value, valueTwo, op } = argument;
  const mask = op === "SCMP_CMP_MASKED_EQ" ? value : 0xffff_ffff;
  const wanted = op === "SCMP_CMP_MASKED_EQ" ? valueTwo : value;
  return [
    `UNLESS(__NR_${name}, 5), LOAD(ARGUMENT(${index})),`,
    `BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ${mask}u), UNLESS(${wanted}, 1), ANSWER(${answer}),`,
    "LOAD(offsetof(struct seccomp_data, nr)),",
  ].join("\n");
}
