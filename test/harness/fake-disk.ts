import { Buffer } from "node:buffer";
import { basename, dirname } from "node:path";
import type { Disk, FileState } from "../../policies/audit/disk.ts";

interface FakeFile {
  readonly id: number;
  bytes: Buffer;
  mode: number;
}

/** A disk in memory that can be full, hand out torn writes, forbid things, and crash. */
export interface FakeDisk extends Disk {
  readonly files: Map<string, FakeFile>;
  /** Bytes that still fit on it. */
  free: number;
  /** Whether the end of a file can be cut off; false: as under `chattr +a`. */
  mayCut: boolean;
  mayRename: boolean;
  mayOpen: boolean;
  syncs: number;
  writes: number;
  text(path: string): string;
  put(path: string, text: string): void;
}

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

export function createFakeDisk(nowMs: () => number = () => 0): FakeDisk {
  const files = new Map<string, FakeFile>();
  const open = new Map<number, FakeFile>();
  let ids = 0;
  const fileOf = (descriptor: number): FakeFile => {
    const file = open.get(descriptor);
    if (file === undefined) throw failure("EBADF");
    return file;
  };
  const stateOf = ({ id, bytes, mode }: FakeFile): FileState => ({
    identity: String(id),
    size: bytes.byteLength,
    mode,
    changedMs: nowMs(),
    isFile: true,
  });
  const make = (text: string): FakeFile => {
    ids += 1;
    return { id: ids, bytes: Buffer.from(text), mode: 0o100600 };
  };
  const disk: FakeDisk = {
    files,
    ...{ free: Number.POSITIVE_INFINITY, mayCut: true, mayRename: true, mayOpen: true },
    ...{ syncs: 0, writes: 0 },
    text: (path) => files.get(path)?.bytes.toString("utf8") ?? "",
    put: (path, text) => void files.set(path, make(text)),
    makeDir() {},
    openAppend(path) {
      if (!disk.mayOpen) throw failure("EACCES");
      const file = files.get(path) ?? make("");
      files.set(path, file);
      ids += 1;
      open.set(ids, file);
      return ids;
    },
    write(descriptor, bytes) {
      const file = fileOf(descriptor);
      disk.writes += 1;
      if (disk.free <= 0) throw failure("ENOSPC");
      const part = bytes.subarray(0, Math.min(bytes.byteLength, disk.free));
      disk.free -= part.byteLength;
      file.bytes = Buffer.concat([file.bytes, part]);
      return part.byteLength;
    },
    sync(descriptor) {
      fileOf(descriptor);
      disk.syncs += 1;
    },
    truncate(descriptor, size) {
      if (!disk.mayCut) throw failure("EPERM");
      const file = fileOf(descriptor);
      disk.free += file.bytes.byteLength - size;
      file.bytes = file.bytes.subarray(0, size);
    },
    setMode(descriptor, mode) {
      fileOf(descriptor).mode = mode;
    },
    close: (descriptor) => void open.delete(descriptor),
    stateOf: (descriptor) => stateOf(fileOf(descriptor)),
    stateAt(path) {
      const file = files.get(path);
      return file && stateOf(file);
    },
    read(path, from, bytes) {
      const file = files.get(path);
      if (file === undefined) throw failure("ENOENT");
      return file.bytes.subarray(from, from + bytes);
    },
    rename(from, to) {
      const file = files.get(from);
      if (!disk.mayRename) throw failure("EACCES");
      if (file === undefined) throw failure("ENOENT");
      files.delete(from);
      files.set(to, file);
    },
    remove: (path) => void files.delete(path),
    list: (dir) =>
      [...files.keys()].filter((path) => dirname(path) === dir).map((p) => basename(p)),
    syncDir() {},
  };
  return disk;
}
