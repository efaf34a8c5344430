import { helpWord, wordsIn } from "./arguments.ts";
import { type Command, globalOptions } from "./command.ts";

/** One thing to offer. */
export interface Offer {
  readonly word: string;
  readonly summary: string;
}

/** An option as a shell needs it. */
export interface OfferedOption extends Offer {
  /** With its dashes. */
  readonly word: string;
  readonly short: string | undefined;
  /** What follows it; undefined: nothing does. */
  readonly takes: "file" | "text" | readonly string[] | undefined;
}

/** What may come after the words typed so far. */
export interface CompletionNode {
  /** `""`, `"keys"`, `"keys new"`. */
  readonly path: string;
  readonly words: readonly Offer[];
  readonly options: readonly OfferedOption[];
  /** Its arguments are files. */
  readonly files?: boolean;
}

/** The table of commands as the places where a shell may ask. */
export function toCompletionTree(commands: readonly Command[]): readonly CompletionNode[] {
  const nodes: CompletionNode[] = [];
  const globals = offeredOptions(globalOptions);
  const version = {
    word: "--version",
    summary: "show the version",
    short: undefined,
    takes: undefined,
  };
  const top = groupOffers(commands, "");
  nodes.push({
    path: "",
    words: [...top, { word: helpWord.name, summary: helpWord.summary }],
    options: [...globals, version],
  });
  nodes.push({ path: helpWord.name, words: top, options: globals });
  for (const { word } of top) {
    const inside = groupOffers(commands, word);
    if (inside.length === 0) continue;
    nodes.push({ path: word, words: inside, options: globals });
    nodes.push({ path: `${helpWord.name} ${word}`, words: inside, options: globals });
  }
  for (const { name, options, positionals } of commands) {
    const values = positionals?.[0]?.values ?? [];
    nodes.push({
      path: name,
      words: values.map((word) => ({ word, summary: positionals?.[0]?.name ?? "" })),
      options: [...offeredOptions(options), ...globals],
      files: positionals?.some(({ completes }) => completes === "file") === true,
    });
  }
  for (const node of nodes) checkWords(node);
  return nodes;
}

function groupOffers(commands: readonly Command[], group: string): Offer[] {
  return wordsIn(commands, group).map((word) => {
    const name = group === "" ? word : `${group} ${word}`;
    const command = commands.find((c) => c.name === name);
    if (command !== undefined) return { word, summary: command.summary };
    return { word, summary: wordsIn(commands, name).join(", ") };
  });
}

function offeredOptions(options: Command["options"]): OfferedOption[] {
  return Object.entries(options).flatMap(([name, spec]) => {
    const { summary, short } = spec;
    const takes = spec.type === "boolean" ? undefined : (spec.values ?? spec.completes ?? "text");
    const offered: OfferedOption = { word: `--${name}`, summary, short, takes };
    return spec.negatable === true
      ? [offered, { ...offered, word: `--no-${name}`, short: undefined }]
      : [offered];
  });
}

/** A shell evaluates what it completes: only harmless words may get into a script. */
function checkWords({ words, options }: CompletionNode): void {
  const all = [...words, ...options].map(({ word }) => word);
  const values = options.flatMap(({ takes }) => (Array.isArray(takes) ? (takes as string[]) : []));
  for (const word of [...all, ...values]) {
    if (!/^[\w.:@/+-]+$/.test(word)) throw new Error(`${word} can't be completed by a shell`);
  }
}
