import type { ScriptExchange } from "../contract/script.ts";

/** An exchange as plain data, on its way to a thread. */
export type ExchangeData = Omit<ScriptExchange, "header">;

class SeenExchange implements ScriptExchange {
  declare readonly id: string;
  declare readonly surface: ScriptExchange["surface"];
  declare readonly dialect: string;
  declare readonly method: string;
  declare readonly path: string;
  declare readonly ip: string;
  declare readonly trusted: boolean;
  declare readonly principal: ScriptExchange["principal"];
  declare readonly headers: Readonly<Record<string, string>>;

  header(name: string): string | null {
    return this.headers[name.toLowerCase()] ?? null;
  }
}

/** Gives plain data the methods of an exchange. */
export function toScriptExchange(data: unknown): ScriptExchange {
  return Object.setPrototypeOf(data, SeenExchange.prototype) as ScriptExchange;
}
