import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { seal, sha256Of } from "./executable.ts";
import { run } from "./runtime-package.ts";
import { ownTarget, type Target } from "./targets.ts";

/** What a target's static executable is made with. */
interface Toolchain {
  /** Debian's name for the compiler of another machine. */
  readonly cross: string;
  readonly compilerPackage: string;
  readonly loader: string;
  /** Where the C library is, on the machine itself and for cross-building. */
  readonly native: string;
  readonly foreign: string;
}

const toolchains: Partial<Record<Target["name"], Toolchain>> = {
  "linux-x64": {
    cross: "x86_64-linux-gnu-gcc",
    compilerPackage: "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
    loader: "ld-linux-x86-64.so.2",
    native: "/lib/x86_64-linux-gnu",
    foreign: "/usr/x86_64-linux-gnu/lib",
  },
  "linux-arm64": {
    cross: "aarch64-linux-gnu-gcc",
    compilerPackage: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    loader: "ld-linux-aarch64.so.1",
    native: "/lib/aarch64-linux-gnu",
    foreign: "/usr/aarch64-linux-gnu/lib",
  },
};

/**
 * No library and no relocation is there to help the launcher: the compiler must not put calls into
 * a library, vectors or addresses into it.
 */
const compilerFlags = [
  ...["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Os", "-fPIE", "-static-pie"],
  ...["-ffreestanding", "-nostdlib", "-fno-builtin", "-fno-stack-protector"],
  ...["-fno-tree-vectorize", "-fno-tree-loop-distribute-patterns", "-fcf-protection=none"],
  ...["-fno-asynchronous-unwind-tables", "-mgeneral-regs-only"],
  ...["-Wl,-z,norelro", "-Wl,-z,noexecstack", "-Wl,--build-id=none", "-s"],
];

/** In the order of their loading; the loader itself is found in memory. */
const libraries = ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"];

/** The largest page of any machine, in bytes: parts are mapped from where they lie. */
const pageBytes = 64 * 1024;
/** As in deploy/launcher/layout.h. */
const mostParts = 8;
const nameBytes = 32;
const partBytes = nameBytes + 16;
const magic = "clipack1";

export function canBeStatic(target: Target): boolean {
  return target.name in toolchains;
}

/**
 * Packs an executable of Linux, the loader and the C library behind the launcher, into one file
 * that needs no other.
 * @throws Error when there is no compiler, or a part of the result is not what went in
 */
export function packStatic(root: string, target: Target, program: string, outfile: string): void {
  const tools = toolchains[target.name];
  if (tools === undefined) throw new Error(`${target.name} can't be static`);
  const isOwn = ownTarget()?.name === target.name;
  const dir = isOwn ? tools.native : tools.foreign;
  const parts = [program, join(dir, tools.loader), ...libraries.map((name) => join(dir, name))];
  const compiler = isOwn ? "gcc" : tools.cross;
  const launcher = compileLauncher(root, compiler, isOwn ? "gcc libc6-dev" : tools.compilerPackage);
  needAll(program, [tools.loader, ...libraries]);
  writeFileSync(outfile, pack(launcher, parts), { mode: 0o755 });
  proveParts(outfile, parts);
  seal(outfile);
}

function compileLauncher(root: string, compiler: string, packages: string): Buffer {
  const dir = mkdtempSync(join(tmpdir(), "cliproxy-launcher-"));
  const out = join(dir, "launcher");
  // Relative, so that no path of this machine could get into it.
  const source = "deploy/launcher/launcher.c";
  const flags = compiler.startsWith("aarch64") ? withoutX86(compilerFlags) : ownFlags();
  try {
    run(compiler, [...flags, "-o", out, source], root);
    const relocations = run("readelf", ["-r", out]);
    if (!relocations.includes("no relocations")) {
      throw new Error(`the launcher would need relocations:\n${relocations}`);
    }
    return readFileSync(out);
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
    throw new Error(`--static needs a C compiler and readelf: apt-get install ${packages}`);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function ownFlags(): readonly string[] {
  return process.arch === "arm64" ? withoutX86(compilerFlags) : compilerFlags;
}

function withoutX86(flags: readonly string[]): string[] {
  return flags.filter((flag) => flag !== "-fcf-protection=none");
}

/** A library more that a later runtime may need would be missed only at its start. */
function needAll(program: string, packed: readonly string[]): void {
  const needed = run("readelf", ["-d", program]).matchAll(/\(NEEDED\).*\[(.*)\]/g);
  for (const [, name = ""] of needed) {
    if (!packed.includes(name)) throw new Error(`${basename(program)} needs ${name}, too: pack it`);
  }
}

function pack(launcher: Buffer, parts: readonly string[]): Buffer {
  if (parts.length > mostParts) throw new Error(`at most ${mostParts} parts`);
  const index = Buffer.alloc(mostParts * partBytes + 16);
  const pieces = [launcher];
  let size = launcher.byteLength;
  for (const [i, path] of parts.entries()) {
    const bytes = readFileSync(realpathSync(path));
    const gap = Buffer.alloc(-size & (pageBytes - 1));
    const offset = size + gap.byteLength;
    index.write(basename(path).slice(0, nameBytes - 1), i * partBytes, "latin1");
    index.writeBigUInt64LE(BigInt(offset), i * partBytes + nameBytes);
    index.writeBigUInt64LE(BigInt(bytes.byteLength), i * partBytes + nameBytes + 8);
    pieces.push(gap, bytes);
    size = offset + bytes.byteLength;
  }
  index.writeBigUInt64LE(BigInt(parts.length), mostParts * partBytes);
  index.write(magic, mostParts * partBytes + 8, "latin1");
  return Buffer.concat([...pieces, index]);
}

/** The parts of a packed file, as the launcher will find them. */
export function partsOf(packed: Buffer): { readonly name: string; readonly bytes: Buffer }[] {
  const index = packed.subarray(packed.byteLength - mostParts * partBytes - 16);
  if (index.toString("latin1", index.byteLength - 8) !== magic)
    throw new Error("nothing is packed");
  const count = Number(index.readBigUInt64LE(mostParts * partBytes));
  return Array.from({ length: count }, (_, i) => {
    const at = i * partBytes;
    const offset = Number(index.readBigUInt64LE(at + nameBytes));
    const bytes = Number(index.readBigUInt64LE(at + nameBytes + 8));
    const name = index.toString("latin1", at, at + nameBytes).replace(/\0.*/s, "");
    return { name, bytes: packed.subarray(offset, offset + bytes) };
  });
}

/** Digests are compared here, once, and not at each start: 120 MB take longer than the start. */
function proveParts(outfile: string, parts: readonly string[]): void {
  const packed = partsOf(readFileSync(outfile));
  for (const [i, path] of parts.entries()) {
    const digest = sha256Of(readFileSync(path));
    const part = packed[i];
    if (part === undefined || sha256Of(part.bytes) !== digest) {
      throw new Error(`${outfile}: ${path} did not get in whole`);
    }
  }
}
