/** Request bodies in OpenAI's shape, the same ones in every run. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dirname, ".build", "bodies");

interface Body {
  readonly model: string;
  readonly bytes: number;
  readonly tools?: number;
  readonly stream?: boolean;
}

const bodies = {
  "1k": { model: "mock-r1500", bytes: 1024 },
  "100k": { model: "mock-r4096", bytes: 100 * 1024, tools: 12 },
  "1m": { model: "mock-r4096", bytes: 1024 * 1024, tools: 60 },
  unpaced: { model: "mock-n200-t0", bytes: 1024, stream: true },
  paced: { model: "mock-n200-t10", bytes: 1024, stream: true },
  held: { model: "mock-n100000-t200", bytes: 1024, stream: true },
} as const satisfies Record<string, Body>;

export type BodyName = keyof typeof bodies;

/** Every model that the bodies ask for: the mock reads its orders from the name. */
export const models: readonly string[] = [...new Set(Object.values(bodies).map((b) => b.model))];

const words = (
  "the function returns a promise that resolves when the stream has been fully consumed and the " +
  "connection is released back into the pool const let import export interface type return await"
).split(" ");

/** The file of a body; written when missing. */
export function bodyFile(name: BodyName): string {
  const file = join(folder, `${name}.body`);
  if (!existsSync(file)) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(file, write(bodies[name], generator(12_345)));
  }
  return file;
}

type Random = () => number;

function generator(seed: number): Random {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x7fffffff;
  };
}

function text(length: number, random: Random): string {
  let out = "";
  while (out.length < length) {
    const word = words[Math.floor(random() * words.length)];
    out += `${word}${random() < 0.1 ? "\n" : " "}`;
  }
  return out.slice(0, length);
}

function tool(index: number, random: Random): object {
  const argument = (n: number) => [`arg${n}`, { type: "string", description: text(80, random) }];
  return {
    type: "function",
    function: {
      name: `tool_${index}`,
      description: text(300, random),
      parameters: {
        type: "object",
        properties: Object.fromEntries([0, 1, 2, 3, 4].map(argument)),
        required: ["arg0"],
      },
    },
  };
}

function write(body: Body, random: Random): string {
  const messages = [{ role: "system", content: "You are a helpful assistant." }];
  const request = {
    model: body.model,
    stream: body.stream ?? false,
    messages,
    temperature: 0.7,
    max_tokens: 1024,
    ...(body.tools && { tools: Array.from({ length: body.tools }, (_, i) => tool(i, random)) }),
  };
  for (;;) {
    const missing = body.bytes - JSON.stringify(request).length;
    if (missing <= 60) return JSON.stringify(request);
    const length = Math.min(missing - 50, 2000 + Math.floor(random() * 4000));
    messages.push({
      role: messages.length % 2 === 1 ? "user" : "assistant",
      content: text(length, random),
    });
  }
}
