import { Buffer } from "node:buffer";
import type { Problem, StreamReader } from "../../../src/contract/plugin.ts";
import type { Usage } from "../../../src/contract/types.ts";
import { ElementWatcher } from "../../../src/kit/json-elements.ts";
import { isObject, parse, readLastMember, toCount } from "../../../src/kit/json-member.ts";
import { EventWatcher } from "../../../src/kit/sse.ts";
import { toError } from "./errors.ts";
import { toUsage } from "./usage.ts";

type End = ReturnType<StreamReader["end"]>;

const marker = /"(?:candidates|usageMetadata|promptFeedback|error)"|event: ?error/;

/** What makes a piece worth a parse: an end, a failure, or a candidate beside the first. */
const decisive =
  /"(?:finishReason|blockReason|error)"(?!\s*:\s*null)|"index"\s*:\s*[1-9]|event: ?error/;

/** Longest piece that is kept for its usage instead of being read at once, in characters. */
const keptLength = 16 * 1024;

/**
 * How far a reply has come. There is no last event: it is complete once every candidate that
 * began has told why it ended, or the prompt was blocked.
 */
class Progress {
  failed = false;
  #blocked = false;
  /** Candidates as bits; those from the 31st on share one. */
  #begun = 0;
  #ended = 0;
  /** The last piece with usage, which is cumulative; most are never read. */
  #reported: string | undefined = undefined;
  #usage: Usage | undefined = undefined;

  get isDone(): boolean {
    return this.#blocked || (this.#ended !== 0 && (this.#begun & ~this.#ended) === 0);
  }

  get usage(): Usage | undefined {
    if (this.#reported !== undefined) this.#report(parse(this.#reported));
    this.#reported = undefined;
    return this.#usage;
  }

  take(text: string): void {
    if (text.length <= keptLength && !decisive.test(text)) {
      if (text.includes('"usageMetadata"')) this.#reported = text;
      if (text.includes('"candidates"')) this.#begun |= 1;
      return;
    }
    const reply = parse(text);
    if (!isObject(reply)) return;
    this.#report(reply);
    if (reply.error !== undefined && reply.error !== null) this.failed = true;
    const { candidates, promptFeedback: feedback } = reply;
    if (isObject(feedback) && isReason(feedback.blockReason)) this.#blocked = true;
    if (!Array.isArray(candidates)) return;
    for (const candidate of candidates as unknown[]) {
      if (!isObject(candidate)) continue;
      this.#mark(toCount(candidate.index), isReason(candidate.finishReason));
    }
  }

  /** Takes the end of a piece that was too long to be kept, such as one with an image. */
  takeTail(tail: string): void {
    // Inside a string the quotes would be escaped.
    const index = /"index"\s*:\s*(\d{1,3})/.exec(tail)?.[1];
    const reason = /"finishReason"\s*:\s*"(\w+)"/.exec(tail)?.[1];
    this.#mark(Number(index ?? 0), isReason(reason));
    this.#report({ usageMetadata: readLastMember(Buffer.from(tail, "latin1"), "usageMetadata") });
  }

  end(isClosed: boolean): End {
    if (this.failed) return "error";
    return this.isDone && isClosed ? "complete" : "truncated";
  }

  #mark(index: number, isEnd: boolean): void {
    const bit = 1 << Math.min(index, 30);
    this.#begun |= bit;
    if (isEnd) this.#ended |= bit;
  }

  #report(reply: unknown): void {
    const usage = isObject(reply) ? toUsage(reply.usageMetadata) : undefined;
    if (usage === undefined) return;
    this.#usage = usage;
    this.#reported = undefined;
  }
}

function isReason(reason: unknown): boolean {
  return typeof reason === "string" && reason !== "" && !reason.endsWith("_UNSPECIFIED");
}

/** Reads a reply that was asked for with `alt=sse`. */
export class EventReader extends EventWatcher implements StreamReader {
  readonly #progress = new Progress();

  constructor() {
    super(marker);
  }

  get usage(): Usage | undefined {
    return this.#progress.usage;
  }

  end(): End {
    return this.#progress.end(true);
  }

  // The blank line ends what is half written: the SDK then fails on that, else it raises its own
  // error on this.
  fail(problem: Problem): string {
    if (this.#progress.isDone) return "";
    return `\n\ndata: ${JSON.stringify(toError(problem))}\n\n`;
  }

  protected override event(name: string, data: string): void {
    if (name === "error") this.#progress.failed = true;
    this.#progress.take(data);
  }

  protected override long(_head: string, tail: string): void {
    this.#progress.takeTail(tail);
  }
}

/** Reads a streamed reply that is one JSON array. */
export class ArrayReader extends ElementWatcher implements StreamReader {
  readonly #progress = new Progress();

  get usage(): Usage | undefined {
    return this.#progress.usage;
  }

  end(): End {
    return this.#progress.end(this.isClosed);
  }

  // Who reads elements as they come may overlook one that is an error, and a missing bracket: a
  // cut connection nobody overlooks.
  fail(): string | undefined {
    return this.#progress.isDone && this.isClosed ? "" : undefined;
  }

  protected override element(text: string): void {
    this.#progress.take(text);
  }

  protected override long(tail: string): void {
    this.#progress.takeTail(tail);
  }
}
