/*
 * Starts the executable that is packed behind it, together with the loader and the C library that
 * it needs. The whole is one static-pie file that runs where there is no other file at all.
 *
 * The kernel starts this program. It maps the packed executable and the packed loader (ld.so) the
 * way the kernel would have, hands the libraries over as files in memory, and jumps into the
 * loader. Nothing is unpacked to a disk.
 *
 * It runs before any library is there, and nothing relocates it: no libc, no pointers in constant
 * data (the build checks that it needs no relocations). It needs /proc, and memfd_create.
 */
#include <elf.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "layout.h"

#define F_ADD_SEALS_ 1033 /* of linux/fcntl.h, which clashes with fcntl.h */
#define ALL_SEALS 0xf     /* no more seals, no shrinking, growing or writing */

typedef unsigned long word;

/* ---- The two things that differ by processor: a system call, and the last jump. ---- */

#if defined(__x86_64__)
static long sys(long n, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
/* rdx: what the loader would call at exit; none. */
#define ENTER(stack, entry)                                                          \
  __asm__ volatile("mov %0, %%rsp\n xor %%ebp, %%ebp\n xor %%edx, %%edx\n jmp *%1" \
                   : : "r"(stack), "r"(entry) : "memory", "rdx")
__asm__(".globl _start\n_start:\n xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call launch\n");
#elif defined(__aarch64__)
static long sys(long n, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
}
#define ENTER(stack, entry)                                                       \
  __asm__ volatile("mov sp, %0\n mov x29, xzr\n mov x30, xzr\n mov x0, xzr\n br %1" \
                   : : "r"(stack), "r"(entry) : "memory", "x0", "x30")
__asm__(".globl _start\n_start:\n mov x29, xzr\n mov x30, xzr\n mov x0, sp\n bl launch\n");
#else
#error "no launcher for this processor"
#endif

#define SYS3(n, a, b, c) sys(n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS4(n, a, b, c, d) sys(n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define SYS6(n, a, b, c, d, e, f) \
  sys(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static int failed(long result) { return result < 0 && result > -4096; }

/* The compiler calls these by itself. */
void *memset(void *to, int byte, size_t count) {
  for (char *p = to; count-- > 0;) *p++ = (char)byte;
  return to;
}
void *memcpy(void *to, const void *from, size_t count) {
  char *p = to;
  for (const char *q = from; count-- > 0;) *p++ = *q++;
  return to;
}

__attribute__((noreturn)) static void die(const char *why) {
  size_t length = 0;
  while (why[length] != 0) length++;
  SYS3(SYS_write, 2, "cliproxy launcher: ", 19);
  SYS3(SYS_write, 2, why, length);
  SYS3(SYS_write, 2, "\n", 1);
  for (;;) SYS3(SYS_exit_group, 70, 0, 0);
}

/* ---- Mapping an ELF file that lies inside another ---- */

struct image {
  word entry, headers, count, base;
};

static word page;
static word page_start(word at) { return at & ~(page - 1); }
static word page_end(word at) { return page_start(at + page - 1); }

static void map_at(word at, word bytes, int access, int flags, int file, word offset) {
  if (SYS6(SYS_mmap, at, bytes, access, flags | MAP_PRIVATE, file, offset) != (long)at) {
    die("a segment can't be mapped");
  }
}

static void map_segment(int file, word start, const Elf64_Phdr *segment, word base, int fixed) {
  int access = ((segment->p_flags & PF_R) ? PROT_READ : 0) |
               ((segment->p_flags & PF_W) ? PROT_WRITE : 0) |
               ((segment->p_flags & PF_X) ? PROT_EXEC : 0);
  word first = base + segment->p_vaddr, at = page_start(first), skew = first - at;
  word file_end = first + segment->p_filesz, end = first + segment->p_memsz;
  if (segment->p_filesz > 0) {
    map_at(at, file_end - at, access, fixed, file, start + segment->p_offset - skew);
  }
  word zeros = segment->p_filesz > 0 ? page_end(file_end) : at;
  if (page_end(end) > zeros) {
    map_at(zeros, page_end(end) - zeros, access, fixed | MAP_ANONYMOUS, -1, 0);
  }
  /* The rest of the last page holds what follows in the file; the loader relies on zeros. */
  if ((segment->p_flags & PF_W) && zeros > file_end) memset((void *)file_end, 0, zeros - file_end);
}

static struct image map_image(int file, word start) {
  Elf64_Ehdr header;
  Elf64_Phdr segments[16];
  if (SYS4(SYS_pread64, file, &header, sizeof header, start) != sizeof header) die("no ELF header");
  long bytes = header.e_phnum * sizeof segments[0];
  if (bytes > (long)sizeof segments) die("too many segments");
  if (SYS4(SYS_pread64, file, segments, bytes, start + header.e_phoff) != bytes) die("no segments");
  word low = ~0ul, high = 0;
  for (int i = 0; i < header.e_phnum; i++) {
    if (segments[i].p_type != PT_LOAD) continue;
    word from = page_start(segments[i].p_vaddr);
    word to = page_end(segments[i].p_vaddr + segments[i].p_memsz);
    if (from < low) low = from;
    if (to > high) high = to;
  }
  word base = 0;
  int fixed = MAP_FIXED_NOREPLACE;
  if (header.e_type == ET_DYN) {
    /* Takes the whole range first, wherever the kernel likes, so that nothing gets between. */
    long taken = SYS6(SYS_mmap, 0, high - low, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (failed(taken)) die("no room for the loader");
    base = taken - low;
    fixed = MAP_FIXED;
  }
  word headers = base + low + header.e_phoff;
  for (int i = 0; i < header.e_phnum; i++) {
    if (segments[i].p_type == PT_LOAD) map_segment(file, start, &segments[i], base, fixed);
    if (segments[i].p_type == PT_PHDR) headers = base + segments[i].p_vaddr;
  }
  return (struct image){base + header.e_entry, headers, header.e_phnum, base};
}

/* ---- Libraries as files in memory ---- */

static int to_memory(int file, const struct part *part) {
  int copy = SYS3(SYS_memfd_create, part->name, MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
  if (copy < 0) die("memfd_create is refused: allow it in the seccomp profile");
  long at = part->offset;
  for (word left = part->bytes; left > 0;) {
    long sent = SYS4(SYS_sendfile, copy, file, &at, left);
    if (sent <= 0) die("sendfile is refused: allow it in the seccomp profile");
    left -= sent;
  }
  SYS3(SYS_fcntl, copy, F_ADD_SEALS_, ALL_SEALS);
  return copy;
}

static char *append(char *at, const char *text) {
  while (*text != 0) *at++ = *text++;
  *at = 0;
  return at;
}

static char *append_number(char *at, int number) {
  if (number >= 10) at = append_number(at, number / 10);
  *at++ = (char)('0' + number % 10);
  *at = 0;
  return at;
}

/* ---- What the program may see of the environment ---- */

static int begins(const char *text, const char *with) {
  while (*with != 0) {
    if (*text++ != *with++) return 0;
  }
  return 1;
}

/* Each of these would load or change code: of the runtime, or of the loader. */
static int is_dropped(const char *variable) {
  return begins(variable, "BUN_") || begins(variable, "LD_") || begins(variable, "GLIBC_TUNABLES=");
}

static void set_entry(word *entries, word key, word value) {
  for (; entries[0] != AT_NULL; entries += 2) {
    if (entries[0] == key) entries[1] = value;
  }
}

/* ---- All of it ---- */

/* Lives as long as the program: the loader keeps pointers into it. */
static char preload[16 + most_parts * 32];
static char fetches[] = FETCH_CAP;

__attribute__((noreturn, used)) void launch(word *stack) {
  word *arguments = stack + 1, *variables = arguments + stack[0] + 1, *end = variables;
  while (*end != 0) end++;
  word *entries = end + 1, *last = entries;
  for (page = 4096; last[0] != AT_NULL; last += 2) {
    if (last[0] == AT_PAGESZ) page = last[1];
  }

  int file = SYS4(SYS_openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC, 0);
  if (file < 0) die("/proc/self/exe can't be read: is /proc mounted?");
  struct index index;
  long size = SYS3(SYS_lseek, file, 0, 2 /* SEEK_END */);
  if (SYS4(SYS_pread64, file, &index, sizeof index, size - sizeof index) != sizeof index ||
      index.magic != INDEX_MAGIC || index.count < 2 || index.count > most_parts) {
    die("nothing is packed behind it: was the file cut or stripped?");
  }

  char *at = append(preload, "LD_PRELOAD=");
  for (word i = 2; i < index.count; i++) {
    if (i > 2) at = append(at, ":");
    at = append(at, "/proc/self/fd/");
    at = append_number(at, to_memory(file, &index.parts[i]));
  }
  struct image program = map_image(file, index.parts[0].offset);
  struct image loader = map_image(file, index.parts[1].offset);
  SYS3(SYS_close, file, 0, 0);

  set_entry(entries, AT_PHDR, program.headers);
  set_entry(entries, AT_PHNUM, program.count);
  set_entry(entries, AT_PHENT, sizeof(Elf64_Phdr));
  set_entry(entries, AT_ENTRY, program.entry);
  set_entry(entries, AT_BASE, loader.base);

  /* A copy with two variables more, below this frame, so that nothing in use is written over. */
  word words = (last + 2 - stack) + 2;
  word *copy = __builtin_alloca((words * sizeof(word) + 15) & ~15ul), *to = copy;
  for (word *from = stack; from < variables; from++) *to++ = *from;
  *to++ = (word)preload;
  *to++ = (word)fetches;
  for (word *from = variables; from < end; from++) {
    if (!is_dropped((const char *)*from)) *to++ = *from;
  }
  *to++ = 0;
  for (word *from = entries; from < last + 2; from++) *to++ = *from;
  ENTER(copy, loader.entry);
  __builtin_unreachable();
}
