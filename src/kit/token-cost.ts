import { estimateOutput, tokenFigures } from "./token-estimate.ts";

/** A call, as far as its tokens go. */
interface CostedCall {
  readonly stream: boolean;
  readonly maxTokens: number | undefined;
  readonly verb?: string;
  inputTokens(): number;
}

interface CostedExchange {
  readonly surface: string;
  readonly dialect: string;
  readonly call: CostedCall | undefined;
}

interface CostedResult {
  readonly kind: "ok" | "refused" | "failed" | "timeout" | "aborted" | "unsent";
  readonly usage: { readonly inputTokens: number; readonly outputTokens: number } | undefined;
  readonly bytes: number;
}

/** Counting tokens costs none. */
function isFree({ surface, call }: CostedExchange): boolean {
  return call === undefined || surface === "count_tokens" || call.verb === "countTokens";
}

/** Tokens to reserve before a call is sent: its input, and the most that may come back. */
export function tokensToReserve(x: CostedExchange): number {
  const { call } = x;
  if (call === undefined || isFree(x)) return 0;
  return call.inputTokens() + (call.maxTokens ?? tokenFigures.outputTokens);
}

/**
 * Tokens that an attempt has cost: what the provider reports at the end. Where it reports nothing,
 * or the answer broke off, an estimate of the input and of what came back.
 */
export function tokensSpent(x: CostedExchange, { kind, usage, bytes }: CostedResult): number {
  const { call, dialect } = x;
  if (call === undefined || isFree(x) || kind === "unsent" || kind === "refused") return 0;
  if (kind === "ok" && usage !== undefined) return usage.inputTokens + usage.outputTokens;
  // Nobody answered, so nobody worked.
  if (kind === "failed" && usage === undefined && bytes === 0) return 0;
  const most = call.maxTokens ?? Number.POSITIVE_INFINITY;
  const output = Math.min(most, estimateOutput(dialect, call.stream, bytes));
  // A stream reports its input at once, but its output only at its end.
  const input = usage?.inputTokens || call.inputTokens();
  return input + Math.max(usage?.outputTokens ?? 0, output);
}
