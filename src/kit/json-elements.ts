import { Buffer } from "node:buffer";
import { maxEventBytes, shownBytes } from "./sse.ts";

/** A buffer that has grown beyond this is given back as soon as its element is over, in bytes. */
const keptBytes = 4096;

const quote = 0x22;
const backslash = 0x5c;
const openList = 0x5b;
const closeList = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;
const nothing = Buffer.alloc(0);

/**
 * Watches a JSON array of objects go by, at any byte split, and tells each object once it is
 * whole. A reply that is one object counts as its only element.
 *
 * Bytes are read as Latin-1, as those of an event stream are; of an element longer than
 * `maxEventBytes` only the end is kept.
 */
export abstract class ElementWatcher {
  /** What earlier chunks have left of an unfinished element. */
  #held = nothing;
  #heldBytes = 0;
  #isLong = false;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #inElement = false;
  /** The bracket around the whole; 0 before it came. */
  #opener = 0;
  #closed = false;
  #malformed = false;

  /** Takes a whole element. */
  protected abstract element(text: string): void;

  /** Sees the last bytes of an element that was too long to be kept, once it is over. */
  protected abstract long(tail: string): void;

  /** The outermost bracket was closed by its own kind, and nothing came after it. */
  protected get isClosed(): boolean {
    return this.#closed && !this.#malformed;
  }

  push(chunk: Uint8Array): void {
    let from = this.#inElement ? 0 : -1;
    for (let i = 0; i < chunk.length; i++) {
      const c = chunk[i] as number;
      if (this.#inString) {
        this.#readInString(c);
      } else if (c <= 0x20) {
        // Spaces mean nothing.
      } else if (this.#closed) {
        this.#malformed = true;
      } else if (c === quote) {
        this.#inString = true;
      } else if (c === openObject || c === openList) {
        if (this.#open(c)) from = i;
      } else if (c === closeObject || c === closeList) {
        if (!this.#close(c)) continue;
        this.#hold(chunk.subarray(from, i + 1));
        this.#release();
        from = -1;
      }
    }
    if (from >= 0) this.#hold(chunk.subarray(from));
  }

  #readInString(c: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (c === backslash) this.#escaped = true;
    else if (c === quote) this.#inString = false;
  }

  /** @returns whether an element starts here */
  #open(c: number): boolean {
    if (this.#opener === 0) this.#opener = c;
    const isStart = c === openObject && this.#depth === this.#outside;
    if (isStart) this.#inElement = true;
    this.#depth++;
    return isStart;
  }

  /** @returns whether an element ends here */
  #close(c: number): boolean {
    this.#depth--;
    if (this.#depth <= 0) {
      this.#closed = true;
      // In ASCII a closing bracket stands two after its opening one.
      this.#malformed = c !== this.#opener + 2;
    }
    if (!this.#inElement || this.#depth > this.#outside) return false;
    this.#inElement = false;
    return true;
  }

  /** How many brackets stand around an element. */
  get #outside(): number {
    return this.#opener === openList ? 1 : 0;
  }

  #hold(piece: Uint8Array): void {
    const needed = this.#heldBytes + piece.length;
    if (this.#isLong || needed > maxEventBytes) {
      this.#isLong = true;
      const whole = Buffer.concat([this.#held.subarray(0, this.#heldBytes), piece]);
      this.#held = Buffer.from(whole.subarray(Math.max(0, whole.length - shownBytes)));
      this.#heldBytes = this.#held.length;
      return;
    }
    if (needed > this.#held.length) {
      const grown = Buffer.alloc(Math.max(needed, Math.min(2 * this.#held.length, maxEventBytes)));
      grown.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = grown;
    }
    this.#held.set(piece, this.#heldBytes);
    this.#heldBytes = needed;
  }

  #release(): void {
    const text = this.#held.toString("latin1", 0, this.#heldBytes);
    if (this.#isLong) this.long(text);
    else this.element(text);
    this.#isLong = false;
    this.#heldBytes = 0;
    if (this.#held.length > keptBytes) this.#held = nothing;
  }
}
