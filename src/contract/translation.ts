import type {
  NeutralEvent,
  NeutralFeature,
  NeutralReply,
  NeutralRequest,
  ReplyFrame,
} from "./neutral.ts";
import type { Problem } from "./plugin.ts";
import type { Surface } from "./types.ts";

/** What becomes of a field of a request that is translated. */
export type FieldRule =
  /** Read into the neutral form, there named so; or an object whose own fields have rules. */
  | { readonly as: NeutralFeature | "always" }
  /** Left out, and told in a header, unless it holds a value that changes nothing. */
  | { readonly drop: string; readonly idle?: readonly unknown[] }
  /** A 400, unless it holds a value that changes nothing; a clause that follows the name. */
  | { readonly refuse: string; readonly idle?: readonly unknown[] };

/** Fields of an object by name. */
export type FieldRules = Readonly<Record<string, FieldRule>>;

/** What a dialect makes of a neutral feature that it can't hold as it is. */
export type LimitRule =
  | { readonly drop: string }
  | { readonly change: string }
  /** A clause that follows the field's name. */
  | { readonly refuse: string };

/** What was left out and what was changed, for the response headers. */
export interface Told {
  readonly dropped: Set<string>;
  readonly changed: Set<string>;
}

/** What is known of a call beside its body. */
export interface Asked {
  readonly model: string;
  readonly stream: boolean;
}

type JsonObject = Readonly<Record<string, unknown>>;

/** How a dialect is turned into the neutral form, and the neutral form into it. */
export interface Translation {
  /** The surface of its conversations. */
  readonly surface: Surface;
  /** The verbs of its conversations, where it has such, and the query of a stream. */
  readonly verbs?: { readonly whole: string; readonly stream: string; readonly query: string };
  /** Rules by the path of an object: the empty one is the body. */
  readonly fields: Readonly<Record<string, FieldRules>>;
  /** Features that it can't hold as they are. */
  readonly limits: Readonly<Partial<Record<NeutralFeature, LimitRule>>>;
  /**
   * Reads a request whose fields have been judged.
   * @throws Untranslatable for what is refused or not well formed
   */
  readRequest(body: JsonObject, asked: Asked, told: Told): NeutralRequest;
  /**
   * Writes a request whose features have been judged.
   * @param model as the provider knows it
   * @throws Untranslatable for a value that can't be held
   */
  writeRequest(request: NeutralRequest, model: string, told: Told): object;
  /** @throws BadAnswer when it is none */
  readReply(reply: JsonObject, request: NeutralRequest): NeutralReply;
  writeReply(reply: NeutralReply, frame: ReplyFrame): object;
  readEvents(tell: (event: NeutralEvent) => void): EventReader;
  /** @param form how the client wants the stream, where the dialect has two */
  writeEvents(frame: ReplyFrame, form: "events" | "json"): EventWriter;
  /** The provider's own words in the body of an error. */
  readError(body: JsonObject): string | undefined;
}

/** Reads the events of a provider's streamed reply, each whole. */
export interface EventReader {
  /** @throws BadAnswer */
  read(data: string): void;
}

/** Writes a streamed reply for a client. */
export interface EventWriter {
  /** @throws BadAnswer when the events can't be put in the dialect's order */
  write(event: NeutralEvent): string;
  /** What closes a complete stream. */
  end(): string;
  /** What tells the client that the stream failed; undefined: only a cut connection can. */
  fail(problem: Problem): string | undefined;
}
