import { Buffer } from "node:buffer";
import process from "node:process";

/**
 * Reads standard input to its end; a terminal is asked for one line, which it does not show.
 * @param most bytes
 * @returns undefined when there is more than that
 */
export async function readInput(
  prompt: string,
  most: number,
  show: (text: string) => void,
): Promise<string | undefined> {
  const { stdin } = process;
  if (stdin.isTTY === true) return readHidden(stdin, prompt, most, show);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stdin as AsyncIterable<Buffer | string>) {
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    length += bytes.length;
    if (length > most) return undefined;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Without an echo, a secret is on no screen and in no recording of the terminal. */
function readHidden(
  stdin: NodeJS.ReadStream,
  prompt: string,
  most: number,
  show: (text: string) => void,
): Promise<string | undefined> {
  show(prompt);
  stdin.setRawMode(true);
  stdin.setEncoding("utf8");
  stdin.resume();
  return new Promise((resolve) => {
    let text = "";
    const finish = (result: string | undefined): void => {
      stdin.off("data", take);
      stdin.setRawMode(false);
      stdin.pause();
      show("\n");
      resolve(result);
    };
    const take = (chunk: Buffer | string): void => {
      for (const c of String(chunk)) {
        // Ctrl-C and Ctrl-D end it without a token.
        const isGivenUp = c === "\u0003" || c === "\u0004";
        if (isGivenUp || c === "\r" || c === "\n") {
          finish(isGivenUp ? "" : text);
          return;
        }
        if (c === "\u007f" || c === "\b") text = text.slice(0, -1);
        else text += c;
      }
      if (text.length > most) finish(undefined);
    };
    stdin.on("data", take);
  });
}
