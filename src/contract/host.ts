/** What is known of credentials beside their files. */
export interface CredentialsInUse {
  /**
   * How the access token of a credential is that is refreshed.
   * @param file name of its file in `auth.dir`
   */
  tokenOf(file: string): TokenStatus | undefined;
  /** Reads the files again: who comes after that is served by what is in them now. */
  reread(): Promise<void>;
}

export interface TokenStatus {
  /** Milliseconds since the epoch; undefined: unknown. */
  readonly expiresAtMs: number | undefined;
  /** Code of the last refresh, if it failed. */
  readonly lastError: string | undefined;
  /** It is not refreshed any more, until its file changes. */
  readonly isOver: boolean;
}

/** @param set takes a value and those of the labels, in their order */
export type ReadGauge = (set: (value: number, ...labels: readonly string[]) => void) => void;

export interface Gauge {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly read: ReadGauge;
}

export interface HostFacts {
  /** Directory of credentials and generated keys. */
  readonly authDir: string;
  /** Names of the configured providers. */
  readonly providers: readonly string[];
  /** Names that a credential file may belong to: the vendors' where no provider is configured. */
  readonly credentialOwners: readonly string[];
  /** The vendor's own kind of provider, by dialect: whom a client meant that got no further. */
  readonly homes: Readonly<Record<string, string>>;
  /** Host the main listener is bound to. */
  readonly listenHost: string;
  readonly listenPort: number;
  /** Whether the main listener speaks TLS. */
  readonly tls: boolean;
  /** Whether the certificates of clients are asked for, and whether this runtime tells whose. */
  readonly clientCertificates: "none" | "untold" | "told";
  /** Whether names may have certificates with another kind of key than the first one's. */
  readonly mixesKeyKinds: boolean;
  /** Whether this runtime's listener knows HTTP/2. */
  readonly speaksHttp2: boolean;
  /** Whether this runtime's TLS obeys a list of cipher suites. */
  readonly choosesSuites: boolean;
  /** False in `check` and `policies plan`: create nothing on disk. */
  readonly serving: boolean;
}
