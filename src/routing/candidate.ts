import type { Dialect } from "../contract/plugin.ts";
import type { ActiveProvider, Credential } from "../providers.ts";

/** One way to serve a call. */
export interface Candidate {
  readonly provider: ActiveProvider;
  readonly credential: Credential | undefined;
  /** The name the provider knows the model by. */
  readonly model: string;
  /** The dialect to translate into, where the provider does not speak the client's. */
  readonly foreign?: Dialect;
  /** The model that serves instead of the one that was asked for, by the name clients give it. */
  readonly instead?: string;
}
