import { Buffer } from "node:buffer";
import {
  closeSync,
  constants,
  fchmodSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";

/** What tells one file from another, and how it is now. */
export interface FileState {
  /** Device and number: another file under the same name has another. */
  readonly identity: string;
  readonly size: number;
  readonly mode: number;
  readonly changedMs: number;
  readonly isFile: boolean;
}

/** The few things the log does to files; tests put a disk in its place that fails. */
export interface Disk {
  makeDir(path: string): void;
  /** Opens for appending only; makes the file (0600); never follows a symbolic link. */
  openAppend(path: string): number;
  /** May write less than all, as a full disk does. */
  write(file: number, bytes: Uint8Array): number;
  sync(file: number): void;
  truncate(file: number, size: number): void;
  setMode(file: number, mode: number): void;
  close(file: number): void;
  stateOf(file: number): FileState;
  /** Undefined where there is none. */
  stateAt(path: string): FileState | undefined;
  /** Up to so many bytes from a place in a file. */
  read(path: string, from: number, bytes: number): Uint8Array;
  rename(from: string, to: string): void;
  remove(path: string): void;
  list(dir: string): readonly string[];
  /** Makes what was created, renamed or removed in a directory last. */
  syncDir(path: string): void;
}

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

export const realDisk: Disk = {
  makeDir: (path) => void mkdirSync(path, { recursive: true, mode: 0o700 }),
  // Without O_NONBLOCK a pipe under that name would hang the start.
  openAppend: (path) =>
    openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600),
  write: (file, bytes) => writeSync(file, bytes),
  sync: fdatasyncSync,
  truncate: ftruncateSync,
  setMode: fchmodSync,
  close: closeSync,
  stateOf: (file) => toState(fstatSync(file)),
  stateAt(path) {
    const state = statSync(path, { throwIfNoEntry: false });
    return state === undefined ? undefined : toState(state);
  },
  read(path, from, bytes) {
    const file = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      const buffer = Buffer.alloc(bytes);
      return buffer.subarray(0, readSync(file, buffer, 0, bytes, from));
    } finally {
      closeSync(file);
    }
  },
  rename: renameSync,
  remove: unlinkSync,
  list: (dir) => readdirSync(dir),
  syncDir(path) {
    const file = openSync(path, O_RDONLY);
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  },
};

function toState(state: Stats): FileState {
  const { dev, ino, size, mode, mtimeMs } = state;
  return { identity: `${dev}:${ino}`, size, mode, changedMs: mtimeMs, isFile: state.isFile() };
}
