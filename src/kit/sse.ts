import { Buffer } from "node:buffer";

/** Longest event that is looked into, in bytes. */
export const maxEventBytes = 1024 * 1024;

/** How much of either end of a longer event is shown, in bytes. */
export const shownBytes = 16 * 1024;

/** A buffer that has grown beyond this is given back as soon as its event is over, in bytes. */
const keptBytes = 4096;

const lf = 0x0a;
const cr = 0x0d;
const nothing = Buffer.alloc(0);

/** One event of a stream; the text is Latin-1, so that no character can be split. */
export interface SseEvent {
  readonly name: string;
  readonly data: string;
}

/**
 * Watches an event stream at any byte split and reads only the events that a marker points at.
 *
 * Bytes are read as Latin-1: JSON's own characters are ASCII, so structure, keys and numbers come
 * out right without decoding; other text in strings does not. A class, since there is one a
 * stream and closures would take several times the memory.
 */
export abstract class EventWatcher {
  readonly #marker: RegExp;
  /** The event that the last chunk left unfinished; a copy, since a chunk's memory moves on. */
  #held = nothing;
  #heldBytes = 0;
  /** The last byte held or skipped. */
  #last = lf;
  /** The start of an event that is too long; `#held` then has its end. */
  #head: string | undefined = undefined;
  #started = false;
  #lost = false;

  /** @param marker matches any text that holds an event of interest; neither global nor sticky */
  constructor(marker: RegExp) {
    this.#marker = marker;
  }

  /** Takes a whole event out of a run that the marker pointed at. */
  protected abstract event(name: string, data: string): void;

  /** Sees every run of whole events; a hook, since most readers have no use for it. */
  protected seen(_run: string): void {}

  /** Sees the first and the last bytes of an event that is too long, once it is over. */
  protected long(_head: string, _tail: string): void {}

  /** Whether an event was too long to be looked into. */
  protected get lost(): boolean {
    return this.#lost;
  }

  push(chunk: Uint8Array): void {
    let from = 0;
    if (this.#heldBytes > 0) {
      from = firstEnd(chunk, this.#last);
      this.#hold(chunk, 0, from < 0 ? chunk.length : from);
      if (from < 0) return;
      this.#release();
    }
    const to = lastEnd(chunk, from);
    if (to > from) this.#look(latin1(chunk, from, to));
    if (to < chunk.length) this.#hold(chunk, to, chunk.length);
  }

  /** The event that the stream's end left without its blank line; no client will see it. */
  protected rest(): SseEvent | undefined {
    if (this.#head !== undefined) return undefined;
    return this.#read(latin1(this.#held, 0, this.#heldBytes));
  }

  /** Whether the last line is not ended yet. */
  protected get inLine(): boolean {
    return this.#heldBytes > 0 && this.#last !== lf && this.#last !== cr;
  }

  /** The last event of a run. */
  protected lastOf(run: string): SseEvent | undefined {
    let last: SseEvent | undefined;
    readEvents(run, (name, data) => {
      last = { name, data };
    });
    return last;
  }

  #hold(chunk: Uint8Array, from: number, to: number): void {
    if (to === from) return;
    this.#last = chunk[to - 1] as number;
    const needed = this.#heldBytes + to - from;
    if (this.#head !== undefined || needed > maxEventBytes) {
      this.#skip(chunk.subarray(from, to));
      return;
    }
    if (needed > this.#held.length) {
      const room = Math.min(Math.max(needed, 2 * this.#held.length, 256), maxEventBytes);
      const grown = Buffer.alloc(room);
      grown.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = grown;
    }
    this.#held.set(chunk.subarray(from, to), this.#heldBytes);
    this.#heldBytes = needed;
  }

  /** Keeps no more of a long event than its start and its end. */
  #skip(piece: Uint8Array): void {
    const held = this.#held.subarray(0, this.#heldBytes);
    if (this.#head === undefined) {
      const more = piece.subarray(0, Math.max(0, shownBytes - held.length));
      this.#head =
        latin1(held, 0, Math.min(held.length, shownBytes)) + latin1(more, 0, more.length);
      this.#lost = true;
      this.#started = true;
    }
    const fresh = piece.subarray(Math.max(0, piece.length - shownBytes));
    const old = held.subarray(Math.max(0, held.length - (shownBytes - fresh.length)));
    this.#held = Buffer.concat([old, fresh]);
    this.#heldBytes = this.#held.length;
  }

  /** The held event is over. */
  #release(): void {
    const text = latin1(this.#held, 0, this.#heldBytes);
    if (this.#head === undefined) this.#look(text);
    else this.long(this.#head, text);
    this.#head = undefined;
    this.#heldBytes = 0;
    if (this.#held.length > keptBytes) this.#held = nothing;
  }

  #look(text: string): void {
    if (this.#marker.test(text)) this.#read(text);
    this.seen(text);
    this.#started = true;
  }

  #read(text: string): SseEvent | undefined {
    const clean = !this.#started && text.startsWith("\xef\xbb\xbf") ? text.slice(3) : text;
    return readEvents(clean, (name, data) => this.event(name, data));
  }
}

/** Tells the events of a text and returns the one that has no blank line yet. */
function readEvents(
  text: string,
  tell: (name: string, data: string) => void,
): SseEvent | undefined {
  let name = "";
  let data: string | undefined;
  const lines = text.split(/\r\n|\n|\r/);
  // What follows the last line break is no blank line, but a line not yet ended.
  const unended = lines.pop() ?? "";
  const take = (line: string): void => {
    if (isField(line, "event")) name = toValue(line);
    else if (isField(line, "data")) {
      data = data === undefined ? toValue(line) : `${data}\n${toValue(line)}`;
    }
  };
  for (const line of lines) {
    if (line !== "") {
      take(line);
      continue;
    }
    if (name !== "" || data !== undefined) tell(name, data ?? "");
    name = "";
    data = undefined;
  }
  take(unended);
  return name === "" && data === undefined ? undefined : { name, data: data ?? "" };
}

function isField(line: string, field: string): boolean {
  return line === field || (line.startsWith(field) && line[field.length] === ":");
}

function toValue(line: string): string {
  const colon = line.indexOf(":");
  if (colon < 0) return "";
  return line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
}

/** Takes any Uint8Array; a Buffer over `bytes.buffer` would be two more objects for each chunk. */
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, from: number, to: number): string;
};

function latin1(bytes: Uint8Array, from: number, to: number): string {
  return latin1Slice.call(bytes, from, to);
}

// An event ends where a line break follows a line break, be they LF, CR or CRLF: two break bytes
// in a row that are not CRLF. What is left of a CRLF then starts the next event as a blank line,
// which means nothing there.
function isEnd(before: number | undefined, byte: number | undefined): boolean {
  if (byte !== lf && byte !== cr) return false;
  return before === lf || (before === cr && byte === cr);
}

/** Where the first event ends, given the byte before the chunk; -1 if it does not. */
function firstEnd(chunk: Uint8Array, last: number): number {
  let before = last;
  for (let i = 0; i < chunk.length; i++) {
    const byte = chunk[i] as number;
    if (isEnd(before, byte)) return afterBreak(chunk, i);
    before = byte;
  }
  return -1;
}

/** Where the last whole event ends; `from` if none does. */
function lastEnd(chunk: Uint8Array, from: number): number {
  for (let i = chunk.length - 1; i > from; i--) {
    if (isEnd(chunk[i - 1], chunk[i])) return afterBreak(chunk, i);
  }
  return from;
}

function afterBreak(chunk: Uint8Array, at: number): number {
  return chunk[at] === cr && chunk[at + 1] === lf ? at + 2 : at + 1;
}
