import type { Env, Io } from "./command.ts";

/** One output of the process. */
export interface Output {
  write(text: string): void;
  readonly isTerminal: boolean;
  readonly columns: number;
}

/** The outputs as a command sees them. */
export function createIo(out: Output, err: Output, env: Env, json: boolean): Io {
  return {
    out: (text) => out.write(text),
    err: (text) => err.write(text),
    color: !json && takesColor(env, out.isTerminal),
    errColor: !json && takesColor(env, err.isTerminal),
    isTerminal: out.isTerminal,
    errIsTerminal: !json && err.isTerminal,
    columns: out.columns > 0 ? out.columns : 80,
    json,
  };
}

/** FORCE_COLOR goes before NO_COLOR, as in Node; an empty variable says nothing. */
export function takesColor(env: Env, isTerminal: boolean): boolean {
  const force = env.FORCE_COLOR;
  if (force !== undefined && force !== "") return force !== "0" && force !== "false";
  if (env.NO_COLOR !== undefined && env.NO_COLOR !== "") return false;
  return isTerminal && env.TERM !== "dumb";
}

/** Sets a text bold where colour is taken. */
export function bold(text: string, color: boolean): string {
  return color ? `\u001b[1m${text}\u001b[22m` : text;
}

/** Sets a text red where colour is taken. */
export function red(text: string, color: boolean): string {
  return color ? `\u001b[31m${text}\u001b[39m` : text;
}

/** Breaks a text at spaces; all lines but the first are indented. */
export function wrap(text: string, columns: number, indent: number): string {
  const width = Math.max(20, columns - indent);
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].join(`\n${" ".repeat(indent)}`);
}
