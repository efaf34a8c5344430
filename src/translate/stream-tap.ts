import type { NeutralEvent, ReplyFrame } from "../contract/neutral.ts";
import type { StreamReader } from "../contract/plugin.ts";
import type { EventWriter } from "../contract/translation.ts";
import type { Usage } from "../contract/types.ts";
import type { Refusal } from "../errors.ts";
import type { RunningExchange } from "../exchange.ts";
import { SseDecoder } from "../kit/sse-decoder.ts";
import { BadAnswer } from "../kit/untranslatable.ts";
import type { UsageTap } from "../pass-on.ts";
import type { LastWords } from "../relay.ts";
import { toProblem } from "../reply.ts";
import type { Translated } from "./request.ts";
import { EventTidier } from "./tidy-events.ts";

const encoder = new TextEncoder();

/** Turns a provider's stream into the client's, chunk by chunk. */
export class StreamTap implements UsageTap {
  readonly #x: RunningExchange;
  /** Tells usage, and whether the stream is complete, as for one that is passed through. */
  readonly #watcher: StreamReader;
  readonly #events: SseDecoder;
  readonly #tidier: EventTidier;
  readonly #writer: EventWriter;
  #out = "";
  #failed = false;

  constructor(x: RunningExchange, translated: Translated, frame: ReplyFrame, form: Form) {
    const { from, to, dialect, request } = translated;
    this.#x = x;
    this.#watcher = dialect.readStream();
    this.#writer = from.writeEvents(frame, form);
    const unwraps = to.limits.custom_tool !== undefined;
    this.#tidier = new EventTidier(request, frame.id, unwraps, (event) => this.#write(event));
    const reader = to.readEvents((event) => this.#take(event));
    this.#events = new SseDecoder((_name, data) => reader.read(data));
  }

  push(chunk: Uint8Array): void {
    this.#watcher.push(chunk);
  }

  /** @throws BadAnswer when the provider's stream is not what its dialect allows */
  turn(chunk: Uint8Array): Uint8Array | undefined {
    this.#out = "";
    this.#events.push(chunk);
    return this.#out === "" ? undefined : encoder.encode(this.#out);
  }

  end(): LastWords {
    return this.#judge({ code: "upstream_truncated" });
  }

  broken(refusal: Refusal): LastWords {
    if (refusal.code === "client_stalled") return "cut";
    if (refusal.code === "upstream_bad_answer") return this.#fail(refusal);
    return this.#judge(refusal);
  }

  usage(): Usage | undefined {
    return this.#watcher.usage;
  }

  failed(): boolean {
    return this.#failed;
  }

  #judge(refusal: Refusal): LastWords {
    if (this.#failed) return "complete";
    const how = this.#watcher.end();
    this.#out = "";
    try {
      this.#events.end();
      this.#tidier.flush();
    } catch (error) {
      if (!(error instanceof BadAnswer)) throw error;
      return this.#fail({ code: "upstream_bad_answer" });
    }
    if (this.#failed) return { rest: encoder.encode(this.#out) };
    if (how === "complete") return { rest: encoder.encode(this.#out + this.#writer.end()) };
    return this.#fail(how === "error" ? { code: "upstream_bad_answer" } : refusal);
  }

  #fail(refusal: Refusal): LastWords {
    const text = this.#writer.fail(toProblem(this.#x, refusal));
    return text === undefined ? "cut" : encoder.encode(this.#out + text);
  }

  #take(event: NeutralEvent): void {
    if (this.#failed) return;
    if (event.type === "error") {
      this.#tidier.flush();
      this.#failed = true;
      const { message, status } = event;
      const problem = toProblem(this.#x, {
        code: "upstream_bad_answer",
        ...(message && { message }),
      });
      this.#out += this.#writer.fail({ ...problem, status }) ?? "";
    } else this.#tidier.take(event);
  }

  #write(event: NeutralEvent): void {
    this.#out += this.#writer.write(event);
  }
}

type Form = "events" | "json";
