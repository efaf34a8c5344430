import type { Attempt, Call, Exchange } from "../contract/policy.ts";
import type { ScriptAttempt, ScriptCall, ScriptExchange } from "../contract/script.ts";
import type { ExchangeData } from "./exchange-view.ts";

/** An exchange as a policy in the house sees it: nothing of it leads to a credential. */
export class LocalExchange implements ScriptExchange {
  readonly #x: Exchange;

  constructor(x: Exchange) {
    this.#x = x;
  }

  get id(): string {
    return this.#x.id;
  }
  get surface(): ScriptExchange["surface"] {
    return this.#x.surface;
  }
  get dialect(): string {
    return this.#x.dialect;
  }
  get method(): string {
    return this.#x.method;
  }
  get path(): string {
    return this.#x.path;
  }
  get ip(): string {
    return this.#x.ip;
  }
  get trusted(): boolean {
    return this.#x.trusted;
  }
  get principal(): ScriptExchange["principal"] {
    const principal = this.#x.principal;
    return principal && { keyId: principal.keyId, userId: principal.userId };
  }
  get headers(): Readonly<Record<string, string>> {
    return this.#x.openHeaders();
  }
  header(name: string): string | null {
    return this.headers[name.toLowerCase()] ?? null;
  }
}

/** The same as plain data, for a thread. */
export function toExchangeData(x: Exchange): ExchangeData {
  const { principal } = x;
  return {
    id: x.id,
    surface: x.surface,
    dialect: x.dialect,
    method: x.method,
    path: x.path,
    ip: x.ip,
    trusted: x.trusted,
    principal: principal && { keyId: principal.keyId, userId: principal.userId },
    headers: x.openHeaders(),
  };
}

/** @param texts whether the policy has asked for them: else reading them is its fault */
export function toCallData(
  call: Call,
  texts: boolean,
): Omit<ScriptCall, "texts"> & Partial<Pick<ScriptCall, "texts">> {
  const { model, stream, maxTokens, bodyBytes } = call;
  const facts = { model, stream, maxTokens, bodyBytes, inputTokens: call.inputTokens() };
  return texts ? { ...facts, texts: call.texts() } : facts;
}

export function toAttemptData({ index, provider, model }: Attempt): ScriptAttempt {
  return { index, provider, model };
}
