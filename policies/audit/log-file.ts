import { Buffer } from "node:buffer";
import { dirname } from "node:path";
import type { Disk, FileState } from "./disk.ts";

/** What somebody else did to the file since the last write. */
export type Tampering =
  | { readonly what: "replaced" }
  | { readonly what: "truncated"; readonly bytes: number }
  | { readonly what: "foreign_write"; readonly bytes: number };

/**
 * The open file of the log. It is opened for appending only, written in whole batches, and looked
 * at before each: a file that was moved or deleted is opened anew, one that somebody else wrote to
 * or cut is noticed.
 */
export class LogFile {
  readonly path: string;
  readonly #disk: Disk;
  #file: number;
  #identity: string;
  #size: number;
  /** Bytes of each line at the end that a failed write has left, and nobody has told of. */
  #torn: number[] = [];
  /** The file does not end in a line break. */
  #isOpenEnded: boolean;
  #standingBytes = 0;

  /** @throws the system's error when it can't be opened, or is no regular file */
  constructor(path: string, disk: Disk) {
    this.path = path;
    this.#disk = disk;
    disk.makeDir(dirname(path));
    const { file, state } = this.#open();
    this.#file = file;
    this.#identity = state.identity;
    this.#size = state.size;
    this.#isOpenEnded = state.size > 0 && !this.#endsInLine();
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes of each torn line at the end: the next record has to tell of them. */
  get torn(): readonly number[] {
    return this.#torn;
  }

  /** Bytes of whole lines that the last failed append has left, where it can't be taken back. */
  get standingBytes(): number {
    return this.#standingBytes;
  }

  /** Says what has happened to the file, and opens it anew where it was moved or deleted. */
  inspect(): Tampering | undefined {
    const named = this.#disk.stateAt(this.path);
    if (named?.identity !== this.#identity) {
      this.reopen();
      return { what: "replaced" };
    }
    const bytes = named.size - this.#size;
    if (bytes === 0) return undefined;
    this.#size = named.size;
    // Our next record begins a line of its own, whatever others have left.
    this.#isOpenEnded = named.size > 0 && !this.#endsInLine();
    if (bytes < 0) return { what: "truncated", bytes: -bytes };
    return { what: "foreign_write", bytes };
  }

  /** Opens what has the log's name now. */
  reopen(): void {
    const { file, state } = this.#open();
    this.#disk.close(this.#file);
    this.#file = file;
    this.#identity = state.identity;
    this.#size = state.size;
    this.#isOpenEnded = state.size > 0 && !this.#endsInLine();
  }

  /**
   * Appends whole lines; what can't be written whole is taken back.
   * @throws the system's error; then none of the lines stands in the file but `standingBytes`
   */
  append(lines: string): void {
    const bytes = Buffer.from(this.#isOpenEnded ? `\n${lines}` : lines);
    const start = this.#isOpenEnded ? 1 : 0;
    const before = this.#size;
    this.#standingBytes = 0;
    try {
      this.#write(bytes);
    } catch (error) {
      const left = this.#size - before;
      if (left > 0 && !this.cutEnd(left)) this.#leave(bytes, left, start);
      else this.#isOpenEnded = start === 1;
      throw error;
    }
    this.#torn = [];
    this.#isOpenEnded = false;
  }

  /** Waits until the disk has all that was written. */
  sync(): void {
    this.#disk.sync(this.#file);
  }

  /** Cuts the end of the file off; false where that is not allowed, as under `chattr +a`. */
  cutEnd(bytes: number): boolean {
    try {
      this.#disk.truncate(this.#file, this.#size - bytes);
      this.#size -= bytes;
      this.#isOpenEnded = false;
      return true;
    } catch {
      return false;
    }
  }

  /** The file ends in so many bytes that are no whole line. */
  leaveTorn(bytes: number): void {
    this.#torn.push(bytes);
  }

  /** Part of an append stands in the file for good. */
  #leave(bytes: Buffer, left: number, start: number): void {
    const whole = Math.max(start, bytes.lastIndexOf(0x0a, left - 1) + 1);
    this.#standingBytes = whole - start;
    this.#isOpenEnded = left > whole;
    // Only its line break is missing: the line itself stands.
    if (bytes[left] === 0x0a) this.#standingBytes = left + 1 - start;
    else if (left > whole) this.#torn.push(left - whole);
  }

  /** Gives the file another name, and begins a new one. */
  rotate(to: string): void {
    this.#disk.sync(this.#file);
    this.#disk.rename(this.path, to);
    this.reopen();
    this.#disk.syncDir(dirname(this.path));
  }

  close(): void {
    this.#disk.close(this.#file);
  }

  #open(): { readonly file: number; readonly state: FileState } {
    const file = this.#disk.openAppend(this.path);
    const state = this.#disk.stateOf(file);
    if (!state.isFile) {
      this.#disk.close(file);
      throw Object.assign(new Error("is not a regular file"), { code: "ENOTREG" });
    }
    // Others may read it if its owner said so, but nobody else may write.
    if ((state.mode & 0o022) !== 0) this.#disk.setMode(file, state.mode & 0o7755);
    return { file, state };
  }

  #write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.byteLength; ) {
      const written = this.#disk.write(this.#file, bytes.subarray(at));
      if (written <= 0) throw Object.assign(new Error("nothing was written"), { code: "EIO" });
      at += written;
      this.#size += written;
    }
  }

  #endsInLine(): boolean {
    const last = this.#disk.read(this.path, this.#size - 1, 1);
    return last[0] === 0x0a;
  }
}
