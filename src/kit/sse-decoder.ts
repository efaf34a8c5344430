import { BadAnswer } from "./untranslatable.ts";

/** Longest line of an event that is translated, in characters. */
export const maxLineLength = 16 * 1024 * 1024;

/**
 * Decodes an event stream at any byte split. Text comes out as UTF-8: it is looked at only once
 * its line is whole, so that no character can be split.
 */
export class SseDecoder {
  readonly #tell: (name: string, data: string) => void;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: false });
  /** Pieces of the line that is not ended yet. */
  #pieces: string[] = [];
  #length = 0;
  #name = "";
  #data: string | undefined = undefined;
  #afterCr = false;

  /** @param tell takes each whole event */
  constructor(tell: (name: string, data: string) => void) {
    this.#tell = tell;
  }

  /** @throws BadAnswer when a line is too long */
  push(chunk: Uint8Array): void {
    this.#take(this.#decoder.decode(chunk, { stream: true }));
  }

  /** The stream has ended; what stands without its blank line is told, as lenient clients do. */
  end(): void {
    this.#take(this.#decoder.decode());
    if (this.#length > 0) this.#take("\n");
    this.#blank();
  }

  #take(chunk: string): void {
    let text = chunk;
    if (this.#afterCr && text.length > 0) {
      if (text.charCodeAt(0) === 10) text = text.slice(1);
      this.#afterCr = false;
    }
    let from = 0;
    let cr = text.indexOf("\r");
    for (;;) {
      const lf = text.indexOf("\n", from);
      const isCr = cr >= 0 && (lf < 0 || cr < lf);
      const end = isCr ? cr : lf;
      if (end < 0) break;
      this.#line(this.#whole(text.slice(from, end)));
      from = end + 1;
      if (!isCr) continue;
      if (from === text.length) this.#afterCr = true;
      else if (text.charCodeAt(from) === 10) from++;
      cr = text.indexOf("\r", from);
    }
    if (from < text.length) this.#keep(text.slice(from));
  }

  #keep(piece: string): void {
    this.#length += piece.length;
    if (this.#length > maxLineLength) throw new BadAnswer("a line of the stream is too long");
    this.#pieces.push(piece);
  }

  #whole(piece: string): string {
    if (this.#length === 0) return piece;
    const line = this.#pieces.join("") + piece;
    this.#pieces = [];
    this.#length = 0;
    return line;
  }

  #line(line: string): void {
    if (line === "") this.#blank();
    else if (line.startsWith("data:")) {
      const value = line.slice(line.charCodeAt(5) === 32 ? 6 : 5);
      this.#data = this.#data === undefined ? value : `${this.#data}\n${value}`;
      if (this.#data.length > maxLineLength) throw new BadAnswer("an event is too long");
    } else if (line.startsWith("event:")) {
      this.#name = line.slice(line.charCodeAt(6) === 32 ? 7 : 6);
    }
  }

  #blank(): void {
    if (this.#data !== undefined) this.#tell(this.#name, this.#data);
    this.#name = "";
    this.#data = undefined;
  }
}
