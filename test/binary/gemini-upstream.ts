import {
  type FakeUpstream,
  type Received,
  type Script,
  startUpstream,
} from "../harness/fake-upstream.ts";
import { until } from "../harness/wait.ts";

export const geminiKey = "gemini-secret-key-1";
export const geminiTexts = ["Hello", " from", " Gemini: naïve 🦊"] as const;
export const geminiText = geminiTexts.join("");

type Json = Readonly<Record<string, unknown>>;

const usage = {
  promptTokenCount: 11,
  candidatesTokenCount: 5,
  thoughtsTokenCount: 2,
  cachedContentTokenCount: 3,
  totalTokenCount: 18,
};

function reply(model: string, text: string, finishReason: string | undefined): Json {
  const content = { parts: [{ text }], role: "model" };
  return {
    candidates: [{ content, ...(finishReason && { finishReason }), index: 0 }],
    usageMetadata: finishReason ? usage : { promptTokenCount: 11, totalTokenCount: 11 },
    modelVersion: model,
    responseId: "r-1",
  };
}

/** The model in a request's path, as it was sent. */
export function modelOf({ path }: Received): string {
  return decodeURIComponent(/\/models\/([^/]*):\w+$/.exec(path)?.[1] ?? "");
}

/** The pieces of a streamed answer, as events or as one array; without the end, it is not whole. */
export function piecesOf(request: Received): string[] {
  const replies = [
    ...geminiTexts.map((text) => reply(modelOf(request), text, undefined)),
    reply(modelOf(request), "", "STOP"),
  ];
  if (request.target.includes("alt=sse")) {
    return replies.map((one) => `data: ${JSON.stringify(one)}\r\n\r\n`);
  }
  const elements = replies.map((one) => JSON.stringify(one, null, 2));
  return [...elements.map((text, i) => (i === 0 ? `[${text}` : `,\r\n${text}`)), "\n]\n"];
}

const jsonType = { "content-type": "application/json; charset=UTF-8" };

/** Opens the stream that a request asks for. */
export function openPieces(...[wire, request]: Parameters<Script>): Promise<void> {
  return request.target.includes("alt=sse") ? wire.stream() : wire.stream(jsonType);
}

function wholeOf(request: Received): Json {
  const { path } = request;
  const values = [0.5, -0.25];
  if (path.endsWith(":countTokens")) return { totalTokens: 31, promptTokensDetails: [] };
  if (path.endsWith(":embedContent")) return { embedding: { values } };
  if (path.endsWith(":batchEmbedContents")) {
    const { requests = [] } = request.json as { requests?: readonly unknown[] };
    return { embeddings: requests.map(() => ({ values })) };
  }
  if (request.method === "GET") {
    return { models: [{ name: "models/fake-1" }, { name: "models/fake-2" }] };
  }
  return reply(modelOf(request), geminiText, "STOP");
}

/** Answers as the vendor would. */
export const usual: Script = async (wire, request) => {
  if (!request.path.endsWith(":streamGenerateContent")) {
    return wire.whole(200, jsonType, JSON.stringify(wholeOf(request)));
  }
  await openPieces(wire, request);
  for (const piece of piecesOf(request)) await wire.chunk(piece);
  return wire.endChunks();
};

/** An error in the vendor's shape. */
export function refusing(status: number, name: string, more: Json = {}): Script {
  const error = { code: status, message: `no: ${name}`, status: name, ...more };
  return (wire) => wire.whole(status, jsonType, JSON.stringify({ error }));
}

/** A fake upstream whose models are named by paths. */
export class GeminiUpstream {
  readonly fake: FakeUpstream;
  readonly #scripts = new Map<string, Script>();

  constructor(fake: FakeUpstream) {
    this.fake = fake;
    fake.on("", this.#answer);
  }

  get url(): string {
    return this.fake.url;
  }

  /** What every request for a model does. */
  on(model: string, script: Script): this {
    this.#scripts.set(model, script);
    // Some bodies name it, too.
    for (const name of [model, `models/${model}`]) this.fake.on(name, this.#answer);
    return this;
  }

  for(model: string): Received[] {
    return this.fake.received.filter((request) => modelOf(request) === model);
  }

  async arrived(model: string): Promise<Received> {
    await until(`a request for ${model}`, () => this.for(model).length > 0);
    return this.for(model)[0] as Received;
  }

  readonly #answer: Script = (wire, request) =>
    (this.#scripts.get(modelOf(request)) ?? usual)(wire, request);
}

/** @param models those that it serves as usual, until another script is set */
export async function startGemini(models: readonly string[]): Promise<GeminiUpstream> {
  const upstream = new GeminiUpstream(await startUpstream());
  for (const model of models) upstream.on(model, usual);
  return upstream;
}
